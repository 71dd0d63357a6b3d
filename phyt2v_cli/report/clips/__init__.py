"""Clips of several videos side by side, in step, each under its label.

Must not know any model, loop or terminal.
"""
