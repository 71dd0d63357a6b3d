"""Prompt sets from files or standard input: valid entries, each with its own folder name.

The author of a set may be hostile, so ids are turned into safe names here. Knows no format, run, config or
terminal.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from phyt2v_cli.errors import PromptError
from phyt2v_cli.files.user_text import is_blank, read_text
from phyt2v_cli.runs.identity import slugify
from phyt2v_cli.sets import formats
from phyt2v_cli.sets.formats import Line

MAX_PROMPT_CHARS = 10_000
MAX_PROMPTS = 10_000
MAX_SET_BYTES = 64 * 2**20
_MAX_SHOWN_FAULTS = 20
_MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class PromptEntry:
    """Entry of a prompt set."""

    id: str | None
    """Id from the set; it may contain anything."""
    prompt: str
    seed: int | None
    """None: the seed of the config."""
    line: int
    """Line in which the entry begins, from 1."""
    folder: str
    """Plain folder name, unique in the set, and the same whenever the set is read."""
    row: int = 0
    """Position in the source, from 0, before anything of it was left out."""
    image: Path | None = None
    """First frame of its video."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """What else the set says of it, as text by the name of the column."""


def read_prompt_set(source: str) -> tuple[PromptEntry, ...]:
    """Read the entries of the file `source`, or of standard input if that is ``-``, in their order.

    A .txt file has one prompt in each line that is not blank and no comment. A .jsonl or .json file has
    objects with `prompt` (or `caption`, as data sets call it) and optionally `id` and `seed`, one in each
    line or in an array. A .csv file has a header with these names. Further keys and columns are ignored.
    Standard input is any of these, and a .txt file that is plainly one of the others is read as that.

    Raises PromptError if the source cannot be read; for entries that cannot be used it has one ``FILE:LINE:
    message`` line each.
    """
    name = "standard input" if source == "-" else source
    parse = formats.recognise if source == "-" else formats.BY_ENDING.get(Path(source).suffix.lower())
    if parse is None:
        raise PromptError(
            f"{source} has none of the endings that say how to read it: {', '.join(formats.BY_ENDING)}",
            "- reads standard input.",
        )
    text = read_text(source, MAX_SET_BYTES, PromptError, "Give the file with the prompts.")
    fields, faults = [], []
    for count, line in enumerate(parse(text), start=1):
        if count > MAX_PROMPTS:
            raise PromptError(f"{name} holds more than {MAX_PROMPTS:,} prompts", "Split it.")
        try:
            fields.append(_validate(line))
        except ValueError as error:
            faults.append(f"{name}:{line.number}: {error}")
    if faults:
        raise PromptError("\n".join([f"{name} has entries that cannot be used:", *_at_most(faults)]))
    if not fields:
        raise PromptError(f"{name} holds no prompts", "Write one in each line.")
    return tuple(_with_folders(fields))


def fault_of_prompt(prompt: str) -> str | None:
    """What a stripped prompt is, if it cannot be used: empty, too long, or no text; None if it can."""
    if re.search("[\0\ud800-\udfff]", prompt):
        return "no text: it holds NUL or half a character"
    if is_blank(prompt):
        return "empty"
    return f"longer than {MAX_PROMPT_CHARS:,} characters" if len(prompt) > MAX_PROMPT_CHARS else None


class _Fields(NamedTuple):
    """Valid entry without its folder name."""

    id: str | None
    prompt: str
    seed: int | None
    line: int


def _validate(line: Line) -> _Fields:
    """Validate the fields of a line; raise ValueError if they cannot be used."""
    if line.fault is not None:
        raise ValueError(line.fault)
    prompt = line.fields.get("prompt", line.fields.get("caption"))
    if not isinstance(prompt, str):
        raise ValueError("prompt: missing" if prompt is None else "prompt: not a text")
    prompt = prompt.strip()
    if fault := fault_of_prompt(prompt):
        raise ValueError(f"prompt: {fault}")
    return _Fields(
        _validate_id(line.fields.get("id")), prompt, _validate_seed(line.fields.get("seed")), line.number
    )


def _validate_id(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value.strip() or None if value else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError("id: neither a text nor a whole number")


def _validate_seed(value: object) -> int | None:
    if isinstance(value, str) and (not value.strip() or re.fullmatch("[0-9]{1,19}", value.strip())):
        value = int(value) if value.strip() else None
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_SEED):
        return value
    raise ValueError(f"seed: not a whole number from 0 to {_MAX_SEED}")


def _with_folders(fields: list[_Fields]) -> Iterator[PromptEntry]:
    """Name each entry's folder after its content, so that a set may be sorted, cut and added to."""
    seen: Counter[_Fields] = Counter()
    taken: set[str] = set()
    for entry in fields:
        same = entry._replace(line=0)
        folder = None
        while folder is None or folder in taken:
            seen[same] += 1
            told_apart = json.dumps([entry.id, entry.prompt, entry.seed, seen[same]])
            folder = (
                f"{slugify(entry.id or entry.prompt)}-{hashlib.sha256(told_apart.encode()).hexdigest()[:8]}"
            )
        taken.add(folder)
        yield PromptEntry(*entry, folder)


def _at_most(faults: list[str]) -> list[str]:
    left_out = len(faults) - _MAX_SHOWN_FAULTS
    return faults if left_out <= 0 else [*faults[:_MAX_SHOWN_FAULTS], f"and {left_out:,} more"]
