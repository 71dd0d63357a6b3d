"""Roles that are given as objects, in the config. Knows no backend."""

from collections.abc import Mapping
from pathlib import Path

from phyt2v_cli.config.layers import LoadedConfig
from phyt2v_cli.config.schema import OBJECT, SERVER_BACKENDS, Config
from phyt2v_cli.errors import RunDirError


def name_objects(loaded: LoadedConfig, given: Mapping[str, object]) -> LoadedConfig:
    """Put the classes of roles given as objects into the config, which identifies and records the run."""
    update: dict[str, object] = {}
    for name, model in _models_of(given).items():
        section = getattr(loaded.config, name)
        unset = {"backend": None if name != "generator" else "diffusers"}
        others = {"others": ()} if name == "scorer" else {}
        update[name] = section.model_copy(update={"model": model, **unset, **others})
    return loaded._replace(config=loaded.config.model_copy(update=update))


def check_objects(path: Path, config: Config, given: Mapping[str, object]) -> None:
    """Raise RunDirError unless the roles given as objects are of the classes that the run at `path` has."""
    models = {name: getattr(config, name).model for name in SERVER_BACKENDS}
    there = {name: model for name, model in models.items() if str(model).startswith(OBJECT)}
    here = _models_of(given)
    lines = [
        f"{name}: {there.get(name, 'none')} -> {here.get(name, 'none')}"
        for name in models
        if there.get(name) != here.get(name)
    ]
    if lines:
        raise RunDirError(
            "\n  ".join([f"{path} is a run with other Python objects as its roles:", *lines]),
            "Call it from Python, with the objects that the run began with.",
        )


def _models_of(given: Mapping[str, object]) -> dict[str, str]:
    models: dict[str, str] = {}
    for name, role in given.items():
        parts = role if isinstance(role, list | tuple) else [role]
        classes = ", ".join(f"{type(part).__module__}.{type(part).__qualname__}" for part in parts)
        models[name] = f"{OBJECT}{classes}"
    return models
