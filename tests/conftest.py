"""Fixtures that several test files share."""

import gc
import itertools
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.command_line import CommandLine

if TYPE_CHECKING:
    from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator
    from phyt2v_cli.files.video import Frames
    from phyt2v_cli.roles import Latents

# As the command line does: before torch is imported, here and in the processes that tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Fixtures that outlive a test start processes too, and the user's own measurements are none of theirs.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="phyt2v-test-cache-")

# Nor are their settings: a file in a home, or in a folder above this one, changes no test.
os.environ["PHYT2V_ISOLATED"] = "1"

_numbers = itertools.count()


def pytest_collection_finish() -> None:
    """Exempt what was imported from collections: each would look through it, for a quarter of the time."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture
def phyt2v(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """The command line in this process, working in `tmp_path`."""
    return CommandLine(tmp_path, monkeypatch, capsys)


@pytest.fixture
def tiny_generator(tiny_cogvideox_dir: Path) -> "DiffusersGenerator":
    """A generator of its own, on the CPU."""
    from tests.tiny_generators import make_generator

    return make_generator(tiny_cogvideox_dir)


@pytest.fixture(scope="session")
def tiny_result(tiny_cogvideox_dir: Path) -> "tuple[Latents, Frames]":
    """What `tiny_generator` makes where nothing happens to it."""
    from tests.tiny_generators import denoise, make_generator

    generator = make_generator(tiny_cogvideox_dir)
    latents = denoise(generator)
    return latents, generator.decode(latents).frames


@pytest.fixture(scope="session")
def video_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of a square that moves. Do not write into it."""
    from phyt2v_cli.files.video import VideoMetadata, write_video
    from tests.files.test_video import moving_square

    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    write_video(path, moving_square(), fps=8, metadata=VideoMetadata("p", seed=0, steps=1))
    return path


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients reach servers on this machine, with a key in $CANARY_KEY."""
    from tests.server_clients import set_key

    set_key(monkeypatch)
