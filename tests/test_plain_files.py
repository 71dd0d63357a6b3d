"""Only plain files, and only small ones."""

import os
from pathlib import Path

import pytest

from phyt2v_cli.plain_files import read_plain_file


def test_what_fits_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1024)
    assert read_plain_file(tmp_path / "a", 1024) == b"x" * 1024
    with pytest.raises(ValueError, match="larger than 0 KiB"):
        read_plain_file(tmp_path / "a", 1023)


def test_what_could_block_or_never_end_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match="not a plain file"):
            read_plain_file(path, 10)
    with pytest.raises((ValueError, OSError)):
        read_plain_file(tmp_path, 10)
    with pytest.raises(FileNotFoundError):
        read_plain_file(tmp_path / "none", 10)
