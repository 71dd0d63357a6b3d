"""Formats of prompt sets: lines, JSON lines, a JSON array, CSV. Parsers yield raw entries with their lines.

What an entry means is validated elsewhere. Knows text only; reads no file.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import zip_longest
from typing import NamedTuple

from phyt2v_cli.sets import columns

_ONE_OBJECT = 'not an object like {"prompt": "a ball drops"}'
_ENDS_HERE = "; nothing below it can be read"
_SEPARATORS = ",;\t"
_PROSE_NAMES = ("description", "text")
"""Names of columns of prompts that a prompt may begin with; a header has single words beside them."""
_MAX_BROKEN_ROWS = 1000
"""Limit of the rows that CSV is read on after, since each may have been looked for to the end of the text."""
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
    """Line in which it begins, from 1; in an object of lists its place in them."""
    fields: Mapping[str, object]
    fault: str | None = None


Parser = Callable[[str, str | None], Iterator[Line]]
"""Parser of a text whose prompts are in the given column; None: in one of the published names."""


def recognise(text: str, prompt_column: str | None) -> Iterator[Line]:
    """Parse a text of any format."""
    return _parser_of(text, prompt_column)(text, prompt_column)


def name_of_format(text: str) -> str | None:
    """What a text is that is plainly no prompt, in words; None if it may be a prompt."""
    return _NAMES.get(_parser_of(text, None))


def without_comments(text: str) -> str:
    """Text without the lines that begin with ``#``."""
    return re.sub(r"(?m)^[ \t]*#.*(?:\n|\Z)", "", text)


def _parser_of(text: str, prompt_column: str | None) -> Parser:
    text = without_comments(text).lstrip()
    if re.match(r'\{\s*"', text) or re.match(r'\[\s*(?:[{"]|\]\s*\Z)', text):
        return parse_json
    if _OTHER.match(text):
        return refuse
    lines = _split(text)
    _, first = next(lines, (1, ""))
    separator = _separator(first, prompt_column)
    if separator is None or (prompt_column is None and _is_prose(first, separator)):
        return parse_lines
    is_header = separator in first or next(lines, None) is not None
    return parse_csv if is_header else parse_lines


def refuse(_: str, __: str | None) -> Iterator[Line]:
    """Refuse a text in a format that is none of prompts."""
    yield Line(1, {}, f"{_OTHER_NAME}; a set is lines, JSON or CSV")


def parse_lines(text: str, _: str | None) -> Iterator[Line]:
    """Parse prompts that are a line each; a line that begins with ``#`` is a comment."""
    for number, line in _split(text):
        if not line.lstrip().startswith("#"):
            yield Line(number, {"prompt": line})


def parse_json(text: str, prompt_column: str | None) -> Iterator[Line]:
    """Parse objects, one in each line or one over many; an object of lists; or an array, also of texts."""
    start = text[: len(text) - len(text.lstrip())]
    if text.startswith("[", len(start)):
        yield from _parse_array(text)
        return
    with suppress(ValueError, RecursionError):
        tree = json.loads(text, object_pairs_hook=_each_key_once)
        if isinstance(tree, dict):
            yield from _parse_object(tree, 1 + start.count("\n"), prompt_column)
            return
    for number, line in _split(text):
        try:
            tree = json.loads(line, object_pairs_hook=_each_key_once)
        except (ValueError, RecursionError) as error:
            yield Line(number, {}, _fault_of_json(error))
        else:
            is_object = isinstance(tree, dict)
            yield Line(number, tree if is_object else {}, None if is_object else _ONE_OBJECT)


def parse_csv(text: str, prompt_column: str | None) -> Iterator[Line]:
    """Parse rows below a header; commas, semicolons or tabs stand between the columns."""
    lines = list(io.StringIO(text, newline=""))
    first = next((line for line in lines if line.strip()), "")
    separator = _separator(first, prompt_column) or max(_SEPARATORS, key=first.count)
    header: list[str] | None = None
    for number, row in _rows(lines, separator):
        if isinstance(row, csv.Error):
            yield Line(number, {}, f"not CSV: {row}")
        elif not any(field.strip() for field in row):
            continue
        elif header is None:
            try:
                columns.resolve(tuple(name.strip() for name in row), prompt_column, None)
            except columns.ColumnError as error:
                yield Line(number, {}, str(error))
                return
            header = _header(row)
        elif len(row) > len(header):
            fault = f"{len(row)} fields where the header has {len(header)}; put texts with commas in quotes"
            yield Line(number, {}, fault)
        else:
            # An empty field is one that is not given.
            yield Line(number, {name: field or None for name, field in zip_longest(header, row)})


def _rows(lines: list[str], separator: str) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Yield the rows of CSV with the lines in which they begin; a broken one gives an error.

    A row that is broken may have swallowed others behind a quote that is not closed, so reading goes on in
    the line below the one in which it begins.
    """
    begin = 0
    for _ in range(_MAX_BROKEN_ROWS):
        reader = csv.reader((lines[i] for i in range(begin, len(lines))), strict=True, delimiter=separator)
        num_read = 0
        try:
            for row in reader:
                yield begin + num_read + 1, row
                num_read = reader.line_num
            return
        except csv.Error as error:
            begin += num_read + 1
            yield begin, error
    if begin < len(lines):
        yield begin + 1, csv.Error(f"too many rows are broken{_ENDS_HERE}")


def _header(row: list[str]) -> list[str]:
    """Names of the columns, each once; a column without a name gets one."""
    names: list[str] = []
    for number, given in enumerate(row, start=1):
        name = given.strip() or f"column_{number}"
        names.append(name if name not in names else f"{name}.{number}")
    return names


def _parse_object(tree: dict[str, object], number: int, prompt_column: str | None) -> Iterator[Line]:
    """Parse one object: an entry, or columns as lists."""
    with suppress(columns.ColumnError):
        prompt = columns.find_prompt(tuple(tree), prompt_column)
        if prompt is not None and isinstance(tree[prompt], list):
            yield from _parse_lists(tree, number)
            return
    yield Line(number, tree)


def _parse_lists(tree: dict[str, object], number: int) -> Iterator[Line]:
    lists = {name: value for name, value in tree.items() if isinstance(value, list)}
    lengths = {name: len(items) for name, items in lists.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        yield Line(number, {}, f"the lists are not of one length: {told}")
        return
    same = {name: value for name, value in tree.items() if name not in lists}
    for place, row in enumerate(zip(*lists.values(), strict=True), start=1):
        yield Line(place, dict(zip(lists, row, strict=True)) | same)


def _parse_array(text: str) -> Iterator[Line]:
    decoder = json.JSONDecoder(object_pairs_hook=_each_key_once)
    position, number, counted = _skip_space(text, text.index("[") + 1), 1, 0
    next_entry = _next_entry(text, position)
    while not (text.startswith("]", position) and not text[position + 1 :].strip()):
        number += text.count("\n", counted, position)
        counted = position
        end: int | None
        fault = None
        try:
            tree, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            tree, fault, end = None, _fault_of_json(error), _end_of_broken(text, position, next_entry)
        else:
            end = _skip_space(text, end)
            match tree:
                case dict():
                    yield Line(number, tree)
                case str():
                    yield Line(number, {"prompt": tree})
                case _:
                    yield Line(number, {}, _ONE_OBJECT)
            if not text.startswith((",", "]"), end):
                number += text.count("\n", counted, end)
                counted = end
                fault = "not JSON: the array goes wrong here"
                if not text.startswith(("{", '"'), end):  # a comma is not all that is missing
                    end = _end_of_broken(text, end, next_entry)
        if fault is not None:
            yield Line(number, {}, fault if end is not None else f"{fault}{_ENDS_HERE}")
        if end is None:
            return
        position = _skip_space(text, end)
        if text.startswith(",", position):
            position = _skip_space(text, position + 1)


def _next_entry(text: str, position: int) -> "re.Pattern[str] | None":
    """Pattern of the begin of an entry, if each begins a line with the same indentation as the first."""
    begin = text.rfind("\n", 0, position) + 1
    indentation = text[begin:position]
    if not begin or indentation.strip():
        return None
    return re.compile(rf"\n{re.escape(indentation)}(?=[{{\"])")


def _end_of_broken(text: str, position: int, next_entry: "re.Pattern[str] | None") -> int | None:
    """Position from which an array can be read on after a broken entry; None if there is none."""
    with suppress(ValueError, RecursionError):
        return json.JSONDecoder().raw_decode(text, position)[1]  # JSON, if one that says a thing twice
    found = None if next_entry is None else next_entry.search(text, position)
    return found.end() if found else None


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


def _separator(header: str, prompt_column: str | None) -> str | None:
    """Separator with which a line is a header of a CSV with prompts; None if it is none."""
    with suppress(csv.Error, columns.ColumnError):  # of a text that is longer than a field may be
        for separator in _SEPARATORS:
            if columns.find_prompt(_names(header, separator), prompt_column) is not None:
                return separator
    return None


def _is_prose(header: str, separator: str) -> bool:
    """Whether a header is rather a prompt that begins with such a word."""
    names = _names(header, separator)
    found = columns.find_prompt(names) or ""
    return found.lower() in _PROSE_NAMES and any(re.search(r"\s", name) for name in names)


def _names(header: str, separator: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in next(csv.reader([header], delimiter=separator), []))


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
