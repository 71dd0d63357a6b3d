"""A component that is wrong is named, in words that say what to do, and never loaded as if it were whole."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers

from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import BackendError, ModelLoadError
from tests.command_line import CommandLine
from tests.tiny_unets import save_animatediff

NOT_GOOD = ".\nFetch the model again, or name another."


@pytest.fixture
def folder(tiny_cogvideox_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_cogvideox_dir, tmp_path / "model"))


def change(path: Path, **entries: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def refuse(folder: Path) -> str:
    with pytest.raises(ModelLoadError) as caught:
        load(GeneratorConfig(model=str(folder), device="cpu"))
    return str(caught.value)


def fail_with(error: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("component", "library"),
    [
        ("transformer", diffusers),
        ("scheduler", diffusers),
        ("text_encoder", transformers),
        ("tokenizer", transformers),
    ],
)
def test_a_class_that_the_library_does_not_have_is_said_before_anything_is_loaded(
    component: str, library: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = library.__name__
    change(folder / "model_index.json", **{component: [name, f"New{component.title()}"]})
    for loader in (transformers.PreTrainedModel, diffusers.DiffusionPipeline):
        monkeypatch.setattr(loader, "from_pretrained", fail_with(AssertionError("something was loaded")))
    assert refuse(folder) == (
        f"{folder} needs the class New{component.title()} for its {component}, which {name} "
        f"{library.__version__} does not have.\nUpgrade {name}, or name another model."
    )


def test_a_class_under_its_older_name_is_loaded_as_diffusers_does(tmp_path: Path) -> None:
    folder = save_animatediff(tmp_path)
    change(folder / "model_index.json", feature_extractor=["transformers", "CLIPFeatureExtractor"])
    (folder / "feature_extractor").mkdir()
    (folder / "feature_extractor" / "preprocessor_config.json").write_text("{}")
    assert not hasattr(transformers, "CLIPFeatureExtractor")
    load(GeneratorConfig(model=str(folder), device="cpu"))


@pytest.mark.parametrize(
    ("file", "entries"),
    [
        ("tokenizer/tokenizer.json", {"model": {"type": "New"}}),
        ("tokenizer/tokenizer_config.json", {"extra_ids": "many"}),
        ("scheduler/scheduler_config.json", {"beta_schedule": "new"}),
        ("transformer/config.json", {"num_layers": "many"}),
        ("text_encoder/config.json", {"num_layers": "many"}),
    ],
)
def test_a_component_that_makes_no_sense_is_named(
    file: str, entries: dict[str, object], folder: Path
) -> None:
    change(folder / file, **entries)
    said = refuse(folder)
    assert said.startswith(f"{folder} cannot be loaded: {Path(file).parent}: ")
    assert said.endswith(NOT_GOOD)
    assert len(said.splitlines()) == 2


def test_a_tokenizer_that_fails_only_as_it_reads_is_the_models_failure(folder: Path) -> None:
    change(folder / "tokenizer" / "tokenizer_config.json", model_max_length="many")
    with pytest.raises(BackendError, match="The model failed while reading a prompt: "):
        load(GeneratorConfig(model=str(folder), device="cpu"))


SHAPES = {
    "transformer": {"num_attention_heads": 4},
    "vae": {"latent_channels": 8},
    "text_encoder": {"d_model": 64},
}
LAYERS = {
    "transformer": ({"num_layers": 4}, 48, "transformer_blocks.2.norm1.linear.weight"),
    "vae": ({"layers_per_block": 2}, 96, "encoder.down_blocks.0.resnets.1.norm1.weight"),
    "text_encoder": ({"num_layers": 4}, 16, "encoder.block.2.layer.0.SelfAttention.k.weight"),
}


@pytest.mark.parametrize("component", SHAPES)
def test_weights_that_do_not_fit_their_config(component: str, folder: Path) -> None:
    change(folder / component / "config.json", **SHAPES[component])
    assert refuse(folder) == (
        f"{folder} cannot be loaded: {component}: its weights do not fit its config.json{NOT_GOOD}"
    )


@pytest.mark.parametrize("component", LAYERS)
def test_weights_that_are_not_there_are_not_made_up(component: str, folder: Path) -> None:
    entries, count, first = LAYERS[component]
    change(folder / component / "config.json", **entries)
    assert refuse(folder) == (
        f"{folder} cannot be loaded: {component}: it lacks {count} of the weights that its config.json "
        f"asks for, {first} for one{NOT_GOOD}"
    )


@pytest.mark.parametrize(
    ("file", "entries", "said"),
    [
        ("model_index.json", {"scheduler": ["diffusers", "NewScheduler"]}, "Upgrade diffusers"),
        ("tokenizer/tokenizer.json", {"model": {"type": "New"}}, "cannot be loaded: tokenizer: "),
        ("vae/config.json", SHAPES["vae"], "vae: its weights do not fit its config.json"),
        ("transformer/config.json", {"num_layers": 4}, "transformer: it lacks 48 of the weights"),
    ],
)
def test_the_command_line_says_so_in_one_line_and_writes_nothing(
    file: str, entries: dict[str, object], said: str, folder: Path, tmp_path: Path, phyt2v: CommandLine
) -> None:
    change(folder / file, **entries)
    ended = phyt2v("generate", "--prompt", "a ball", "--model", str(folder), "--steps", "2")
    assert (ended.code, ended.out) == (4, "")
    (error,) = ended.errors()
    (hint,) = ended.hints()
    assert said in error or said in hint
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("loader", [transformers.PreTrainedModel, diffusers.ModelMixin])
def test_too_little_memory_is_no_broken_model(
    loader: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    monkeypatch.setattr(loader, "from_pretrained", fail_with(full))
    with pytest.raises(BackendError, match="Out of memory while loading the model") as caught:
        load(GeneratorConfig(model=str(folder), device="cpu"))
    assert not isinstance(caught.value, ModelLoadError)


@pytest.mark.parametrize("components", [("text_encoder", "transformer", "vae"), ("transformer",)])
def test_weights_that_are_there_as_a_variant_only(components: tuple[str, ...], folder: Path) -> None:
    for component in components:
        for path in (folder / component).glob("*.safetensors"):
            path.rename(path.with_suffix(".fp16.safetensors"))
    assert load(GeneratorConfig(model=str(folder), num_frames=9, height=16, width=16)).settings
