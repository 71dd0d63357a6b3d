"""Presets shipped with phyt2v: TOML files in `configs/`, found by name or by model.

Knows no layer of settings and no model.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from phyt2v_cli.errors import UsageError


def list_presets() -> dict[str, Path]:
    """List the paths of the shipped presets by name."""
    return {path.stem: path for path in sorted(configs_folder().glob("*.toml"))}


def configs_folder() -> Path:
    """Folder of the shipped presets."""
    packaged = Path(__file__).parents[1] / "configs"
    # A checkout keeps them at its root; only the wheel has them inside the package.
    return packaged if packaged.is_dir() else packaged.parents[1] / "configs"


def find_preset(name: str) -> Path:
    """Find the path of a preset by name; raise UsageError with all names if there is none."""
    presets = list_presets()
    if name in presets:
        return presets[name]
    raise UsageError(
        f"there is no preset {name!r}.{did_you_mean(name, presets)} Presets: {', '.join(presets)}.",
        "Settings of your own can be read from a file with `config`.",
    )


def preset_of_model(model: str) -> str | None:
    """Name of the first preset that renders with `model`, or None."""
    import tomllib

    for name, path in list_presets().items():
        if tomllib.loads(path.read_text(encoding="utf-8")).get("generator", {}).get("model") == model:
            return name
    return None


def did_you_mean(word: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """Suggestion " Did you mean …?" with the known word nearest to `word`, or an empty text."""
    return suggest(nearest(word, known))


def suggest(word: str | None) -> str:
    """Suggestion " Did you mean …?", or an empty text if there is no word to suggest."""
    return f" Did you mean {word}?" if word else ""


def nearest(word: str, known: Sequence[str] | Mapping[str, object]) -> str | None:
    """Known word nearest to `word`, or None if none is near."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(known), n=1, cutoff=0.6)), None)
