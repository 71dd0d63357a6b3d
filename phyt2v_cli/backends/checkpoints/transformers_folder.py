"""Folders of language models and VLMs: found and validated by their files before any weight is read.

This file must not import torch or transformers, so that a wrong folder is refused at once. It knows the
layout that transformers saves (config.json beside the weights); it must not know any architecture.
"""

from dataclasses import dataclass
from pathlib import Path

from phyt2v_cli.backends.checkpoints import files, hub
from phyt2v_cli.backends.checkpoints.files import read_json
from phyt2v_cli.errors import ModelLoadError
from phyt2v_cli.files.untrusted import expand, is_hub_id, refusals_as

_PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")


@dataclass(frozen=True)
class LanguageFolder:
    """Model in the layout of transformers, local or on the hub."""

    source: str
    """Argument of `from_pretrained`: an absolute path or a hub id."""
    revision: str
    """Commit on the hub whose config was checked, so that its weights are loaded; `main` for a path."""
    model_type: str


def find_language_model(model: str) -> LanguageFolder:
    """Find the model that a role's `model` names; only the config of a hub id is fetched here.

    Raises ModelLoadError if it is missing, incomplete, has only pickle weights, or is no model of
    transformers.
    """
    with refusals_as(ModelLoadError, model):
        return _find(model)


def _find(model: str) -> LanguageFolder:
    path = expand(model)
    if path.is_dir():
        path = path.resolve()
        model_type = _read_model_type(path, label=str(path))
        _check_weights(path)
        return LanguageFolder(source=str(path), revision="main", model_type=model_type)
    if path.exists():
        raise ModelLoadError(
            f"{model} is a file.",
            "Give the folder of a model of transformers, which has config.json in it.",
        )
    if not is_hub_id(model):
        raise ModelLoadError(
            f"{model} does not exist.", "Give the folder of a model of transformers, or a hub id."
        )
    snapshot = hub.fetch(
        model, ["config.json", "model_index.json", "adapter_config.json", "*.safetensors.index*.json"]
    )
    files.check_what_is_read(snapshot, whole=False)
    model_type = _read_model_type(snapshot, label=model)
    return LanguageFolder(source=model, revision=snapshot.name, model_type=model_type)


def _read_model_type(path: Path, *, label: str) -> str:
    if not (path / "config.json").is_file():
        if (path / "model_index.json").is_file():
            raise ModelLoadError(
                f"{label} is a pipeline of diffusers, not a language model.", "Name another."
            )
        raise ModelLoadError(
            f"{label} has no config.json, so it is no model of transformers.",
            "Give the folder that holds it; a gguf file is served by a program of its own, with the openai "
            "backend.",
        )
    config = read_json(path / "config.json")
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise ModelLoadError(f"{path / 'config.json'} names no model_type.", "Fetch the model again.")
    return model_type


def _check_weights(path: Path) -> None:
    suffixes = {file.suffix for file in path.iterdir()}
    if files.find_weights(path):
        files.check_weights(path)
        return
    if pickles := suffixes.intersection(_PICKLES):
        raise ModelLoadError(
            f"{path} has its weights only as pickle ({', '.join(sorted(pickles))}), "
            "which can run any code when loaded.",
            "Fetch them as safetensors, or convert them.",
        )
    raise ModelLoadError(f"{path} has no weights (*.safetensors).", "Fetch the model again.")
