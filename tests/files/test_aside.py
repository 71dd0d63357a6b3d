"""What is in the way is renamed to a free name, and nothing is lost."""

from pathlib import Path

import pytest

from phyt2v_cli.errors import FilesError
from phyt2v_cli.files.aside import first_free, move_aside


def test_each_gets_a_name_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "run"
    for number in (1, 2):
        path.mkdir()
        (path / "mine").write_text(str(number))
        assert move_aside(path) == tmp_path / f"run.old-{number}"
    assert (tmp_path / "run.old-1" / "mine").read_text() == "1"
    (tmp_path / "run.old-3").symlink_to("nowhere")
    assert first_free(path, "old") == tmp_path / "run.old-4"


def test_what_cannot_be_moved_is_said(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match="could not be moved aside"):
        move_aside(tmp_path / "nothing")
