"""Find the folder of a model and judge it by its json files, before any weight is read.

This file must not import torch or diffusers: a wrong folder is refused in a moment. It knows the diffusers
layout (model_index.json and one folder for each component), and no family of models.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phyt2v_cli.backends import hub_files
from phyt2v_cli.errors import ModelLoadError
from phyt2v_cli.plain_files import read_plain_file
from phyt2v_cli.tiny import MODEL_DIR

_WEIGHTLESS = (
    "TokenizersBackend",
    "Tokenizer",
    "TokenizerFast",
    "Scheduler",
    "Processor",
    "ProcessorFast",
    "FeatureExtractor",
)
"""How the class names of components end that have no weights."""

_MAX_JSON_BYTES = 16 * 2**20
_PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")


@dataclass(frozen=True)
class ModelFolder:
    """A pipeline in diffusers layout."""

    source: str
    """What `DiffusionPipeline.from_pretrained` is to be given: a path or a hub id."""
    pipeline_class: str
    component_configs: Mapping[str, Mapping[str, Any]]


def find_model(model: str) -> ModelFolder:
    """Return the model that `generator.model` names; of a hub id only the json files are fetched here.

    Raises ModelLoadError where it is missing, incomplete, not safe to load, or not a diffusers pipeline.
    """
    path = MODEL_DIR if model == "tiny" else Path(model).expanduser()
    if path.is_dir():
        folder = _read(path, source=str(path), label=str(path))
        for component, class_name in _components(_read_json(path / "model_index.json")).items():
            _check_component(path / component, class_name, label=f"{path}/{component}")
        return folder
    if model == "tiny":
        raise ModelLoadError(
            f"The embedded model is not in {path}. Install phyt2v again, or name another model."
        )
    if path.exists():
        raise ModelLoadError(
            f"{model} is a file. Give the folder of a diffusers pipeline, which has model_index.json in it."
        )
    if not hub_files.is_hub_id(model):
        raise ModelLoadError(
            f"{model} does not exist. Give `tiny`, a folder in diffusers layout, or a hub id."
        )
    json_files = hub_files.fetch(model, ["model_index.json", "*/config.json"])
    return _read(json_files, source=model, label=model)


def _read(path: Path, *, source: str, label: str) -> ModelFolder:
    index_path = path / "model_index.json"
    if not index_path.is_file():
        raise ModelLoadError(
            f"{label} has no model_index.json, so it is no diffusers pipeline. "
            "Give the folder that holds it; a single checkpoint must first be converted to diffusers layout."
        )
    index = _read_json(index_path)
    pipeline_class = index.get("_class_name")
    if not isinstance(pipeline_class, str):
        raise ModelLoadError(
            f"{index_path} names no pipeline class of diffusers. "
            "Pipelines that bring their own code are refused."
        )
    configs = {
        component: _read_json(path / component / "config.json")
        for component in _components(index)
        if (path / component / "config.json").is_file()
    }
    return ModelFolder(source=source, pipeline_class=pipeline_class, component_configs=configs)


def _components(index: Mapping[str, Any]) -> dict[str, str]:
    """Return the class name of each component that model_index.json says is there."""
    return {
        name: entry[1]
        for name, entry in index.items()
        if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], str)
    }


def _check_component(path: Path, class_name: str, *, label: str) -> None:
    if not path.is_dir():
        raise ModelLoadError(f"{label} is missing, but model_index.json names it. Fetch the model again.")
    if class_name.endswith(_WEIGHTLESS):
        return
    if not (path / "config.json").is_file():
        raise ModelLoadError(f"{label} has no config.json. Fetch the model again.")
    suffixes = {file.suffix for file in path.iterdir()}
    if ".safetensors" in suffixes:
        return
    if pickles := suffixes.intersection(_PICKLES):
        raise ModelLoadError(
            f"{label} has its weights only as pickle ({', '.join(sorted(pickles))}), "
            "which can run any code when loaded. Fetch them as safetensors, or convert them."
        )
    raise ModelLoadError(f"{label} has no weights (*.safetensors). Fetch the model again.")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_plain_file(path, _MAX_JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelLoadError(f"{path} cannot be read as json: {error}. Fetch the model again.") from error
    if not isinstance(content, dict):
        raise ModelLoadError(f"{path} holds no json object. Fetch the model again.")
    return content
