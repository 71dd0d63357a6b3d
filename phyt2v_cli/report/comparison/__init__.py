"""Comparison of several runs: what differs in them, as values, as a page and as a clip.

Must not know any model, loop or terminal.
"""
