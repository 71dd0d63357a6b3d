"""Folders that are no language model, or no safe one, are refused in one line before anything is loaded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest

from phyt2v_cli.backends.checkpoints.transformers_folder import find_language_model
from phyt2v_cli.errors import ModelLoadError


@pytest.fixture
def folder(tiny_llama_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_llama_dir, tmp_path / "model"))


def refused(model: object) -> str:
    with pytest.raises(ModelLoadError) as caught:
        find_language_model(str(model))
    assert len(caught.value.message.splitlines()) == 1
    assert str(model) in caught.value.message
    return str(caught.value)


def test_a_whole_folder_is_read(folder: Path) -> None:
    model = find_language_model(str(folder))
    assert (model.source, model.model_type) == (str(folder), "llama")


def test_one_folder_has_one_source_however_it_is_spelt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    sources = {find_language_model(text).source for text in ("model", "./model/", str(folder))}
    assert sources == {str(folder)}


def test_no_such_path(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "nothing")
    assert "does not exist" in refused("./nothing/here")


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.touch()
    assert "is a file" in refused(path)


def test_no_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert "has no config.json" in refused(folder)


def test_a_pipeline_of_diffusers(tiny_cogvideox_dir: Path) -> None:
    assert "is a pipeline of diffusers" in refused(tiny_cogvideox_dir)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\xff", "{}", '{"model_type": 7}'])
def test_a_config_that_is_none(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text, encoding="latin-1")
    assert "Fetch the model again" in refused(folder)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000], ids=["lists", "objects"])
def test_a_deep_config(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    assert "cannot be read as json" in refused(folder)


def test_a_config_that_is_huge_or_a_pipe(folder: Path) -> None:
    config = folder / "config.json"
    with config.open("r+b") as file:
        file.truncate(16 * 2**20 + 1)
    assert "larger than 16,384 KiB" in refused(folder)
    config.unlink()
    os.mkfifo(config)
    refused(folder)


def test_a_name_that_no_file_can_have() -> None:
    assert "File name too long" in refused_name("a" * 300)
    assert "does not exist" in refused_name("~no-such-user/x")
    assert "does not exist" in refused_name(f"a/{'b' * 300}")


def refused_name(name: str) -> str:
    with pytest.raises(ModelLoadError) as caught:
        find_language_model(name)
    return str(caught.value)


def test_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "has no weights" in refused(folder)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth"])
def test_pickle_weights(folder: Path, suffix: str) -> None:
    (folder / "model.safetensors").rename(folder / f"pytorch_model{suffix}")
    assert f"only as pickle ({suffix})" in refused(folder)


def test_a_hub_id_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert "hf download some-one/some-model" in refused("some-one/some-model")


def test_judging_a_folder_needs_no_torch() -> None:
    code = (
        "import sys, phyt2v_cli.backends.checkpoints.transformers_folder; "
        "sys.exit(bool({'torch', 'diffusers', 'transformers'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
