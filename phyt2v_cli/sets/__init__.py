"""Prompt sets: read from files, and refined prompt by prompt.

Must not know any backend or terminal.
"""
