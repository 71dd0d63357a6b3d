"""Study: prompts and their rewrites, rendered with several seeds and as drafts and judged, to calibrate.

Knows the roles and its own folder; must not know a backend, a terminal or what the figures mean.
"""
