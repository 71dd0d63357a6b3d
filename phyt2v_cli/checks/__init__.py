"""What is looked at before anything is loaded: settings, judges, model files, disks, this machine, presets.

Loads no model and prints nothing.
"""
