"""Pictures and pages of a run, made from its folder alone.

Must not know any model, loop or terminal.
"""
