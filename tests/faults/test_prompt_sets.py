"""Prompt sets from anybody: any bytes and any JSON are read or refused, and folders stay plain and apart."""

import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyt2v_cli.errors import PromptError
from phyt2v_cli.sets.prompt_set import read_prompt_set
from tests.faults.test_parsers import MANY, any_bytes, any_json, any_text

SUFFIXES = [".txt", ".jsonl", ".csv"]
FIELDS = ["prompt", "id", "seed", "source"]

any_entry = any_json | st.dictionaries(st.sampled_from(FIELDS), any_json)
good_text = any_text.filter(str.strip) | st.sampled_from(["a ball", "A Ball", "../../x", "CON", "红球", "\0"])


def read_or_refuse(path: Path, content: bytes) -> None:
    """Read `content` as a file and from standard input; it is either a set or refused with its places."""
    path.write_bytes(content)
    for source in (str(path), "-"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
            try:
                read = read_prompt_set(source)
            except PromptError as error:
                assert len(str(error).splitlines()) <= 23
                continue
        entries = read.entries
        assert len(read.tell_faults()) <= 21
        folders = [entry.folder for entry in entries]
        assert len(folders) == len({folder.casefold() for folder in folders})
        for folder in folders:
            assert folder.replace("-", "").isalnum()
            assert len(folder.encode()) <= 49
        assert all(entry.prompt.encode() for entry in entries)


@given(
    content=any_bytes | st.binary(max_size=60).map(b"prompt,id,seed\n".__add__),
    suffix=st.sampled_from(SUFFIXES),
)
@MANY
def test_any_bytes_in_a_prompt_set(content: bytes, suffix: str, tmp_path: Path) -> None:
    read_or_refuse(tmp_path / f"set{suffix}", content)


@given(entries=st.lists(any_entry, max_size=5))
@MANY
def test_any_json_lines_in_a_prompt_set(entries: list[object], tmp_path: Path) -> None:
    read_or_refuse(tmp_path / "set.jsonl", "\n".join(map(json.dumps, entries)).encode())


@given(pairs=st.lists(st.tuples(good_text, st.none() | good_text), min_size=1, max_size=6))
@MANY
def test_fault_41_any_id_gives_one_plain_folder_name(
    pairs: list[tuple[str, str | None]], tmp_path: Path
) -> None:
    lines = [json.dumps({"prompt": prompt, "id": name}) for prompt, name in pairs]
    read_or_refuse(tmp_path / "set.jsonl", "\n".join(lines * 2).encode())
