"""Fixtures that several test files share."""

from pathlib import Path

import pytest

from tests.command_line import CommandLine


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


@pytest.fixture
def phyt2v(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """The command line in this process, working in `tmp_path`."""
    return CommandLine(tmp_path, monkeypatch, capsys)
