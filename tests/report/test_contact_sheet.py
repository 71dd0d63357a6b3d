"""Pictures of a run."""

from pathlib import Path

import pytest

from phyt2v_cli.errors import VideoError
from phyt2v_cli.report.contact_sheet import contact_sheet
from tests.fake_runs import make_config, run_through


def test_the_contact_sheet_has_a_row_for_each_video(tmp_path: Path) -> None:
    from PIL import Image

    sizes = []
    for rounds in (0, 2):
        path = tmp_path / str(rounds)
        run_through(path, make_config(rounds=rounds))
        with Image.open(contact_sheet(path)) as sheet:
            sizes.append(sheet.size)
    assert sizes[0][0] == sizes[1][0] > 1000
    assert sizes[1][1] > 2.5 * sizes[0][1]


def test_a_run_without_videos_has_no_sheet(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no finished video"):
        contact_sheet(tmp_path)
