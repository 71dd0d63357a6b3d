"""The contact sheet of a run: which frames and words it shows, and at which place."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from phyt2v_cli.errors import VideoError
from phyt2v_cli.files.video import sample_frames
from phyt2v_cli.report.contact_sheet import NUM_FRAMES, contact_sheet, draw_if_possible
from tests.report.conftest import BACKGROUNDS, change

Picture = npt.NDArray[np.uint8]
"""Shape (height, width, 3), RGB."""

HEIGHT, WIDTH = 144, 192
"""Of a frame on the sheet; those of `painted_run` are 48x64."""


def draw_sheet(path: Path) -> Picture:
    with Image.open(contact_sheet(path)) as sheet:
        return np.asarray(sheet.convert("RGB"))


def places_of(pictures: Iterable[Picture], sheet: Picture) -> list[tuple[int, int]]:
    """Return for each picture the one place, top and left, at which `sheet` holds every pixel of it."""
    is_paper = (sheet == sheet[0, 0]).all(axis=-1)
    corners = 1 + np.argwhere(~is_paper[1:, 1:] & is_paper[:-1, 1:] & is_paper[1:, :-1])
    places = []
    for picture in pictures:
        found = [
            (int(top), int(left))
            for top, left in corners
            if np.array_equal(sheet[top, left], picture[0, 0])
            and np.array_equal(sheet[top : top + HEIGHT, left : left + WIDTH], picture)
        ]
        assert len(found) == 1
        places += found
    return places


def frames_of(path: Path) -> list[Picture]:
    """Return the frames of a video as a sheet should show them."""
    return [
        np.asarray(Image.fromarray(frame).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))
        for frame in sample_frames(path, NUM_FRAMES)
    ]


def rows_of(path: Path, sheet: Picture) -> list[list[tuple[int, int]]]:
    """Return where the sheet shows each frame, for each video in the order of `BACKGROUNDS`."""
    return [places_of(frames_of(path / name), sheet) for name in BACKGROUNDS]


def ink_of(area: Picture, paper: Picture) -> tuple[int, ...]:
    """Return the colour that text is written in: the commonest on the paper."""
    colours = Counter(map(tuple, area.reshape(-1, 3).tolist()))
    del colours[tuple(paper.tolist())]
    return colours.most_common(1)[0][0]


def test_each_video_has_a_row_of_its_frames_the_controls_first(painted_run: Path) -> None:
    rows = rows_of(painted_run, draw_sheet(painted_run))
    tops = [{top for top, _ in row} for row in rows]
    lefts = [[left for _, left in row] for row in rows]
    assert all(len(heights) == 1 for heights in tops)
    assert all(row == lefts[0] for row in lefts)
    assert all(gap > WIDTH for gap in np.diff(lefts[0]))
    assert all(gap > HEIGHT for gap in np.diff([top for (top,) in tops]))


def test_each_row_is_labelled(painted_run: Path) -> None:
    sheet = draw_sheet(painted_run)
    rows = rows_of(painted_run, sheet)
    labels = [sheet[top : top + HEIGHT, : row[0][1]] for row in rows for top in [row[0][0]]]
    paper = sheet[0, 0]
    inked = [(label != paper).any(axis=-1) for label in labels]
    assert all(ink.sum() > 500 for ink in inked)
    first_words = [ink[:25, :75] for ink in inked]  # without the number: "Control", "Round", "Round", "Round"
    assert not np.array_equal(first_words[0], first_words[1])
    assert np.array_equal(first_words[1], first_words[2])
    assert np.array_equal(first_words[1], first_words[3])
    assert len({ink[:25].tobytes() for ink in inked}) == 4
    # a final's purpose is written in another colour than a draft's
    control, *drafts, final = (ink_of(label[30:50], paper) for label in labels)
    assert control == final
    assert drafts == [drafts[0]] * 2
    assert final != drafts[0]


@pytest.mark.parametrize(
    ("name", "row", "values", "in_label"),
    [
        ("round2.json", 2, {"scores": {"semantic_adherence": 0.5, "physical_commonsense": None}}, True),
        ("control.json", 0, {"scores": {"semantic_adherence": 0.25, "physical_commonsense": 0.5}}, True),
        ("round1.json", 1, {"steps": 9}, True),
        ("round2.json", 2, {"prompt": "a red ball drops, version two"}, False),
        ("control.json", 0, {"prompt": "a red ball that hovers"}, False),
    ],
)
def test_what_is_said_of_a_video_stands_beside_it(
    name: str, row: int, values: dict[str, Any], in_label: bool, painted_run: Path
) -> None:
    before = draw_sheet(painted_run)
    top, left = rows_of(painted_run, before)[row][0]
    change(painted_run / name, **values)
    changed = np.argwhere((draw_sheet(painted_run) != before).any(axis=-1))
    assert len(changed) > 10
    (first_y, first_x), (last_y, last_x) = changed.min(axis=0), changed.max(axis=0)
    if in_label:
        assert top <= first_y <= last_y < top + HEIGHT
        assert last_x < left
    else:
        assert top - 30 < first_y <= last_y < top
        assert first_x >= left


def test_a_video_that_is_not_finished_has_no_row(painted_run: Path) -> None:
    before = draw_sheet(painted_run)
    (control, *_), (first, *_), *_ = rows_of(painted_run, before)
    change(painted_run / "control.json", sha256=None)
    sheet = draw_sheet(painted_run)
    assert len(sheet) == len(before) - (first[0] - control[0])
    assert places_of(frames_of(painted_run / "output1.mp4"), sheet)[0] == control  # it takes its place


def test_a_run_without_videos_has_no_sheet(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no finished video"):
        contact_sheet(tmp_path)


def test_a_sheet_is_drawn_again_only_if_a_record_changed(painted_run: Path) -> None:
    sheet = draw_if_possible(painted_run, lambda _: None)
    assert sheet is not None
    drawn = sheet.stat().st_mtime_ns
    assert draw_if_possible(painted_run, lambda _: None) == sheet
    assert sheet.stat().st_mtime_ns == drawn
    change(painted_run / "round1.json", steps=9)
    os.utime(painted_run / "round1.json", ns=(drawn, drawn))
    draw_if_possible(painted_run, lambda _: None)
    assert sheet.stat().st_mtime_ns != drawn
