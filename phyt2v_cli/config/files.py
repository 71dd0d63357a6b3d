"""Files of settings: how they are read, and where those lie that apply unasked.

A user file is in the user's config folder. A project file is `phyt2v.toml` in the current folder or in the
nearest folder above it. Knows no setting but those that a project file must not have.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from phyt2v_cli.errors import ConfigError, UsageError
from phyt2v_cli.files.user_text import read_text

PROJECT_FILE = "phyt2v.toml"
USER_FILE = "config.toml"
ISOLATED = "PHYT2V_ISOLATED"
"""Variable of the environment that, if it is not empty, leaves out the user file and the project file."""
MAX_CONFIG_BYTES = 2**20
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


class Setting(NamedTuple):
    """One value of one layer with its origin: where it was set, in words that help the user to find it."""

    value: object
    origin: str


Layer = Mapping[str, Setting]
"""Settings of one layer, by dotted key."""


def read_found(folder: Path | None = None) -> list[Layer]:
    """Layers of the user file and of the project file of `folder` (None: the current one), if they exist.

    There are none if `ISOLATED` is set.

    Raises UsageError if a file cannot be read, is no TOML, or is a project file of another user, and
    ConfigError if a project file has settings that only the user may give.
    """
    if os.environ.get(ISOLATED):
        return []
    layers = []
    if (user_file := find_user_file()) is not None and os.path.lexists(user_file):
        layers.append(read_toml(user_file, f"user file {user_file}"))
    if (project_file := find_project_file(folder)) is not None:
        if project_file.exists() and project_file.stat().st_uid not in (0, os.getuid()):
            raise UsageError(
                f"project file {project_file} belongs to another user",
                f"Set {ISOLATED}=1 to leave it out; if you trust it, name it with `config` too.",
            )
        layer = read_toml(project_file, f"project file {project_file}")
        refuse_reaches(layer)
        layers.append(layer)
    return layers


def find_user_file() -> Path | None:
    """Path of the user file, whether or not it exists; None for a user without a home."""
    from platformdirs import user_config_path

    try:
        path = user_config_path("phyt2v", appauthor=False) / USER_FILE
    except RuntimeError:  # an unknown user, as in a container that is given any user id
        return None
    return path if path.is_absolute() else None


def find_project_file(folder: Path | None = None) -> Path | None:
    """Path of the project file of `folder` (None: the current one), or None."""
    try:
        folder = folder or Path.cwd()
    except OSError:  # it was removed
        return None
    candidates = (parent / PROJECT_FILE for parent in (folder, *folder.parents))
    return next((path for path in candidates if os.path.lexists(path)), None)


def read_toml(path: Path, origin: str) -> Layer:
    """Layer of a TOML file; raises UsageError if it cannot be read or is no TOML."""
    import tomllib

    content = read_text(str(path), MAX_CONFIG_BYTES, UsageError, "Give a TOML file with settings.")
    try:
        sections = tomllib.loads(content)
    except (ValueError, RecursionError) as error:  # deep nesting, and numbers of thousands of digits
        raise UsageError(f"{origin} is not TOML: {error}") from error
    return layer_of_tree(sections, origin)


def layer_of_tree(sections: Mapping[str, object], origin: str) -> Layer:
    """Layer of a nested mapping, as a TOML file is read."""
    layer: dict[str, Setting] = {}
    for section, values in sections.items():
        if isinstance(values, Mapping):
            layer |= {f"{section}.{key}": Setting(value, origin) for key, value in values.items()}
        else:
            layer[section] = Setting(values, origin)
    return layer


def refuse_reaches(layer: Layer) -> None:
    """Refuse settings that start programs, or send data or keys to other machines.

    A project file may come with somebody else's files, and applies without being named. Raises ConfigError.
    """
    lines = [
        f"{key}: a project file may come from somebody else, so this is for the user file or `config` "
        f"({setting.origin})"
        for key, setting in layer.items()
        if any(_reaches_out(name, value) for name, value in _named_values(key, setting.value))
    ]
    if lines:
        raise ConfigError("\n".join(lines))


def _named_values(key: str, value: object) -> Iterator[tuple[str, object]]:
    """A setting's name and value, and those of all tables inside it."""
    yield key.rpartition(".")[2], value
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _named_values(name, inner)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, Mapping):
                yield from _named_values("", inner)


def _reaches_out(name: str, value: object) -> bool:
    if name == "base_url":
        return not _is_local(value)
    if name == "ray_address":
        return value not in ("auto", "local")
    return name in ("command", "api_key_env")


def _is_local(url: object) -> bool:
    from urllib.parse import urlsplit

    try:
        return urlsplit(str(url)).hostname in _LOCAL_HOSTS
    except ValueError:  # no URL
        return False
