"""Faster denoising steps: compilation, kernels, draft caches and quantization.

Knows modules; must not know prompts, rounds, families or memory.
"""
