"""Followers of files that grow."""

from pathlib import Path

from phyt2v_cli.cli.journal.following import Tail


def test_a_tail_hands_over_whole_lines_once(tmp_path: Path) -> None:
    path = tmp_path / "a"
    tail = Tail(path)
    assert tail.read() == []
    path.write_bytes(b"one\ntw")
    assert tail.read() == ["one"]
    assert tail.read() == []
    with path.open("ab") as file:
        file.write(b"o\n\xff\n")
    assert tail.read() == ["two", "\ufffd"]
    path.write_bytes(b"new\n")
    assert tail.read() == ["new"]
    path.rename(tmp_path / "old")
    path.write_bytes(b"of another run, which is longer\n")
    assert tail.read() == ["of another run, which is longer"]
