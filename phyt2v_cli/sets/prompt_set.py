"""Prompt sets from .txt, .jsonl and .csv files or standard input: entries, each with its own folder name.

The author of a set may be hostile, so ids are turned into safe names here. Knows no run, no config and no
terminal.
"""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from phyt2v_cli.errors import PromptError
from phyt2v_cli.files.user_text import is_blank, read_text
from phyt2v_cli.runs.identity import slugify

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


def read_prompt_set(source: str) -> tuple[PromptEntry, ...]:
    """Read the entries of the file `source`, or of standard input if that is ``-``, in their order.

    A .txt file has one prompt in each line that is not blank. A .jsonl file has objects with `prompt` and
    optionally `id` and `seed`. A .csv file has a header with these names. Further keys and columns are
    ignored. Standard input is JSONL if it begins with ``{``, else lines.

    Raises PromptError if the source cannot be read; for entries that cannot be used it has one ``FILE:LINE:
    message`` line each.
    """
    name = "standard input" if source == "-" else source
    parse = None if source == "-" else _PARSERS.get(Path(source).suffix.lower())
    if source != "-" and parse is None:
        raise PromptError(
            f"{source} has none of the endings that say how to read it: {', '.join(_PARSERS)}",
            "- reads standard input.",
        )
    text = read_text(source, MAX_SET_BYTES, PromptError, "Give the file with the prompts.")
    if parse is None:
        parse = _parse_jsonl if text.lstrip().startswith("{") else _parse_lines
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


class _Line(NamedTuple):
    """Raw entry at one place of a set: its fields, or why there are none."""

    number: int
    fields: Mapping[str, object]
    fault: str | None = None


class _Fields(NamedTuple):
    """Valid entry without its folder name."""

    id: str | None
    prompt: str
    seed: int | None
    line: int


def _split(text: str) -> Iterator[tuple[int, str]]:
    """Split a text into the lines that are not blank, with their numbers; line ends are those of editors."""
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        if line.strip():
            yield number, line.rstrip("\n")


def _parse_lines(text: str) -> Iterator[_Line]:
    for number, line in _split(text):
        yield _Line(number, {"prompt": line})


def _parse_jsonl(text: str) -> Iterator[_Line]:
    for number, line in _split(text):
        try:
            tree = json.loads(line)
        except json.JSONDecodeError as error:
            yield _Line(number, {}, f"not JSON: {error.msg} in column {error.colno}")
        except (ValueError, RecursionError):  # numbers or nesting too large for Python
            yield _Line(number, {}, "not JSON that can be read")
        else:
            fault = None if isinstance(tree, dict) else 'not an object like {"prompt": "a ball drops"}'
            yield _Line(number, tree if fault is None else {}, fault)


def _parse_csv(text: str) -> Iterator[_Line]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    number = 1
    try:
        for row in reader:
            start, number = number, reader.line_num + 1
            if not any(field.strip() for field in row):
                continue
            if header is None:
                header = [name.strip().lower() for name in row]
                if header.count("prompt") != 1:
                    yield _Line(start, {}, "the header must name one column prompt, and may name id and seed")
                    return
            elif len(row) > len(header):
                fault = (
                    f"{len(row)} fields where the header has {len(header)}; put texts with commas in quotes"
                )
                yield _Line(start, {}, fault)
            else:
                # An empty field is one that is not given.
                yield _Line(start, {name: field for name, field in zip(header, row, strict=False) if field})
    except csv.Error as error:
        yield _Line(number, {}, f"not CSV: {error}")


_PARSERS: Mapping[str, Callable[[str], Iterator[_Line]]] = {
    ".txt": _parse_lines,
    ".jsonl": _parse_jsonl,
    ".csv": _parse_csv,
}


def _validate(line: _Line) -> _Fields:
    """Validate the fields of a line; raise ValueError if they cannot be used."""
    if line.fault is not None:
        raise ValueError(line.fault)
    prompt = line.fields.get("prompt")
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
