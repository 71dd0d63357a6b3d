"""Device memory: choice of the device, offloading of weights, and models that share one accelerator.

Must not know prompts, rounds, families or roles.
"""
