"""Settings: schema, layers, presets, and which settings of a foreign run need the user's trust.

Must not know any model, backend, run directory or terminal.
"""
