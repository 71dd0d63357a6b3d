"""Summary of a prompt set: a table of its videos, figures with intervals, and a page, made from its folder.

Must not know any backend, loop or terminal.
"""
