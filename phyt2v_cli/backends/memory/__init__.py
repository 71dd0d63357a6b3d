"""Where weights lie: devices, offloading, and the models that share one accelerator.

Must not know prompts, rounds, families or roles.
"""
