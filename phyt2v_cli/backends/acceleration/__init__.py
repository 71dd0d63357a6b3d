"""What makes a denoising step faster: compilation, kernels, caches of drafts, quantisation.

Knows modules; must not know prompts, rounds, families or memory.
"""
