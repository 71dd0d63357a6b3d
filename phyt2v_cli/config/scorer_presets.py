"""Presets of scorers: TOML files with the settings of one scorer, in `configs/scorers/` or of the user's.

Knows no judge. docs/judges.md says what each of them is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from phyt2v_cli.config.files import MAX_CONFIG_BYTES, Layer, Setting
from phyt2v_cli.config.judges import MAX_SCORERS
from phyt2v_cli.config.presets import configs_folder, did_you_mean
from phyt2v_cli.errors import UsageError
from phyt2v_cli.files.untrusted import expand
from phyt2v_cli.files.user_text import read_text


def list_scorer_presets() -> dict[str, Path]:
    """List the paths of the shipped presets by name."""
    return {path.stem: path for path in sorted((configs_folder() / "scorers").glob("*.toml"))}


def scorer_layer(names: Sequence[str], origin: str) -> Layer:
    """Layer of settings for the scorers of these presets: the first decides, the others are beside it.

    A name is that of a shipped preset, or the path of a TOML file. `origin` words where they were named.
    Raises UsageError if there is no such preset or file, or if it is no TOML.
    """
    if len(names) > MAX_SCORERS:
        raise UsageError(f"{origin}: there are more than {MAX_SCORERS} scorers")
    first, *others = [read_scorer_preset(name) for name in names]
    layer = {f"scorer.{key}": Setting(value, f"{origin} {names[0]}") for key, value in first.items()}
    if others:
        layer["scorer.others"] = Setting(others, origin)
    return layer


def read_scorer_preset(name: str) -> Mapping[str, object]:
    """Read the settings of a scorer; raises as `scorer_layer` does."""
    import tomllib

    presets = list_scorer_presets()
    if name not in presets and not name.endswith(".toml"):
        raise UsageError(
            f"there is no scorer {name!r}.{did_you_mean(name, presets)} Scorers: {', '.join(presets)}.",
            "Settings of your own can be read from a file whose name ends in .toml.",
        )
    path = presets.get(name) or expand(name).absolute()
    text = read_text(str(path), MAX_CONFIG_BYTES, UsageError, "Give a TOML file with settings of a scorer.")
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"scorer {name} is not TOML: {error}") from error
    if tables := [key for key, value in tree.items() if isinstance(value, dict)]:
        raise UsageError(
            f"scorer {name}: [{tables[0]}] is a table, and the settings of one scorer need none",
            "Write them at the top of the file, without the name of a section.",
        )
    if "others" in tree:
        raise UsageError(f"scorer {name}: it names one scorer, so others cannot be in it")
    return tree
