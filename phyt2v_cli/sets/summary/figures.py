"""Figures of a set, `summary.json`: means, gains and shares with intervals. Knows numbers; reads no file.

Videos are grouped by round, purpose and steps, and no group mixes a draft with a final. A gain names the
purpose and the steps of both sides. A score that is missing is counted and left out; it is never zero.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Literal, get_args

from phyt2v_cli import __version__
from phyt2v_cli.config.schema import Control
from phyt2v_cli.files.untrusted import visible
from phyt2v_cli.sets.prompt_set import PromptEntry
from phyt2v_cli.sets.summary import statistics
from phyt2v_cli.sets.summary.numbers import ROLES, PromptNumbers, Status, Video
from phyt2v_cli.sets.summary.words import in_words

SCHEMA: Literal["phyt2v.set/1"] = "phyt2v.set/1"
THRESHOLD = 0.5
"""Score from which a video counts as adherent, as physical, or with both as jointly good."""
CATEGORY_COLUMNS = (
    "category",
    "main_category",
    "sub_category",
    "subcategory",
    "dimension",
    "domain",
    "subdomain",
    "physical_laws",
    "law",
    "scenario_type",
    "is_hard",
)
"""Columns of published sets that sort their prompts."""
_MAX_VALUES = 60
"""A column with more values sorts nothing."""
_MAX_VALUE_CHARS = 200
_SAME = 1e-6
"""Scores that are not further apart are equal."""

Tree = dict[str, object]
Unit = tuple[str, Path | None]
"""Prompt and picture: runs that have both in common are not independent."""
Shot = tuple[Unit, Video]
Pair = tuple[Unit, Video, Video]
Numbered = Sequence[tuple[PromptEntry, PromptNumbers]]


def figures_of(
    numbered: Numbered, *, name: str, shard: str | None, category_columns: Sequence[str] = ()
) -> Tree:
    """Figures of a set: a JSON object of the schema ``phyt2v.set/1``.

    `name` is that of its folder. Without `category_columns` the columns of published sets are used.
    """
    numbers = [one for _, one in numbered]
    units = [(_unit(entry), one) for entry, one in numbered]
    statuses = Counter(one.status for one in numbers)
    return {
        "schema": SCHEMA,
        "set": visible(name),
        "shard": shard,
        "prompts": {"total": len(numbers), **{status: statuses[status] for status in get_args(Status)}},
        "judging": {
            "judges": _counts(
                video.judge
                for one in numbers
                for video in [*one.rounds, *(video for _, video in one.controls)]
                if video.judge
            ),
            "scored_text": "original_prompt",
            "threshold": THRESHOLD,
            "joint": "semantic_adherence and physical_commonsense both at or above the threshold",
        },
        "intervals": {
            "level": statistics.LEVEL,
            "method": statistics.METHOD,
            "normal_from_prompts": statistics.NORMAL_FROM,
            "resamples": statistics.NUM_RESAMPLES,
            "seed": statistics.SEED,
        },
        "rounds": _rounds((unit, video) for unit, one in units for video in one.rounds),
        "control": _of_control(units, "original"),
        "controls": {name: groups for name in get_args(Control) if (groups := _of_control(units, name))},
        "result": _kinds((unit, one.result) for unit, one in units if one.result is not None),
        **(gains := _gains(units)),
        "in_words": in_words(gains),
        "categories": [
            {"column": visible(column), "values": _by_value(numbered, column)}
            for column in category_columns or _categories(numbered)
        ],
        "llm_tokens": sum(one.llm_tokens for one in numbers),
        "seconds": round(sum(one.seconds for one in numbers), 3),
        "roles": {role: _counts(one.roles[role] for one in numbers if one.roles.get(role)) for role in ROLES},
        "versions": {
            name: _counts(one.versions[name] for one in numbers if name in one.versions)
            for name in dict.fromkeys(name for one in numbers for name in one.versions)
        },
        "summarised_by": f"phyt2v {__version__}",
    }


def values_of(entry: PromptEntry, column: str) -> tuple[str, ...]:
    """Values of a column of an entry: one, or each of a list in JSON; none if it is empty."""
    text = entry.columns.get(column, "").strip()
    if text.startswith("["):
        try:
            parts = json.loads(text)
        except (ValueError, RecursionError):
            parts = None
        if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
            return tuple(dict.fromkeys(_value(part) for part in parts if part.strip()))
    return (_value(text),) if text else ()


def _unit(entry: PromptEntry) -> Unit:
    return entry.prompt, entry.image


def _value(text: str) -> str:
    return visible(" ".join(text.split())[:_MAX_VALUE_CHARS])


def _categories(numbered: Numbered) -> Iterator[str]:
    present = dict.fromkeys(column for entry, _ in numbered for column in entry.columns)
    by_name = {column.lower(): column for column in present}
    for name in CATEGORY_COLUMNS:
        if (column := by_name.get(name)) is not None:
            values = {value for entry, _ in numbered for value in values_of(entry, column)}
            if 1 < len(values) <= _MAX_VALUES:
                yield column


def _by_value(numbered: Numbered, column: str) -> list[Tree]:
    groups: dict[str, list[tuple[Unit, PromptNumbers]]] = defaultdict(list)
    for entry, one in numbered:
        for value in values_of(entry, column):
            groups[value].append((_unit(entry), one))
    return [
        {
            "value": value,
            "prompts": len(ones),
            "result": _kinds((unit, one.result) for unit, one in ones if one.result is not None),
            **_gains(ones),
        }
        for value, ones in sorted(groups.items())
    ]


def _rounds(shots: Iterable[Shot]) -> list[Tree]:
    """Groups of equal round, purpose and steps; the control has no round."""
    groups = _grouped(shots, lambda video: (video.round, video.purpose, video.steps))
    return [
        ({"round": video.round} if video.round else {}) | _kind(video) | _scores(group)
        for video, group in groups
    ]


def _kinds(shots: Iterable[Shot]) -> list[Tree]:
    """Groups of equal purpose and steps."""
    groups = _grouped(shots, lambda video: (video.purpose, video.steps))
    return [_kind(video) | _scores(group) for video, group in groups]


def _grouped(
    shots: Iterable[Shot], key: Callable[[Video], tuple[object, ...]]
) -> Iterator[tuple[Video, list[Shot]]]:
    groups: dict[tuple[object, ...], list[Shot]] = defaultdict(list)
    for unit, video in shots:
        groups[key(video)].append((unit, video))
    for _, group in sorted(groups.items(), key=itemgetter(0)):
        yield group[0][1], group


def _kind(video: Video) -> Tree:
    return {"purpose": video.purpose, "steps": video.steps}


def _scores(shots: Sequence[Shot]) -> Tree:
    units = [unit for unit, _ in shots]
    adherence = [video.semantic_adherence for _, video in shots]
    physics = [video.physical_commonsense for _, video in shots]
    lower = [video.lower for _, video in shots]
    return {
        "videos": len(shots),
        "semantic_adherence": _mean(adherence, units),
        "physical_commonsense": _mean(physics, units),
        "share_at_threshold": {
            "semantic_adherence": _share(adherence, units),
            "physical_commonsense": _share(physics, units),
            "joint": _share(lower, units),
        },
    }


def _mean(values: Sequence[float | None], units: Sequence[Unit]) -> Tree:
    known = [(value, unit) for value, unit in zip(values, units, strict=True) if value is not None]
    mean = statistics.mean_with_interval([value for value, _ in known], [unit for _, unit in known])
    return {**mean._asdict(), "scored": len(known), "without_score": len(values) - len(known)}


def _share(values: Sequence[float | None], units: Sequence[Unit]) -> Tree:
    return _mean([None if value is None else float(value >= THRESHOLD) for value in values], units)


def _gains(units: Iterable[tuple[Unit, PromptNumbers]]) -> Tree:
    done = [(unit, one) for unit, one in units if one.result is not None]
    return {
        "gain_over_first": _paired((unit, one.first, one.result) for unit, one in done),
        # Of a control that was selected nothing can be learned beside itself.
        "gain_over_control": _paired((unit, one.control("original"), one.refined) for unit, one in done),
        "gain_over_blind": _paired((unit, one.control("blind"), one.refined) for unit, one in done),
        "gain_over_best_of_n": _paired((unit, one.control("best-of-n"), one.refined) for unit, one in done),
    }


def _of_control(units: Iterable[tuple[Unit, PromptNumbers]], name: Control) -> list[Tree]:
    shots = ((unit, one.control(name)) for unit, one in units)
    return _rounds((unit, video) for unit, video in shots if video is not None)


def _paired(pairs: Iterable[tuple[Unit, Video | None, Video | None]]) -> list[Tree]:
    """Gains of the second video of each pair over the first, by purpose and steps of both."""
    groups: dict[tuple[object, ...], list[Pair]] = defaultdict(list)
    for unit, before, after in pairs:
        if before is not None and after is not None:
            groups[before.purpose, before.steps, after.purpose, after.steps].append((unit, before, after))
    return [
        {
            "baseline": _kind(group[0][1]),
            "result": _kind(group[0][2]),
            "is_like_with_like": _kind(group[0][1]) == _kind(group[0][2]),
            "prompts": len(group),
            "semantic_adherence": _gain(group, lambda video: video.semantic_adherence),
            "physical_commonsense": _gain(group, lambda video: video.physical_commonsense),
            "mean_of_both": _gain(group, lambda video: video.mean),
        }
        for _, group in sorted(groups.items(), key=itemgetter(0))
    ]


def _gain(pairs: Sequence[Pair], score: Callable[[Video], float | None]) -> Tree:
    scores = [(score(before), score(after)) for _, before, after in pairs]
    gains = [None if a is None or b is None else b - a for a, b in scores]
    known = [gain for gain in gains if gain is not None]
    return _mean(gains, [unit for unit, _, _ in pairs]) | {
        "better": sum(gain > _SAME for gain in known),
        "worse": sum(gain < -_SAME for gain in known),
        "equal": sum(abs(gain) <= _SAME for gain in known),
        "sign_test_p": statistics.sign_test(
            [0.0 if gain is None or abs(gain) <= _SAME else gain for gain in gains],
            [unit for unit, _, _ in pairs],
        ),
    }


def _counts(texts: Iterable[str]) -> Mapping[str, int]:
    """Number of each text, the most frequent first."""
    return dict(Counter(texts).most_common())
