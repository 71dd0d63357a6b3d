"""Fakes of the four roles, for our own tests and for tests of code that is built on phyt2v.

Must not know any backend, run directory or terminal.
"""
