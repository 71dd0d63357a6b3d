"""Timing: speeds measured on this machine, time left of a run, and traces of a run.

Must not know any model or terminal.
"""
