"""Diffusers pipeline folders: found, fetched and validated by their JSON files before any weight is read.

This file must not import torch or diffusers, so that a wrong folder is refused at once. It knows the
diffusers layout (model_index.json and one folder for each component); it must not know families of models.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phyt2v_cli.backends.checkpoints import files
from phyt2v_cli.backends.checkpoints.files import read_json
from phyt2v_cli.backends.checkpoints.hub import fetch_files, find_snapshot
from phyt2v_cli.backends.checkpoints.model_config import check_sizes
from phyt2v_cli.errors import ModelLoadError
from phyt2v_cli.files.untrusted import expand, is_hub_id, refusals_as
from phyt2v_cli.tiny import MODEL_DIR

_WEIGHTLESS = (
    "TokenizersBackend",
    "Tokenizer",
    "TokenizerFast",
    "Scheduler",
    "Processor",
    "ProcessorFast",
    "ProcessorPil",
    "FeatureExtractor",
    "Guidance",
)
"""Suffixes of the class names of components without weights."""

_CONFIG_NAMES = ("scheduler_config.json", "guider_config.json", "config.json")
_CONFIG_PATTERNS = tuple(f"*/{name}" for name in _CONFIG_NAMES)

_READ_WHOLE = ("tokenizer.json", "*_config.json")
"""JSON files of components without weights, which are read in full as a check."""
_MAX_TOKENIZER_BYTES = 100 * 2**20
"""Size limit of those files; Gemma's tokenizer.json has 33 MB."""

_PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")

_FETCHED = (".safetensors", ".json", ".txt", ".model")
"""Fetched file types: weights, configs, word lists, and sentencepiece models of tokenizers."""

_FETCH_AGAIN = "Fetch the model again."

_TWINS = ("*.fp16*", "*.bf16*")
"""Duplicates of the weights in half precision, not fetched because the generator converts by itself."""


@dataclass(frozen=True)
class ModelFolder:
    """Pipeline in diffusers layout, local or on the hub."""

    source: str
    """Argument of `DiffusionPipeline.from_pretrained`: a path or a hub id."""
    revision: str | None
    """Commit on the hub whose files were checked, so that its weights are loaded; None for a path."""
    pipeline_class: str
    components: Mapping[str, tuple[str, str]]
    """Library and class name by component."""
    component_configs: Mapping[str, Mapping[str, Any]]
    """Config by component, for components that have one."""


def find_model(model: str, revision: str | None = None) -> ModelFolder:
    """Find the model that `generator.model` names: `tiny`, a local folder or a hub id, at `revision` there.

    A model that is complete in the local cache is used from there, without asking the hub. Otherwise only the
    JSON files of a hub id are fetched here. Raises ModelLoadError if the model is missing, incomplete, has
    only pickle weights, or is not a diffusers pipeline.
    """
    with refusals_as(ModelLoadError, model):
        return _find(model, revision)


def _find(model: str, revision: str | None) -> ModelFolder:
    path = MODEL_DIR if model == "tiny" else expand(model)
    if path.is_dir():
        folder = _read(path, source=str(path), label=str(path))
        _check_components(path)
        return folder
    if model == "tiny":
        raise ModelLoadError(
            f"The embedded model is not in {path}.", "Install phyt2v again, or name another model."
        )
    if path.exists():
        raise ModelLoadError(
            f"{model} is a file.",
            "Give the folder of a diffusers pipeline, which has model_index.json in it.",
        )
    if not is_hub_id(model):
        raise ModelLoadError(
            f"{model} does not exist.", "Give tiny, a folder in diffusers layout, or a hub id."
        )
    if cached := find_cached(model, revision):
        return _read(cached, source=str(cached), label=model)
    snapshot = fetch_files(model, ["model_index.json", *_CONFIG_PATTERNS], revision=revision)
    return _read(snapshot, source=model, revision=snapshot.name, label=model)


def find_cached(hub_id: str, revision: str | None = None) -> Path | None:
    """Find the folder of a model that is complete in the local cache, without asking the hub; else None."""
    folder = find_snapshot(hub_id, revision)
    if folder is None:
        return None
    try:
        _check_components(folder)
    except ModelLoadError:
        return None
    return folder


def fetch_model(hub_id: str, revision: str | None = None) -> Path:
    """Fetch a model from the hub into the local cache, and return its folder.

    Pickle files and half-precision duplicates are left out. Raises ModelLoadError if the hub cannot be
    reached or refuses, the cache cannot be written, or the model is incomplete or has only pickle weights.
    """
    folder = fetch_files(hub_id, ["model_index.json"], revision=revision)
    components = _components(read_json(_index_path(folder, label=hub_id)))
    wanted = [f"{component}/*{suffix}" for component in components for suffix in _FETCHED]
    folder = fetch_files(hub_id, ["model_index.json", *wanted], _TWINS, revision=revision)
    half_only = [
        name
        for name in components
        if (folder / name / "config.json").is_file() and not files.find_weights(folder / name)
    ]
    if half_only:
        fetch_files(hub_id, [f"{component}/*.safetensors*" for component in half_only], revision=revision)
    _check_components(folder)
    return folder


def _read(path: Path, *, source: str, revision: str | None = None, label: str) -> ModelFolder:
    index_path = _index_path(path, label=label)
    index = read_json(index_path)
    pipeline_class = index.get("_class_name")
    if not isinstance(pipeline_class, str):
        raise ModelLoadError(
            f"{index_path} names no pipeline class of diffusers. "
            "Pipelines that bring their own code are refused."
        )
    components = _components(index)
    configs = {
        component: read_json(file)
        for component in components
        for name in _CONFIG_NAMES
        if (file := path / component / name).is_file()
    }
    return ModelFolder(source, revision, pipeline_class, components, configs)


def _index_path(path: Path, *, label: str) -> Path:
    index_path = path / "model_index.json"
    if not index_path.is_file():
        if (path / "modular_model_index.json").exists():
            raise ModelLoadError(
                f"{label} is a modular pipeline of diffusers, and those are not supported.",
                "Name the same model as a plain pipeline, with a model_index.json.",
            )
        raise ModelLoadError(
            f"{label} has no model_index.json, so it is no diffusers pipeline.",
            "Give the folder that holds it; a single checkpoint must first be converted to diffusers layout.",
        )
    return index_path


def _components(index: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Library and class name of each component that model_index.json lists."""
    return {
        name: (str(entry[0]), entry[1])
        for name, entry in index.items()
        if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], str)
    }


def _check_components(path: Path) -> None:
    with refusals_as(ModelLoadError, path):
        for component, (_, class_name) in _components(read_json(path / "model_index.json")).items():
            _check_component(path / component, class_name, label=f"{path}/{component}")


def _check_component(path: Path, class_name: str, *, label: str) -> None:
    if not path.is_dir():
        raise ModelLoadError(f"{label} is missing, but model_index.json names it.", _FETCH_AGAIN)
    if class_name.endswith(_WEIGHTLESS):
        for file in (found for pattern in _READ_WHOLE for found in sorted(path.glob(pattern))):
            content = read_json(file, _MAX_TOKENIZER_BYTES)
            if not file.name.startswith("tokenizer"):  # these say 10^30 for "any"
                check_sizes(content, path=file)
        return
    if not (path / "config.json").is_file():
        raise ModelLoadError(f"{label} has no config.json.", _FETCH_AGAIN)
    suffixes = {file.suffix for file in path.iterdir()}
    if files.find_weights(path):
        files.check_weights(path)
        return
    if pickles := suffixes.intersection(_PICKLES):
        raise ModelLoadError(
            f"{label} has its weights only as pickle ({', '.join(sorted(pickles))}), "
            "which can run any code when loaded.",
            "Fetch them as safetensors, or convert them.",
        )
    raise ModelLoadError(f"{label} has no weights (*.safetensors).", _FETCH_AGAIN)
