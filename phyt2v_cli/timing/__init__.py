"""Time: speeds measured on this machine, what is left of a run, and where the time of a run went.

Must not know any model or terminal.
"""
