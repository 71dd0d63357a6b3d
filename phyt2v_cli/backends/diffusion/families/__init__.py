"""What each family of text-to-video pipelines makes, as data: frame rates, sizes, dtypes, published steps.

Sizes are computed from the components' configs. Nothing here may import torch or diffusers, because it serves
checks that run before anything is loaded.
"""
