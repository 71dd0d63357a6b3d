"""Prompt sets from files or standard input: valid entries, each with its own folder name.

A set is read once, from its begin to its end; what cannot be used is named and left out. The author of a set
may be hostile, so ids are turned into safe names here. Knows no format, run, config or terminal.
"""

import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from phyt2v_cli.errors import PromptError
from phyt2v_cli.files.user_text import STANDARD_INPUT, is_blank, read_text
from phyt2v_cli.runs.identity import slugify
from phyt2v_cli.sets import columns, formats
from phyt2v_cli.sets.formats import Line
from phyt2v_cli.sets.selection import MAX_SEED, RowFilter, Selection

MAX_PROMPT_CHARS = 10_000
MAX_PROMPTS = 1_000_000
MAX_SET_BYTES = 512 * 2**20
MAX_SHOWN_FAULTS = 20
_MAX_INTERNED_CHARS = 40
_NO_COLUMNS: Mapping[str, str] = MappingProxyType({})
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")
_ALL = Selection()


@dataclass(frozen=True, slots=True)
class PromptEntry:
    """Entry of a prompt set."""

    id: str | None
    """Id from the set; it may contain anything."""
    prompt: str
    seed: int | None
    """None: the seed of the config."""
    line: int
    """Line in which the entry begins, from 1; in a JSON object of lists its place in them."""
    folder: str
    """Plain folder name, unique in the set, and the same whenever the set is read."""
    row: int = 0
    """Position in the source, from 0, before anything was selected from it."""
    image: Path | None = None
    """Picture that the video begins with; it may not be there."""
    columns: Mapping[str, str] = field(default_factory=lambda: _NO_COLUMNS, hash=False)
    """Other columns of the set, as text."""


class Fault(NamedTuple):
    """Entry that cannot be used."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class PromptSet:
    """What a source holds: the selected entries in order, and what could not be used."""

    name: str
    """Source in words."""
    entries: tuple[PromptEntry, ...]
    faults: tuple[Fault, ...]

    def tell_faults(self, most: int | None = MAX_SHOWN_FAULTS) -> list[str]:
        """Tell each fault in a ``FILE:LINE: message`` line; after `most` of them, how many more there are."""
        return _tell(self.name, self.faults, most)


def read_prompt_set(source: str, selection: Selection = _ALL) -> PromptSet:
    """Read entries from the file `source`, or from standard input if that is ``-``, in their order.

    A .txt file has one prompt in each line that is not blank and no comment. A .jsonl or .json file has
    objects, one in each line or in an array, or one object of lists. A .csv or .tsv file has a header. The
    prompt is in `selection.prompt_column`, by default the first of `columns.PROMPT_NAMES` that is there; `id`
    (or what published sets have in its place) and `seed` are optional; the others are carried along. Standard
    input is any of these, and a .txt file that is plainly one of the others is read as that.

    Entries that cannot be used are faults of the set; in a shard these are dealt out like entries. Raises
    PromptError if the source cannot be read, if it has no entry that can be used, and if a column of `where`
    is not there. A shard of a set with few entries may be empty.
    """
    name = "standard input" if source == STANDARD_INPUT else source
    is_file = source != STANDARD_INPUT
    parse = formats.BY_ENDING.get(Path(source).suffix.lower()) if is_file else formats.recognise
    if parse is None:
        raise PromptError(
            f"{source} has none of the endings that say how to read it: {', '.join(formats.BY_ENDING)}",
            "- reads standard input.",
        )
    text = read_text(source, MAX_SET_BYTES, PromptError, "Give the file with the prompts.")
    folder = Path(source).parent if is_file else Path()
    fields, faults = _select(parse(text, selection.prompt_column), selection, name)
    if not fields:
        raise _nothing_left(name, faults, selection)
    if len(fields) * max(len(selection.seeds), 1) > MAX_PROMPTS:
        raise PromptError(f"{name} holds more than {MAX_PROMPTS:,} prompts", "Split it.")
    entries = _with_folders(_with_seeds(fields, selection.seeds), folder)
    part = slice(None) if selection.shard is None else selection.shard.of_all
    return PromptSet(name, tuple(entries)[part], tuple(faults)[part])


def _select(lines: Iterator[Line], selection: Selection, name: str) -> "tuple[list[_Fields], list[Fault]]":
    """Take rows in order, up to the limit: valid ones and faults."""
    where = RowFilter(selection.where)
    fields: list[_Fields] = []
    faults: list[Fault] = []
    seen: set[tuple[str, str | None]] = set()
    for row, line in enumerate(lines):
        try:
            if line.fault is not None:
                raise ValueError(line.fault)
            if not where.takes(line.fields):
                continue
            entry = _validate(line, row, selection)
        except ValueError as error:
            faults.append(Fault(line.number, str(error)))
            continue
        if selection.dedupe:
            what = (entry.prompt, entry.image)
            if what in seen:
                continue
            seen.add(what)
        fields.append(entry)
        if len(fields) == selection.limit:
            break
        if len(fields) > MAX_PROMPTS:
            raise PromptError(f"{name} holds more than {MAX_PROMPTS:,} prompts", "Split it.")
    if unknown := list(where.faults()):
        raise PromptError("\n".join(f"{name}: {line}" for line in unknown))
    return fields, faults


def _nothing_left(name: str, faults: list[Fault], selection: Selection) -> PromptError:
    """Make the error for a set without an entry that can be used."""
    hint = "Name a column with `prompt_column`." if any("no column" in told for _, told in faults) else ""
    messages = {fault.message for fault in faults}
    if len(faults) > 1 and len(messages) == 1:
        return PromptError(f"{name}: each of {len(faults):,} entries: {messages.pop()}", hint)
    if faults:
        told = _tell(name, faults, MAX_SHOWN_FAULTS)
        return PromptError("\n".join([f"{name} has no entry that can be used:", *told]), hint)
    if selection.where:
        return PromptError(f"{name}: no row has {RowFilter(selection.where)}", "Values are compared as text.")
    return PromptError(f"{name} holds no prompts", "Write one in each line.")


def fault_of_prompt(prompt: str) -> str | None:
    """What a stripped prompt is, if it cannot be used: empty, too long, or no text; None if it can."""
    if _NO_TEXT.search(prompt):
        return "no text: it holds NUL or half a character"
    if is_blank(prompt):
        return "empty"
    return f"longer than {MAX_PROMPT_CHARS:,} characters" if len(prompt) > MAX_PROMPT_CHARS else None


class _Fields(NamedTuple):
    """Valid entry without its folder name."""

    id: str | None
    prompt: str
    seed: int | None
    image: str | None
    line: int
    row: int
    columns: Mapping[str, str]


def _validate(line: Line, row: int, selection: Selection) -> _Fields:
    """Validate the fields of a line; raise ValueError if they cannot be used."""
    if not line.fields:
        raise ValueError("prompt: missing")
    found = columns.resolve(tuple(line.fields), selection.prompt_column, selection.image_column)
    texts = [line.fields[name] for name in found.prompt]
    for text in texts:
        if not isinstance(text, str):
            raise ValueError("prompt: missing" if text is None else "prompt: not a text")
    prompt = " ".join(text.strip() for text in texts if isinstance(text, str)).strip()
    if fault := fault_of_prompt(prompt):
        raise ValueError(f"prompt: {fault}")
    return _Fields(
        None if found.id is None else _validate_id(line.fields[found.id]),
        prompt,
        None if found.seed is None or selection.seeds else _validate_seed(line.fields[found.seed]),
        None if found.image is None else _validate_image(line.fields[found.image], found.image),
        line.number,
        row,
        {name: _carried(line.fields[name]) for name in found.others} if found.others else _NO_COLUMNS,
    )


def _carried(value: object) -> str:
    """Value of a column that is carried along; one that repeats in many rows is kept in memory once."""
    text = _HALF.sub("\ufffd", columns.as_text(value))
    return sys.intern(text) if len(text) <= _MAX_INTERNED_CHARS else text


def _validate_id(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value.strip() or None if value else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError("id: neither a text nor a whole number")


def _validate_seed(value: object) -> int | None:
    if isinstance(value, str) and (not value.strip() or re.fullmatch("[0-9]{1,19}", value.strip())):
        value = int(value) if value.strip() else None
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SEED):
        return value
    raise ValueError(f"seed: not a whole number from 0 to {MAX_SEED}")


def _validate_image(value: object, name: str) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError(f"{name}: there is no picture")
    if not isinstance(value, str) or _NO_TEXT.search(value):
        raise ValueError(f"{name}: not the path of a picture")
    return value.strip()


def _with_seeds(fields: list[_Fields], seeds: Sequence[int]) -> Iterator[_Fields]:
    for entry in fields:
        if not seeds:
            yield entry
        for seed in seeds:
            yield entry._replace(seed=seed)


def _with_folders(fields: Iterator[_Fields], images_dir: Path) -> Iterator[PromptEntry]:
    """Name each entry's folder after its content, so that a set may be sorted, cut and added to."""
    seen: Counter[tuple[object, ...]] = Counter()
    taken: set[str] = set()
    for entry in fields:
        same = (entry.id, entry.prompt, entry.seed, entry.image)
        folder = None
        while folder is None or folder in taken:
            seen[same] += 1
            told_apart = [entry.id, entry.prompt, entry.seed, seen[same]]
            if entry.image is not None:
                told_apart.append(entry.image)
            digest = hashlib.sha256(json.dumps(told_apart).encode()).hexdigest()[:8]
            folder = f"{slugify(entry.id or entry.prompt)}-{digest}"
        taken.add(folder)
        image = None if entry.image is None else images_dir / entry.image
        yield PromptEntry(
            entry.id, entry.prompt, entry.seed, entry.line, folder, entry.row, image, entry.columns
        )


def _tell(name: str, faults: Sequence[Fault], most: int | None) -> list[str]:
    told = [f"{name}:{fault.line}: {fault.message}" for fault in faults[:most]]
    left_out = len(faults) - len(told)
    return [*told, f"and {left_out:,} more"] if left_out else told
