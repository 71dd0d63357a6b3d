"""Embedded model: weights in diffusers layout beside this file, and the content of its world."""

from pathlib import Path

MODEL_DIR = Path(__file__).parent / "model"
"""Diffusers pipeline folder; `generator.model = "tiny"` means this path."""
