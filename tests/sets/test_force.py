"""The memory of an unfinished `force`: one line for each run, however the writing ends."""

import json
import os
from pathlib import Path

import pytest

from phyt2v_cli.errors import FilesError
from phyt2v_cli.sets.force import ForceMemory
from phyt2v_cli.sets.shard import Shard

NAME = ".phyt2v-force.json"


def remembered(folder: Path, *names: str) -> list[bool]:
    memory = ForceMemory.read(folder)
    return [folder / name in memory for name in names]


def test_what_was_added_is_there_in_the_next_process_and_gone_when_forgotten(tmp_path: Path) -> None:
    memory = ForceMemory.read(tmp_path)
    for name in ("one", "zwei ü", "one"):
        memory.add(tmp_path / name)
    assert remembered(tmp_path, "one", "zwei ü", "three") == [True, True, False]
    assert len((tmp_path / NAME).read_text().splitlines()) == 2
    assert tmp_path / "one" not in ForceMemory.read(tmp_path, Shard(1, 2)), "a shard has its own"
    memory.forget()
    memory.forget()
    assert tmp_path / "one" not in memory
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_added_by_appending_whatever_was_remembered_before(tmp_path: Path) -> None:
    memory = ForceMemory.read(tmp_path)
    memory.add(tmp_path / "run-0")
    file = (tmp_path / NAME).stat()
    for n in range(1, 1000):
        memory.add(tmp_path / f"run-{n}")
    grown = (tmp_path / NAME).stat()
    assert grown.st_ino == file.st_ino, "the file was written anew"
    assert grown.st_size < 1000 * (file.st_size + 3)
    assert all(remembered(tmp_path, *(f"run-{n}" for n in range(1000))))


def test_the_memory_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(json.dumps({"schema": "phyt2v.force/1", "renewed": ["one", "two"]}))
    memory = ForceMemory.read(tmp_path)
    assert tmp_path / "two" in memory
    memory.add(tmp_path / "three")
    assert remembered(tmp_path, "one", "two", "three", "four") == [True, True, True, False]


def test_fault_48_a_process_that_is_killed_while_it_appends_loses_its_own_line_only(tmp_path: Path) -> None:
    memory = ForceMemory.read(tmp_path)
    memory.add(tmp_path / "one")
    whole = (tmp_path / NAME).read_bytes()
    memory.add(tmp_path / "two")
    both = (tmp_path / NAME).read_bytes()
    for end in range(len(whole), len(both)):
        (tmp_path / NAME).write_bytes(both[:end])
        memory = ForceMemory.read(tmp_path)
        assert tmp_path / "one" in memory
        memory.add(tmp_path / "three")
        assert remembered(tmp_path, "one", "three") == [True, True]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00", b"[]", b"{}", b'{"schema": "phyt2v.force/9"}', b"1\n\n"]
)
def test_what_cannot_be_understood_says_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(content)
    ForceMemory.read(tmp_path).add(tmp_path / "one")
    assert remembered(tmp_path, "one", "two") == [True, False]


def test_a_memory_that_cannot_be_written_is_said_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / NAME).symlink_to(tmp_path / "precious")
    with pytest.raises(FilesError, match="could not be written"):
        ForceMemory.read(tmp_path).add(tmp_path / "one")
    assert (tmp_path / "precious").read_text() == "mine"
    (tmp_path / NAME).unlink()
    os.mkfifo(tmp_path / NAME)
    with pytest.raises(FilesError, match="could not be written"):
        ForceMemory.read(tmp_path).add(tmp_path / "one")
