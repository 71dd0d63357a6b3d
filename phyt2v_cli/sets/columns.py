"""Columns of a prompt set by name: which one holds the prompt, the id, the seed and the picture.

Names are compared without regard to case. Knows names and values as they were parsed; knows no format.
"""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

PROMPT_NAMES = ("prompt", "caption", "prompt_en", "description", "text_instruction", "text")
"""Names of columns of prompts in published sets; the first in this order that is there is taken."""

_JOINED = {"text_instruction": "text_first_frame"}
"""Column whose text comes before the prompt, if both are there: the scene, before what happens in it."""

_ID_NAMES = ("id", "id_stem", "generated_video_name")
_SEED_NAMES = ("seed",)
_MAX_SHOWN = 30


class Columns(NamedTuple):
    """Names of a row's columns by what they hold."""

    prompt: tuple[str, ...]
    """One name, or two whose texts are joined."""
    id: str | None
    seed: str | None
    image: str | None
    others: tuple[str, ...]
    """Columns that are carried along, among them those of the picture and of an id not called `id`."""


class ColumnError(ValueError):
    """Row without a wanted column, or with two that could be meant."""


@lru_cache(maxsize=256)
def resolve(names: tuple[str, ...], prompt_column: str | None, image_column: str | None) -> Columns:
    """Find the columns of a row with these names; raise ColumnError if prompt or picture has none."""
    prompt = find_prompt(names, prompt_column)
    if prompt is None:
        wanted = (
            repr(prompt_column) if prompt_column else f"{PROMPT_NAMES[0]} or {', '.join(PROMPT_NAMES[1:])}"
        )
        raise ColumnError(f"no column is called {wanted}; {list_names(names)}")
    image = None
    if image_column is not None and (image := find(names, image_column)) is None:
        raise ColumnError(f"no column is called {image_column!r}; {list_names(names)}")
    before = None if prompt_column else find(names, _JOINED.get(prompt.strip().lower(), ""))
    prompts = (prompt,) if before is None else (before, prompt)
    id_name, seed = (_first(names, wanted) for wanted in (_ID_NAMES, _SEED_NAMES))
    taken = {*prompts, seed} | ({id_name} if id_name and id_name.strip().lower() == _ID_NAMES[0] else set())
    return Columns(prompts, id_name, seed, image, tuple(name for name in names if name not in taken))


def find_prompt(names: tuple[str, ...], wanted: str | None = None) -> str | None:
    """Name of the column of prompts: `wanted` if that is given, else the first of the published names."""
    return _first(names, (wanted,) if wanted else PROMPT_NAMES)


@lru_cache(maxsize=1024)
def find(names: tuple[str, ...], wanted: str) -> str | None:
    """Name that is `wanted` but for its case; the same case wins. ColumnError if two could be meant."""
    alike = [name for name in names if name.strip().lower() == wanted.strip().lower()]
    exact = [name for name in alike if name.strip() == wanted.strip()]
    if len(exact or alike) > 1:
        raise ColumnError(f"two columns are called {wanted}")
    return next(iter(exact or alike), None)


def list_names(names: Iterable[str]) -> str:
    """Sentence that lists the columns that are there."""
    names = list(names)
    if not names:
        return "there is none"
    more = f" and {len(names) - _MAX_SHOWN:,} more" if len(names) > _MAX_SHOWN else ""
    return f"the columns are {', '.join(names[:_MAX_SHOWN])}{more}"


def as_text(value: object) -> str:
    """Value of a column as text: a text as it is, nothing as the empty text, the rest as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def holds(fields: Mapping[str, object], column: str, value: str) -> bool:
    """Whether a row has `value` in `column`, compared as text; of a list one item has to be equal."""
    name = find(tuple(fields), column)
    found = None if name is None else fields[name]
    items = found if isinstance(found, list) else [found]
    return any(
        as_text(item).strip() == value.strip()
        or (isinstance(item, bool) and as_text(item) == value.strip().lower())
        for item in items
    )


def _first(names: tuple[str, ...], wanted: tuple[str, ...]) -> str | None:
    return next((name for one in wanted if (name := find(names, one)) is not None), None)
