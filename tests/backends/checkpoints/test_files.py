"""Weights that are not whole are told apart by their first bytes and their size."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from phyt2v_cli.backends.checkpoints.files import fault_of
from phyt2v_cli.backends.checkpoints.transformers_folder import find_language_model
from phyt2v_cli.errors import ModelLoadError
from tests.command_line import CommandLine
from tests.faults.test_parsers import MANY


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "a.safetensors"
    save_file({"a": np.zeros((4, 8), np.float32), "b": np.zeros(3, np.int8)}, path, {"format": "pt"})
    return path


def test_a_whole_file_is_fine(whole: Path) -> None:
    assert fault_of(whole) is None
    save_file({}, whole)
    assert fault_of(whole) is None


def test_a_file_cut_anywhere_is_not(whole: Path) -> None:
    content = whole.read_bytes()
    for length in range(len(content)):
        whole.write_bytes(content[:length])
        assert "cut short" in str(fault_of(whole))
    assert f"cut short: {len(content) - 1} of {len(content)} bytes are there" in str(fault_of(whole))


@given(content=st.binary(max_size=200) | st.binary(max_size=60).map(lambda b: bytes([len(b), *[0] * 7]) + b))
@MANY
def test_of_any_bytes_nothing_is_fine_that_the_library_could_not_open(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    if fault_of(path) is not None:
        with pytest.raises(SafetensorError):
            load_file(path)


def test_a_pointer_of_git_lfs(whole: Path) -> None:
    whole.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    assert str(fault_of(whole)).endswith("Fetch them with `git lfs pull`.")


def test_a_folder(tmp_path: Path) -> None:
    assert "no plain file" in str(fault_of(tmp_path))


@pytest.mark.parametrize("command", [("generate",), ("refine", "--dry-run")])
def test_a_model_that_is_cut_short_is_said_before_it_is_loaded(
    command: tuple[str, ...], tiny_cogvideox_dir: Path, tmp_path: Path, phyt2v: CommandLine
) -> None:
    folder = Path(shutil.copytree(tiny_cogvideox_dir, tmp_path / "model"))
    path = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    judges = ("llm.backend=rulebook", "captioner.backend=tracker", "scorer.backend=tracker")
    words = [word for judge in judges for word in ("--set", judge)]
    ended = phyt2v(*command, "--prompt", "a ball", "--model", str(folder), *words)
    assert (ended.code, ended.out) == (4, "")
    assert ended.errors() == [line for line in ended.err.splitlines() if "cut short" in line]
    assert str(path) in ended.err


def test_so_is_a_language_model(tiny_llama_dir: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_llama_dir, tmp_path / "llama"))
    (path,) = folder.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelLoadError, match="cut short"):
        find_language_model(str(folder))
