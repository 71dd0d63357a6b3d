"""Model folders judged by their files before any weight is read, and models on the hub.

Must not import torch, diffusers or transformers: a wrong folder is refused in a moment.
"""
