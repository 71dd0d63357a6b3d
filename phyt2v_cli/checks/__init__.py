"""Checks before anything is loaded: settings, judges, model files, disks, this machine, presets.

Loads no model and prints nothing.
"""
