"""Manifest of a prompt set: its entries, kept in the set's folder, so that the folder tells what it is.

A line says the schema, the source and the shard; each further line is an entry. The folder may be anybody's:
it is read within limits, and no entry names anything outside of it. Knows no run and no config.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from phyt2v_cli.errors import FilesError
from phyt2v_cli.files.atomic import describe_os_error, replace_file
from phyt2v_cli.files.untrusted import open_plain_file
from phyt2v_cli.sets.prompt_set import PromptEntry, fault_of_prompt
from phyt2v_cli.sets.shard import Shard

SCHEMA: Literal["phyt2v.prompt-set/1"] = "phyt2v.prompt-set/1"
_NAME = re.compile(r"prompts(?:-\d{1,9}-of-\d{1,9})?\.jsonl")
_MAX_LINE_BYTES = 16 * 2**20
_MAX_COLUMNS = 1000
_MAX_NAME_BYTES = 255


def write_manifest(
    batch_dir: Path, entries: Sequence[PromptEntry], *, source: str, shard: Shard | None
) -> tuple[PromptEntry, ...]:
    """Write the manifest of a set, or of a shard of it, and return its entries; raise FilesError if refused.

    Entries that an earlier command rendered into the same folder stay in it, after the new ones: other rows
    of the same file, or another file.
    """
    path = batch_dir / f"prompts{shard.suffix if shard else ''}.jsonl"
    head = {"schema": SCHEMA, "source": source, "shard": str(shard) if shard else None}
    folders = {entry.folder for entry in entries}
    earlier: list[PromptEntry] = []
    with suppress(FilesError):  # up to a line that cannot be read
        for entry in _read(path):
            if entry.folder not in folders:
                earlier.append(entry)
    rendered = [entry for entry in earlier if (batch_dir / entry.folder / "run.json").is_file()]
    # A path, an id or a column may hold half a character, which no JSON reader takes.
    with replace_file(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace") as file:
        file.write(json.dumps(head, ensure_ascii=False) + "\n")
        for entry in (*entries, *rendered):
            tree = {
                "id": entry.id,
                "prompt": entry.prompt,
                "seed": entry.seed,
                "line": entry.line,
                "row": entry.row,
                "image": None if entry.image is None else str(entry.image),
                "folder": entry.folder,
                "columns": dict(entry.columns),
            }
            file.write(json.dumps(tree, ensure_ascii=False) + "\n")
    return (*entries, *rendered)


def has_manifest(batch_dir: Path) -> bool:
    """Whether a folder is that of a set; raises nothing, whatever is there."""
    try:
        return bool(_names(batch_dir))
    except FilesError:
        return False


def read_manifests(batch_dir: Path) -> tuple[PromptEntry, ...]:
    """Read the entries of all manifests of a set's folder, in order of rows and seeds, each folder once.

    Raises FilesError if there is none, or if one is foreign, damaged or cannot be read; it names the line.
    """
    names = _names(batch_dir)
    if not names:
        raise FilesError(
            f"{batch_dir} is not the folder of a prompt set: it has no prompts.jsonl",
            "Name a folder that `run_jobs` has made.",
        )
    by_folder: dict[str, PromptEntry] = {}
    for name in names:
        for entry in _read(batch_dir / name):
            by_folder.setdefault(entry.folder, entry)
    return tuple(sorted(by_folder.values(), key=lambda entry: (entry.row, entry.line, entry.seed or 0)))


def is_plain_name(name: str) -> bool:
    """Whether a text can name a file or folder right in another one, on any usual file system."""
    return (
        name not in ("", ".", "..")
        and not re.search("[/\\\\\0-\x1f\x7f\ud800-\udfff]", name)
        and len(name.encode()) <= _MAX_NAME_BYTES
    )


def _check_folder(name: str) -> str:
    if not is_plain_name(name):
        raise ValueError("not a plain name of a folder")
    return name


def _check_prompt(prompt: str) -> str:
    if fault := fault_of_prompt(prompt):
        raise ValueError(fault)
    return prompt


class _Head(BaseModel):
    model_config = ConfigDict(strict=True)

    schema_id: Literal["phyt2v.prompt-set/1"] = Field(alias="schema")
    source: str
    shard: str | None


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True)

    id: str | None
    prompt: Annotated[str, AfterValidator(_check_prompt)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None
    line: Annotated[int, Field(ge=0)]
    row: Annotated[int, Field(ge=0)]
    image: str | None
    folder: Annotated[str, AfterValidator(_check_folder)]
    columns: Annotated[dict[str, str], Field(max_length=_MAX_COLUMNS)]


def _names(batch_dir: Path) -> list[str]:
    try:
        return sorted(path.name for path in batch_dir.iterdir() if _NAME.fullmatch(path.name))
    except OSError as error:
        raise describe_os_error(error, f"{batch_dir} could not be read") from error


def _read(path: Path) -> Iterator[PromptEntry]:
    kind: type[_Head | _Entry] = _Head
    try:
        with open_plain_file(path) as file:
            number = 0
            while line := file.readline(_MAX_LINE_BYTES):
                number += 1
                try:
                    read = kind.model_validate_json(line)
                except ValidationError as error:
                    raise _refusal(path, f"line {number}: {_first_fault(error)}") from error
                kind = _Entry
                if isinstance(read, _Entry):
                    fields = read.model_dump(exclude={"image"})
                    yield PromptEntry(**fields, image=None if read.image is None else Path(read.image))
    except OSError as error:
        raise describe_os_error(error, f"{path} could not be read") from error
    except ValueError as error:
        raise _refusal(path, str(error)) from error
    if kind is _Head:
        raise _refusal(path, "it is empty")


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, fault["loc"]))
    return f"{place}: {fault['msg']}" if place else fault["msg"]


def _refusal(path: Path, fault: str) -> FilesError:
    return FilesError(
        f"{path} is no manifest of a prompt set: {fault}",
        "The command that made the set writes it again.",
    )
