"""Checkpoint folders, validated by their files before any weight is read, and models on the hub.

Must not import torch, diffusers or transformers, so that a wrong folder is refused at once.
"""
