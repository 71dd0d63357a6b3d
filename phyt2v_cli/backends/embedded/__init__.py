"""LLM, captioner and scorer of the embedded world: the rulebook and the tracker.

Uses `tiny`; must not know other backends, runs or the terminal.
"""
