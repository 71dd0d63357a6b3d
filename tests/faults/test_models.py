"""Model folders that would run code when they are loaded."""

import json
import os
import pickle
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from phyt2v_cli.backends.checkpoints.diffusers_folder import find_model
from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.backends.local import models as local_models
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.judges import LlmConfig
from phyt2v_cli.errors import ModelLoadError
from tests.faults.processes import PHYT2V, QUICK, end, start
from tests.hub_double import HUB_ID, serve_hub


class Evil:
    """Unpickling it leaves a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.trace,)


@pytest.fixture
def folder(tiny_cogvideox_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_cogvideox_dir, tmp_path / "model"))


def refuse(folder: Path) -> str:
    with pytest.raises(ModelLoadError) as caught:
        load(GeneratorConfig(model=str(folder)))
    assert caught.value.exit_code == 4
    return str(caught.value)


@pytest.mark.parametrize("component", ["transformer", "vae", "text_encoder"])
@pytest.mark.parametrize("suffix", [".bin", ".pt", ".ckpt"])
def test_fault_43_pickle_weights_are_refused(
    component: str, suffix: str, folder: Path, tmp_path: Path
) -> None:
    (weights,) = (folder / component).glob("*.safetensors")
    weights.unlink()
    (folder / component / f"{weights.stem}{suffix}").write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    assert "pickle" in refuse(folder)
    assert not (tmp_path / "ran").exists()


def name_pickle(folder: Path, trace: Path, index_name: str) -> None:
    """Put a pickle into a folder of weights, and an index that names it."""
    (weights,) = folder.glob("*.safetensors")
    (folder / "evil.bin").write_bytes(pickle.dumps(Evil(trace)))
    weight_map = {"a": weights.name, "b": "evil.bin"}
    (folder / index_name).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


@pytest.mark.parametrize(
    ("component", "stem"),
    [
        ("transformer", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
    ],
)
@pytest.mark.parametrize("variant", ["", ".fp16"])
def test_fault_47_an_index_that_names_a_pickle_is_refused(
    component: str, stem: str, variant: str, folder: Path, tmp_path: Path
) -> None:
    name_pickle(folder / component, tmp_path / "ran", f"{stem}.safetensors.index{variant}.json")
    said = refuse(folder)
    assert "names 'evil.bin'" in said
    assert "only read from *.safetensors" in said
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["../../evil.safetensors", "/evil.safetensors", "a/b.safetensors"])
def test_fault_47_an_index_that_names_a_file_elsewhere_is_refused(name: str, folder: Path) -> None:
    index = {"weight_map": {"a": name}}
    (folder / "vae" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    assert "beside it" in refuse(folder)


def test_fault_47_so_is_a_language_models(tiny_llama_dir: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(tiny_llama_dir, tmp_path / "llm"))
    name_pickle(model, tmp_path / "ran", "model.safetensors.index.json")
    with pytest.raises(ModelLoadError, match=r"names 'evil\.bin'"):
        local_models.load(LlmConfig(model=str(model)), role="llm")
    (model / "model.safetensors.index.json").unlink()
    (model / "adapter_config.json").write_text('{"base_model_name_or_path": "../elsewhere"}')
    with pytest.raises(ModelLoadError, match="holds an adapter"):
        local_models.load(LlmConfig(model=str(model)), role="llm")
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_fault_47_so_is_a_language_model_of_the_hub(tiny_llama_dir: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(tiny_llama_dir, tmp_path / "llm"))
    name_pickle(model, tmp_path / "ran", "model.safetensors.index.json")
    with serve_hub(model) as (endpoint, fetched):
        settings = ("llm.backend=transformers", f"llm.model={HUB_ID}")
        command = [*PHYT2V, *QUICK, *(word for setting in settings for word in ("--set", setting))]
        hub = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
        ended = end(start(command, {**os.environ, **hub}, cwd=tmp_path))
    assert ended.code == 4
    assert "names 'evil.bin'" in ended.err
    assert "evil.bin" not in fetched
    assert not (tmp_path / "ran").exists()


def test_fault_43_pickle_beside_safetensors_is_never_read(folder: Path, tmp_path: Path) -> None:
    for component in ("transformer", "vae", "text_encoder", "tokenizer", "scheduler"):
        for name in ("diffusion_pytorch_model.bin", "pytorch_model.bin", "model.pt", "data.pkl"):
            (folder / component / name).write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    generator = load(GeneratorConfig(model=str(folder), device="cpu"))
    generator.denoise("a", seed=0, num_inference_steps=1, on_step=lambda *_: None)
    assert not (tmp_path / "ran").exists()


def change_index(folder: Path, **entries: object) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def plant(path: Path, trace: Path) -> None:
    path.write_text(f"import pathlib\npathlib.Path({str(trace)!r}).touch()\nclass Mine: pass\n")


@pytest.mark.parametrize(
    "entries",
    [
        {"_class_name": ["pipeline", "Mine"]},
        {"_class_name": "Mine"},
        {"transformer": ["mine", "Mine"]},
        {"transformer": ["transformer.mine", "Mine"]},
        {"scheduler": ["mine", "Mine"]},
        {"tokenizer": ["os", "system"]},
        {"text_encoder": ["subprocess", "Popen"]},
    ],
    ids=str,
)
def test_fault_43_remote_code_is_refused(entries: dict[str, object], folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    for place in (folder, folder / "transformer", folder / "scheduler"):
        for name in ("mine.py", "pipeline.py", "transformer.py"):
            plant(place / name, trace)
    change_index(folder, **entries)
    refuse(folder)
    assert not trace.exists()


@pytest.mark.parametrize("component", ["transformer", "text_encoder", "tokenizer", "vae", "scheduler"])
def test_fault_43_auto_map_is_not_followed(component: str, folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    classes = ("AutoModel", "AutoTokenizer", "AutoConfig", "T5EncoderModel")
    for config in (folder / component).glob("*config.json"):
        entries = {"auto_map": dict.fromkeys(classes, "mine.Mine"), "trust_remote_code": True}
        config.write_text(json.dumps({**json.loads(config.read_text()), **entries}))
    plant(folder / component / "mine.py", trace)
    with suppress(ModelLoadError):
        load(GeneratorConfig(model=str(folder), device="cpu"))
    assert not trace.exists()


def test_fault_43_an_index_that_is_huge_deep_or_a_pipe(folder: Path) -> None:
    index = folder / "model_index.json"
    index.write_text("[" * 200_000)
    assert "cannot be read" in refuse(folder)
    with index.open("r+b") as file:
        file.truncate(10**10)
    assert "larger than" in refuse(folder)
    index.unlink()
    os.mkfifo(index)
    with pytest.raises(ModelLoadError):
        find_model(str(folder))
