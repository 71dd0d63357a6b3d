"""Outcome of a run, from its records: the better of candidates, the arms to compare with, the result."""
