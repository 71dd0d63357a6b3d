"""The embedded model: weights in diffusers layout beside this file, and what its world contains."""

from pathlib import Path

MODEL_DIR = Path(__file__).parent / "model"
"""A diffusers pipeline folder; `generator.model = "tiny"` means this path."""
