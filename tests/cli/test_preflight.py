from pathlib import Path

import pytest

from phyt2v_cli.cli.preflight import check_disk, needed_bytes
from phyt2v_cli.errors import FilesError
from phyt2v_cli.settings import Config, GeneratorConfig


def test_a_disk_with_too_little_room_is_said_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match=r"about [\d,.]+ MiB are needed and [\d,.]+ MiB are free"):
        check_disk(tmp_path / "runs" / "new", 2**62)
    check_disk(tmp_path / "runs" / "new", 1)
    assert list(tmp_path.iterdir()) == []


def test_the_need_grows_with_the_videos() -> None:
    small = Config(generator=GeneratorConfig(num_frames=25, height=64, width=64))
    assert needed_bytes(small, 5) < needed_bytes(small, 6) < needed_bytes(Config(), 6)
    assert needed_bytes(small, 5) < 8 * 2**20
