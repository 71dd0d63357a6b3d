"""Roles that are given as objects, in the config. Knows no backend."""

from collections.abc import Mapping

from phyt2v_cli.config.layers import LoadedConfig


def name_objects(loaded: LoadedConfig, given: Mapping[str, object]) -> LoadedConfig:
    """Put the classes of roles given as objects into the config, which identifies and records the run."""
    update: dict[str, object] = {}
    for name, role in given.items():
        parts = role if isinstance(role, list) else [role]
        classes = ", ".join(f"{type(part).__module__}.{type(part).__qualname__}" for part in parts)
        section = getattr(loaded.config, name)
        unset = {"backend": None if name != "generator" else "diffusers"}
        others = {"others": ()} if name == "scorer" else {}
        update[name] = section.model_copy(update={"model": f"object: {classes}", **unset, **others})
    return loaded._replace(config=loaded.config.model_copy(update=update))
