"""Settings in which runs of one prompt differ. Knows records; reads no file."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from phyt2v_cli.config.layers import KEYS
from phyt2v_cli.config.schema import Config
from phyt2v_cli.runs.identity import distinguishing_settings
from phyt2v_cli.runs.reader import ShownRun
from phyt2v_cli.runs.records import RunRecord

Settings = Mapping[str, object]
"""Values by their key, as in ``schedule.max_steps``."""

_MAX_VALUE_CHARS = 24
_NUM_OWNERS = Counter(key.rpartition(".")[2] for key in KEYS)


def distinctions(runs: Iterable[ShownRun]) -> dict[Path, Settings]:
    """For each run the settings in which it and the others with its prompt differ; empty for a single one."""
    by_prompt: dict[str, list[ShownRun]] = defaultdict(list)
    for run in runs:
        by_prompt[run.record.prompt].append(run)
    found: dict[Path, Settings] = {}
    for same in by_prompt.values():
        for run, settings in zip(same, differences([run.record for run in same]), strict=True):
            found[run.path] = settings
    return found


def settings_of(record: RunRecord) -> Settings:
    """Settings by which a run is told from others; none if this phyt2v does not understand its config.

    Its rounds are those that it has now, which a run that was extended did not begin with.
    """
    try:
        settings = distinguishing_settings(Config.model_validate(record.config))
    except ValidationError:
        return {}
    return settings | {"refinement.rounds": len(record.plan) - 1}


def differences(records: Sequence[RunRecord]) -> list[Settings]:
    """For each run the settings that are not the same in all of them; see `settings_of`."""
    trees = [settings_of(record) for record in records]
    known = [tree for tree in trees if tree]
    keys = [
        key
        for key in dict.fromkeys(key for tree in known for key in tree)
        if any(tree.get(key) != known[0].get(key) for tree in known)
    ]
    return [{key: tree.get(key) for key in keys if tree} for tree in trees]


def in_short(settings: Settings) -> str:
    """Settings as one line, as in ``seed=7 steps=20-30``; those that are off or unset are left out.

    A key that several sections have keeps its own.
    """
    shown = {short_key(key): value for key, value in settings.items() if value is not None}
    shown = {key: value for key, value in shown.items() if value is not False and value != []}
    if "min_steps" in shown and "max_steps" in shown:
        shown = {"steps": f"{shown.pop('min_steps')}-{shown.pop('max_steps')}"} | shown
    first = {"seed": shown.pop("seed")} if "seed" in shown else {}
    return " ".join(f"{key}={short_value(value)}" for key, value in (first | shown).items())


def short_key(key: str) -> str:
    """Key of a setting without its section, if no other section has one of that name."""
    name = key.rpartition(".")[2]
    return name if _NUM_OWNERS[name] == 1 else key


def short_value(value: object) -> str:
    """Value of a setting as text, cut if it is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    flat = " ".join(text.split())
    return flat if len(flat) <= _MAX_VALUE_CHARS else f"{flat[: _MAX_VALUE_CHARS - 1]}…"
