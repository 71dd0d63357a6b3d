"""Doubles of the four roles, for tests of ours and of whoever builds on this.

Must not know any backend, run directory or terminal.
"""
