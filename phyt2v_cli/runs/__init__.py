"""Run directory: records, identity of a run, opening, saving, resuming and reading.

Must not know any model, backend, loop or terminal.
"""
