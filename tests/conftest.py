"""Fixtures that several test files share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_cogvideox_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random CogVideoX (5B style) of 9 frames, 16x16, in diffusers layout. Do not write into it."""
    from tests.tiny_pipelines import save_cogvideox

    return save_cogvideox(tmp_path_factory.mktemp("models") / "cogvideox")
