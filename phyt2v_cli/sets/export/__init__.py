"""Export of a prompt set: its videos under the names that a benchmark's scorer wants, with its index.

Must not know any backend, loop or terminal; the scorers themselves are not rebuilt.
"""
