"""Settings: their schema, the layers they come from, presets, and what a stranger's config may not decide.

Must not know any model, backend, run directory or terminal.
"""
