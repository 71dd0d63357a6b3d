"""Video generator on any text-to-video pipeline of diffusers.

Uses `acceleration`, `memory` and `checkpoints`; must not know rounds, schedules, run directories or the
terminal.
"""
