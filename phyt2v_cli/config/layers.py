"""Layers of settings, merged into one Config and validated once, with the origin of each value kept.

Layers, later ones win: defaults < preset < user file < project file < config file < environment < scorers <
flags. This file knows no model and no terminal; a preset is data in `configs/`.
"""

import os
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from phyt2v_cli.config.files import ISOLATED, Layer, Setting, layer_of_tree, read_toml
from phyt2v_cli.config.judges import ScorerConfig
from phyt2v_cli.config.keywords import KEYWORDS
from phyt2v_cli.config.presets import did_you_mean, find_preset, list_presets, nearest, suggest
from phyt2v_cli.config.schema import SERVER_BACKENDS, Config
from phyt2v_cli.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DEFAULT_PRESET = "tiny"
DEFAULT_JUDGE_MODEL = "gpt-4o"
"""Model of the judges if an API key is set and no judge is chosen. It reads pictures, as two of the three
roles must."""
ENVIRONMENT_PREFIX = "PHYT2V_"
SECTIONS: Mapping[str, type[BaseModel]] = {
    name: field.annotation
    for name, field in Config.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
MOVED = ("lowered to ", "raised to ")
"""Prefixes of the origin of a bound that `clamp_steps` has moved."""
_GIVEN = ("--", "argument ", "assignment ", "environment ", "config", "user file ", "project file ")
"""Prefixes of the origin of a value that the user has set."""
KEYS = tuple(f"{section}.{key}" for section, model in SECTIONS.items() for key in model.model_fields)

_SECRET_PRONE = ("api_key_env", "base_url")
_MAX_SHOWN_CHARS = 100


class LoadedConfig(NamedTuple):
    """Validated config, the preset that it started from, and the origin of each value by dotted key."""

    config: Config
    preset: str | None
    origins: Mapping[str, str]
    notices: tuple[str, ...] = ()
    """Notes for the user: variables of the environment that resemble settings and are none."""

    def is_given(self, key: str) -> bool:
        """Check if a value was set by the user, and not by a preset or a default."""
        return self.origins[key].startswith(_GIVEN)

    def with_schedule(self, name: str, value: int, origin: str) -> "LoadedConfig":
        """Copy with another value in the schedule."""
        schedule = self.config.schedule.model_copy(update={name: value})
        config = self.config.model_copy(update={"schedule": schedule})
        return self._replace(config=config, origins={**self.origins, f"schedule.{name}": origin})


def load_config(
    *,
    preset: str | None = None,
    config: Path | Mapping[str, object] | Config | None = None,
    found: Sequence[Layer] = (),
    environment: Mapping[str, str] | None = None,
    assignments: Sequence[str] = (),
    assigned_by: str = "assignment",
    scorers: Layer | None = None,
    flags: Layer | None = None,
) -> LoadedConfig:
    """Load, merge and validate all settings.

    `config` is a TOML file, a nested mapping like such a file, or a `Config`. A `Config` replaces preset,
    found files, environment and judges by key: only assignments and flags override it. `found` are the user
    file and the project file, as `read_found` reads them. A file may name a `preset` before its sections; a
    later file may name another. `environment` is the process's own
    by default. `assignments` are `section.key=value` texts; they count as flags, and their origin begins with
    `assigned_by`. `scorers` replace those of the layers before; `scorer_layer` makes them.

    Without a named preset the preset tiny is used, unless some layer names another model, which needs other
    sizes and judges: a role then gets the `openai` backend, if its key is there. Steps are clamped.

    Raises ConfigError with one ``field: message`` line for each wrong value, and UsageError for a preset or
    file that cannot be read.
    """
    environment = os.environ if environment is None else environment
    layers: list[Layer] = []
    notices: tuple[str, ...] = ()
    if isinstance(config, Config):
        layers.append(layer_of_tree(config.model_dump(exclude_defaults=True), "config"))
    else:
        layers += found
        if config is not None:
            layers.append(_read_config(config))
        layers.append(_from_environment(environment))
        notices = tuple(_strange_variables(environment))
    if scorers:
        kept = [{key: layer[key] for key in layer if not key.startswith("scorer.")} for layer in layers]
        layers = [*kept, scorers]
    layers.append(_from_assignments(assignments, assigned_by) | dict(flags or {}))
    if preset is None and not isinstance(config, Config):
        preset = _preset_of(layers)
    if preset is not None:
        layer = read_toml(find_preset(preset), f"preset {preset}")
        layers.insert(0, {key: layer[key] for key in layer if not (scorers and key.startswith("scorer."))})

    settings = _merge(layers)
    settings.pop("preset", None)
    if not isinstance(config, Config):
        settings |= _judges_by_key(settings, environment)
    _reject_unknown(settings)
    config = _validate(settings)
    origins = {key: settings[key].origin if key in settings else "default" for key in KEYS}
    return clamp_steps(LoadedConfig(config, preset, origins, notices))


def layer_of_keywords(values: Mapping[str, object], origin: Callable[[str], str]) -> Layer:
    """Layer of the settings that are given by their short names, as in `KEYWORDS`; None means not given.

    `origin` words the origin of a name. Raises UsageError if a name is unknown, or if settings contradict
    each other.
    """
    given = {name: value for name, value in values.items() if value is not None}
    if unknown := [name for name in given if name not in KEYWORDS]:
        raise UsageError(f"there is no setting {unknown[0]!r}.{did_you_mean(unknown[0], KEYWORDS)}")
    if "steps" in given and (others := given.keys() & {"schedule", "min_steps", "max_steps"}):
        spelt = " and ".join(sorted(origin(name) for name in others))
        raise UsageError(f"{origin('steps')} gives the steps of every video, so leave out {spelt}")
    for name in ("steps", "controls"):
        if isinstance(listed := given.get(name), str):
            given[name] = [part.strip() for part in listed.split(",")]
    if isinstance(rounds := given.get("rounds"), int):
        given["rounds"] = max(rounds, 0)  # none or fewer: a single video
    return {KEYWORDS[name]: Setting(value, origin(name)) for name, value in given.items()}


def clamp_steps(loaded: LoadedConfig) -> LoadedConfig:
    """Move the other bound of the steps if only one was given and the minimum is above the maximum.

    If both were given, or neither, they are left as they are.
    """
    schedule = loaded.config.schedule
    given = [name for name in ("min_steps", "max_steps") if loaded.is_given(f"schedule.{name}")]
    if schedule.steps is not None or schedule.min_steps <= schedule.max_steps or len(given) != 1:
        return loaded
    value = getattr(schedule, given[0])
    name = "max_steps" if given == ["min_steps"] else "min_steps"
    how = MOVED[name == "max_steps"] + loaded.origins[f"schedule.{given[0]}"]
    origin = f"{how} from {getattr(schedule, name)} ({loaded.origins[f'schedule.{name}']})"
    return loaded.with_schedule(name, value, origin)


def _preset_of(layers: Sequence[Layer]) -> str | None:
    """Preset that a layer names, unless a later one names a model, which needs other sizes and judges."""
    preset: str | None = DEFAULT_PRESET
    for layer in layers:
        if "preset" in layer:
            name, origin = layer["preset"]
            if not isinstance(name, str) or name not in list_presets():
                known = f"{did_you_mean(str(name), list_presets())} Presets: {', '.join(list_presets())}."
                raise ConfigError(f"preset: there is no preset {name!r} ({origin}).{known}")
            preset = name
        elif "generator.model" in layer:
            preset = DEFAULT_PRESET if layer["generator.model"].value == DEFAULT_PRESET else None
    return preset


def _read_config(config: Path | Mapping[str, object]) -> Layer:
    if isinstance(config, Mapping):
        return layer_of_tree(config, "config")
    return read_toml(config, f"config file {config}")


def _from_environment(environment: Mapping[str, str]) -> Layer:
    return {
        key: Setting(_parse(key, environment[name]), f"environment {name}")
        for name, key in _keys_of_variables(environment).items()
        if key in KEYS
    }


def _strange_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """Notes about variables with our prefix that are no settings: those of another program, or misspelt."""
    for name, key in _keys_of_variables(environment).items():
        if key not in KEYS and name != ISOLATED:
            guess = _nearest_key(key)
            variable = guess and f"{ENVIRONMENT_PREFIX}{guess.upper().replace('.', '__')}"
            yield f"the variable {name} is no setting and changes nothing.{suggest(variable)}"


def _keys_of_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Dotted key that each variable with our prefix would set, by its name."""
    ours = [name for name in sorted(environment) if name.startswith(ENVIRONMENT_PREFIX)]
    return {name: name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".", 1) for name in ours}


def _from_assignments(assignments: Sequence[str], assigned_by: str) -> dict[str, Setting]:
    layer = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(
                f"{assigned_by} {assignment}: expected section.key=value", "For example: `run.seed=7`"
            )
        key = key.strip()
        layer[key] = Setting(_parse(key, text), f"{assigned_by} {key}")
    return layer


def _parse(key: str, text: str) -> object:
    """Parse the text of a setting for pydantic: lists are `10,20,50`, no value is `none`."""
    section, _, name = key.partition(".")
    field = SECTIONS[section].model_fields.get(name) if section in SECTIONS else None
    if field is None:
        return text
    union = get_origin(field.annotation) in (Union, types.UnionType)
    choices = get_args(field.annotation) if union else (field.annotation,)
    if text.strip().lower() == "none" and type(None) in choices:
        return None
    if any(get_origin(choice) is tuple for choice in choices):
        return [part.strip() for part in text.split(",")]
    return text


def _merge(layers: Sequence[Layer]) -> dict[str, Setting]:
    settings: dict[str, Setting] = {}
    for layer in layers:
        # An explicit list overrides the other three, so a later layer with one of those drops an older list.
        if any(f"schedule.{key}" in layer for key in ("kind", "min_steps", "max_steps")):
            settings.pop("schedule.steps", None)
        settings |= layer
        for role, backend in SERVER_BACKENDS.items():
            # Only one backend has endpoints, so an endpoint chooses it, whatever a preset says.
            if f"{role}.base_url" in layer and f"{role}.backend" not in layer:
                settings[f"{role}.backend"] = Setting(backend, f"{role}.base_url is set")
    steps = settings.get("schedule.steps")
    if steps and isinstance(steps.value, list | tuple) and "refinement.rounds" not in settings:
        settings["refinement.rounds"] = Setting(len(steps.value) - 1, "length of schedule.steps")
    others = settings.get("scorer.others")
    if others and isinstance(others.value, list):
        backends = [
            {"backend": "openai", **other} if isinstance(other, dict) and "base_url" in other else other
            for other in others.value
        ]
        settings["scorer.others"] = others._replace(value=backends)
    return settings


def _judges_by_key(settings: Layer, environment: Mapping[str, str]) -> dict[str, Setting]:
    """Settings of the `openai` backend for roles without a backend whose API key is set."""
    judges = {}
    for role in ("llm", "captioner", "scorer"):
        named = settings.get(f"{role}.api_key_env")
        variable = str(named.value) if named else SECTIONS[role].model_fields["api_key_env"].default
        if f"{role}.backend" not in settings and environment.get(variable):
            origin = f"{variable} is set"
            judges[f"{role}.backend"] = Setting("openai", origin)
            if f"{role}.model" not in settings:
                judges[f"{role}.model"] = Setting(DEFAULT_JUDGE_MODEL, origin)
    return judges


def _reject_unknown(settings: Mapping[str, Setting]) -> None:
    lines = []
    for key, setting in settings.items():
        if key in SECTIONS:
            lines.append(f"{key}: is a section, not a value ({setting.origin})")
        elif key not in KEYS:
            lines.append(f"{key}: no such setting ({setting.origin}).{suggest(_nearest_key(key))}")
    if lines:
        raise ConfigError("\n".join(lines))


def _nearest_key(key: str) -> str | None:
    section, _, name = key.rpartition(".")
    # The right name in the wrong section is likelier than a misspelt section.
    elsewhere = [known for known in KEYS if known.endswith(f".{name}")]
    if elsewhere:
        return elsewhere[0]
    # Without the section, which would make all its names resemble each other.
    inside = {known.removeprefix(f"{section}."): known for known in KEYS if known.startswith(f"{section}.")}
    if not inside:
        return nearest(key, KEYS)
    longer = (known for known in inside if name and known.startswith(name))
    return inside.get(next(longer, None) or nearest(name, inside) or "")


def _validate(settings: Mapping[str, Setting]) -> Config:
    tree: dict[str, dict[str, object]] = {section: {} for section in SECTIONS}
    for key, setting in settings.items():
        section, _, name = key.partition(".")
        tree[section][name] = setting.value
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        lines: dict[tuple[int | str, ...], str] = {}
        for problem in error.errors(include_url=False):
            # Of a setting with several types each has its own error, and the first says most.
            lines.setdefault(_place(problem), _describe(problem, settings))
        raise ConfigError("\n".join(lines.values())) from error


def _place(problem: "ErrorDetails") -> tuple[int | str, ...]:
    """Place of an error: section, name, and what is inside it, without the type that was tried."""
    section, name, *inner = problem["loc"]
    return section, name, *(part for part in inner if isinstance(part, int) or name == "others")


def _describe(problem: "ErrorDetails", settings: Mapping[str, Setting]) -> str:
    """Describe one error as a ``field: message`` line. Lists count from 1, tables are shown as in TOML."""
    section, name, *inner = _place(problem)
    entry = f"entry {int(inner.pop()) + 1}: " if inner and isinstance(inner[-1], int) else ""
    key = f"{section}.{name}" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in inner)
    origin = settings[f"{section}.{name}"].origin
    if problem["type"] == "extra_forbidden":
        # Only scorers have tables inside their section.
        return f"{key}: no such setting ({origin}).{did_you_mean(str(inner[-1]), ScorerConfig.model_fields)}"
    if problem["type"] == "value_error":  # our own words
        return f"{key}: {entry}{problem['msg'].removeprefix('Value error, ')} ({origin})"
    if key == "scorer.others":
        return f"{key}: further scorers are [[scorer.others]] tables in a config file ({origin})"
    message = problem["msg"].replace("Input should", "it should")
    return f"{key}: {entry}{_show(problem)} does not fit: {message} ({origin})"


def _show(problem: "ErrorDetails") -> str:
    """Text of the wrong value, unless it may be a secret in a field that takes the name of a variable."""
    value = problem["input"]
    if problem["loc"][-1] in _SECRET_PRONE or isinstance(value, dict):
        return "what was given"
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 1] + "…"
