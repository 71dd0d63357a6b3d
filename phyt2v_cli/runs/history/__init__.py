"""History: the runs of a folder by time, by name, and beside each other. Read-only.

Must not know any model, backend, loop or terminal.
"""
