"""Scorer in an external program.

Must not know models, servers, pipelines, runs or the terminal.
"""
