"""Report of a run: contact sheet and page, made from its folder alone.

Must not know any model, loop or terminal.
"""
