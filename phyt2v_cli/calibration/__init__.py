"""Calibration: what the scores of one model, size and judge are worth, as measured, and its use in runs.

Figures and their file. What is rendered to measure them is in `sets/study`. Must not know a backend, the loop
or a terminal.
"""
