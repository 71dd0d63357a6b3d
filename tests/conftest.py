"""Fixtures that several test files share."""

import itertools
import os
from pathlib import Path

import pytest

# As the command line does: before torch is imported, here and in the processes that tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what another one, or the user, has measured on this machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / f"cache{next(_numbers)}"))


@pytest.fixture(scope="session")
def tiny_cogvideox_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random CogVideoX (5B style) of 9 frames, 16x16, in diffusers layout. Do not write into it."""
    from tests.tiny_pipelines import save_cogvideox

    return save_cogvideox(tmp_path_factory.mktemp("models") / "cogvideox")


@pytest.fixture(scope="session")
def tiny_llama_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random chat model of transformers that sees nothing. Do not write into it."""
    from tests.tiny_language_models import save_llama

    return save_llama(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="session")
def tiny_vlm_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random VLM in the style of Qwen2.5-VL. Do not write into it."""
    from tests.tiny_language_models import save_qwen2_5_vl

    return save_qwen2_5_vl(tmp_path_factory.mktemp("models") / "qwen2_5_vl")
