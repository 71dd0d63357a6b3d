"""Formats of prompt sets: lines, JSON lines, a JSON array, CSV. Parsers yield raw entries with their lines.

What an entry means is validated elsewhere. Knows text only; reads no file.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

_ONE_OBJECT = 'not an object like {"prompt": "a ball drops"}'
_PROMPT_COLUMNS = ("prompt", "caption")
_SEPARATORS = ",;\t"
_OTHER = re.compile(
    r"<(?:!doctype|html|\?xml|svg)\b|\{\\rtf|%PDF-"
    r"|(?:-[ \t]+|---\s+)?[\"']?(?:prompts?|captions?)[\"']?[ \t]*(?::\s|=)|-[ \t]+id:\s"
    r"|(?:\{\s*\}|null|\[\s*[\[].*)\s*\Z|[\[{]\s*'[^']*'\s*[,:\]]",
    re.IGNORECASE | re.DOTALL,
)
"""Begin of pages, documents, YAML, TOML, and JSON or Python that holds no prompts."""
_OTHER_NAME = "a page, YAML, TOML or code"


class Line(NamedTuple):
    """Raw entry at one place of a set: its fields, or why there are none."""

    number: int
    fields: Mapping[str, object]
    fault: str | None = None


Parser = Callable[[str], Iterator[Line]]


def recognise(text: str) -> Iterator[Line]:
    """Parse a text of any format."""
    return _parser_of(text)(text)


def name_of_format(text: str) -> str | None:
    """What a text is that is plainly no prompt, in words; None if it may be a prompt."""
    return _NAMES.get(_parser_of(text))


def without_comments(text: str) -> str:
    """Text without the lines that begin with ``#``."""
    return re.sub(r"(?m)^[ \t]*#.*(?:\n|\Z)", "", text)


def _parser_of(text: str) -> Parser:
    text = without_comments(text).lstrip()
    if re.match(r'\{\s*"', text) or re.match(r'\[\s*(?:[{"]|\]\s*\Z)', text):
        return parse_json
    if _OTHER.match(text):
        return refuse
    lines = _split(text)
    _, first = next(lines, (1, ""))
    separator = _separator(first)
    is_header = separator is not None and (separator in first or next(lines, None) is not None)
    return parse_csv if is_header else parse_lines


def refuse(_: str) -> Iterator[Line]:
    """Refuse a text in a format that is none of prompts."""
    yield Line(1, {}, f"{_OTHER_NAME}; a set is lines, JSON or CSV")


def parse_lines(text: str) -> Iterator[Line]:
    """Parse prompts that are a line each; a line that begins with ``#`` is a comment."""
    for number, line in _split(text):
        if not line.lstrip().startswith("#"):
            yield Line(number, {"prompt": line})


def parse_json(text: str) -> Iterator[Line]:
    """Parse objects, one in each line or one over many; or an array, also of texts."""
    start = text[: len(text) - len(text.lstrip())]
    if text.startswith("[", len(start)):
        yield from _parse_array(text)
        return
    with suppress(ValueError, RecursionError):
        tree = json.loads(text, object_pairs_hook=_each_key_once)
        if isinstance(tree, dict):
            yield Line(1 + start.count("\n"), tree)
            return
    for number, line in _split(text):
        try:
            tree = json.loads(line, object_pairs_hook=_each_key_once)
        except (ValueError, RecursionError) as error:
            yield Line(number, {}, _fault_of_json(error))
        else:
            is_object = isinstance(tree, dict)
            yield Line(number, tree if is_object else {}, None if is_object else _ONE_OBJECT)


def parse_csv(text: str) -> Iterator[Line]:
    """Parse rows below a header; commas, semicolons or tabs stand between the columns."""
    first = next((line for _, line in _split(text)), "")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=_separator(first) or ",")
    header: list[str] | None = None
    number = 1
    try:
        for row in reader:
            start, number = number, reader.line_num + 1
            if not any(field.strip() for field in row):
                continue
            if header is None:
                header = _names(row)
                if _prompt_column(header) is None:
                    fault = "the header must name one column prompt (or caption), and may name id and seed"
                    yield Line(start, {}, fault)
                    return
            elif len(row) > len(header):
                fault = (
                    f"{len(row)} fields where the header has {len(header)}; put texts with commas in quotes"
                )
                yield Line(start, {}, fault)
            else:
                # An empty field is one that is not given.
                yield Line(start, {name: field for name, field in zip(header, row, strict=False) if field})
    except csv.Error as error:
        yield Line(number, {}, f"not CSV: {error}")


def _parse_array(text: str) -> Iterator[Line]:
    decoder = json.JSONDecoder(object_pairs_hook=_each_key_once)
    position, number = text.index("[") + 1, 1
    counted = 0
    while True:
        position = _skip_space(text, position)
        if text.startswith("]", position) and not text[position + 1 :].strip():
            return
        number += text.count("\n", counted, position)
        counted = position
        try:
            tree, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            yield Line(number, {}, _fault_of_json(error))
            return
        match tree:
            case dict():
                yield Line(number, tree)
            case str():
                yield Line(number, {"prompt": tree})
            case _:
                yield Line(number, {}, _ONE_OBJECT)
        position = _skip_space(text, position)
        if text.startswith(",", position):
            position += 1
        elif not text.startswith("]", position):
            yield Line(
                number + text.count("\n", counted, position), {}, "not JSON: the array goes wrong here"
            )
            return


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        raise _TwoValuesError
    return tree


class _TwoValuesError(ValueError):
    """Object that gives one key twice, of which JSON readers drop one."""


def _skip_space(text: str, position: int) -> int:
    while text[position : position + 1].isspace():
        position += 1
    return position


def _fault_of_json(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} in column {error.colno}"
    if isinstance(error, _TwoValuesError):
        return "one key is given twice"
    return "not JSON that can be read"  # numbers or nesting too large for Python


def _split(text: str) -> Iterator[tuple[int, str]]:
    """Split a text into the lines that are not blank, with their numbers; line ends are those of editors."""
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        if line.strip():
            yield number, line.rstrip("\n")


def _separator(header: str) -> str | None:
    """Separator with which a line is a header of a CSV with prompts; None if it is none."""
    with suppress(csv.Error):  # of a text that is longer than a field may be
        for separator in _SEPARATORS:
            if _prompt_column(_names(next(csv.reader([header], delimiter=separator), []))) is not None:
                return separator
    return None


def _names(row: list[str]) -> list[str]:
    return [name.strip().lower() for name in row]


def _prompt_column(header: list[str]) -> str | None:
    given = [name for name in _PROMPT_COLUMNS if name in header]
    return given[0] if given and header.count(given[0]) == 1 else None


_NAMES: Mapping[Parser, str] = {
    parse_json: "a set of prompts: JSON",
    parse_csv: "a set of prompts: CSV with a header",
    refuse: _OTHER_NAME,
}

BY_ENDING: Mapping[str, Parser] = {
    ".txt": recognise,
    ".jsonl": parse_json,
    ".json": parse_json,
    ".csv": parse_csv,
    ".tsv": parse_csv,
}
"""Parsers by the ending of a file's name."""
