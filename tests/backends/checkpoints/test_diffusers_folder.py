"""Folders that are no model, or no safe one, are refused in one line before anything is loaded."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
from safetensors.numpy import save_file

from phyt2v_cli.backends.checkpoints import diffusers_folder
from phyt2v_cli.backends.checkpoints.diffusers_folder import find_model
from phyt2v_cli.errors import ModelLoadError


@pytest.fixture
def folder(tiny_cogvideox_dir, tmp_path):
    return Path(shutil.copytree(tiny_cogvideox_dir, tmp_path / "model"))


def refused(model) -> str:
    with pytest.raises(ModelLoadError) as caught:
        find_model(str(model))
    assert len(caught.value.message.splitlines()) == 1
    assert str(model) in caught.value.message
    return str(caught.value)


def test_a_whole_folder_is_read(folder):
    model = find_model(str(folder))
    assert model.source == str(folder)
    assert model.pipeline_class == "CogVideoXPipeline"
    assert model.components["vae"] == ("diffusers", "AutoencoderKLCogVideoX")
    assert model.component_configs["transformer"]["sample_frames"] == 9


def test_no_such_path(tmp_path):
    assert "does not exist" in refused(tmp_path / "nothing")
    assert "does not exist" in refused("./nothing/here")


def test_a_file(tmp_path):
    path = tmp_path / "model.safetensors"
    path.touch()
    assert "is a file" in refused(path)


def test_no_model_index(folder):
    (folder / "model_index.json").unlink()
    assert "has no model_index.json" in refused(folder)
    (folder / "modular_model_index.json").write_text("{}")
    assert "is a modular pipeline of diffusers" in refused(folder)


def test_a_processor_that_was_saved_without_torchvision_has_no_weights(folder):
    index = folder / "model_index.json"
    entry = {"image_processor": ["transformers", "CLIPImageProcessorPil"]}
    index.write_text(json.dumps({**json.loads(index.read_text()), **entry}))
    (folder / "image_processor").mkdir()
    (folder / "image_processor" / "preprocessor_config.json").write_text("{}")
    assert find_model(str(folder)).source == str(folder)


@pytest.mark.parametrize(
    "file", ["tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json", "scheduler/scheduler_config.json"]
)
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_json_file_that_is_cut_short_is_named(file, more, folder, phyt2v):
    path = folder / file
    path.write_text(path.read_text()[:-20])
    assert str(path) in refused(folder)
    ended = phyt2v("generate", "--prompt", "a ball", "--model", str(folder), *more)
    assert (ended.code, ended.out) == (4, "")
    (error,) = ended.errors()
    assert error.startswith(f"error: {path} cannot be read as json: ")
    assert ended.hints() == ["hint: Fetch the model again."]


def test_a_tokenizer_may_be_larger_than_any_config(folder):
    path = folder / "tokenizer" / "tokenizer.json"
    path.write_text(path.read_text() + " " * 20 * 2**20)
    find_model(str(folder))


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\xff"])
def test_an_index_that_is_no_json_object(folder, text):
    (folder / "model_index.json").write_text(text, encoding="latin-1")
    assert "json" in refused(folder)


@pytest.mark.parametrize("component", ["transformer", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_component(folder, component):
    shutil.rmtree(folder / component)
    assert f"{component} is missing" in refused(folder)


def test_a_component_without_config(folder):
    (folder / "vae" / "config.json").unlink()
    assert "vae has no config.json" in refused(folder)


def test_a_component_without_weights(folder):
    (folder / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    assert "transformer has no weights" in refused(folder)


@pytest.mark.parametrize("suffix", [".bin", ".ckpt", ".pt"])
def test_pickle_weights(folder, suffix):
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(suffix))
    message = refused(folder)
    assert "transformer" in message
    assert f"pickle ({suffix})" in message


def test_safetensors_beside_pickle_are_fine(folder):
    (folder / "transformer" / "diffusion_pytorch_model.bin").touch()
    find_model(str(folder))


def test_an_optional_component_that_is_not_there(folder):
    index_path = folder / "model_index.json"
    index = json.loads(index_path.read_text())
    index_path.write_text(json.dumps({**index, "image_encoder": [None, None]}))
    find_model(str(folder))


def test_a_pipeline_that_brings_its_own_code(folder):
    index_path = folder / "model_index.json"
    index = json.loads(index_path.read_text())
    index_path.write_text(json.dumps({**index, "_class_name": ["pipeline", "MyPipeline"]}))
    assert "own code" in refused(folder)


def test_a_hub_id_offline(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert "hf download some-one/some-model" in refused("some-one/some-model")


def test_the_embedded_model_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(diffusers_folder, "MODEL_DIR", tmp_path / "model")
    with pytest.raises(ModelLoadError, match="embedded model"):
        find_model("tiny")


def test_judging_a_folder_needs_no_torch():
    code = (
        "import sys, phyt2v_cli.backends.checkpoints.diffusers_folder; "
        "import phyt2v_cli.backends.diffusion.families.table; "
        "sys.exit(bool({'torch', 'diffusers', 'transformers'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_file_of_sharded_weights(folder):
    vae = folder / "vae"
    index = {"weight_map": {"a": "diffusion_pytorch_model.safetensors", "b": "part-2.safetensors"}}
    (vae / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    assert "vae lacks 1 of 2 files of weights" in refused(folder)
    save_file({}, vae / "part-2.safetensors")
    find_model(str(folder))


def test_what_a_mac_leaves_beside_the_weights_is_passed_over(folder):
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    (folder / "vae" / f"._{weights.name}").write_bytes(b"\0\5\x16\7 of a Mac")
    assert find_model(str(folder)).source == str(folder)
    weights.unlink()
    assert "has no weights" in refused(folder)
