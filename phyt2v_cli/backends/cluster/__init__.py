"""Roles on a Ray cluster: each in worker processes of its own, which Ray places, restarts and connects.

Runs, loops and files stay in the driver. Knows roles and their config; must not know runs or the terminal.
"""
