"""The run directory: what is recorded, which run a command means, opening, saving, resuming and reading it.

Must not know any model, backend, loop or terminal.
"""
