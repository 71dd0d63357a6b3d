"""The clips of a run: which videos they show, in which place, and when they are drawn."""

import json
import os
from pathlib import Path

import av
import numpy as np
import pytest

from phyt2v_cli.events import Notice
from phyt2v_cli.files.video import read_frames
from phyt2v_cli.report.clips.of_run import Clips, compared, draw_if_possible
from phyt2v_cli.runs.reader import read_run
from tests.fake_runs import make_config, run_through
from tests.report.conftest import BACKGROUNDS, change


def draw(path: Path) -> Clips:
    """Draw the clips; none may fail."""
    notices: list[Notice] = []
    clips = draw_if_possible(path, notices.append)
    assert notices == []
    return clips


def colours(clip: Path, columns: int, rows: int = 1) -> list[tuple[int, ...]]:
    """Colour at the lower left of each cell of the last frame, to the nearest of `BACKGROUNDS`."""
    frame = read_frames(clip)[-1].astype(int)
    height, width = frame.shape[0] // rows, frame.shape[1] // columns
    found = []
    for row in range(rows):
        for column in range(columns):
            pixel = frame[(row + 1) * height - 40, column * width + 30]
            found.append(min(BACKGROUNDS.values(), key=lambda one: float(np.abs(one - pixel).sum())))
    return found


def test_the_original_stands_beside_the_result_and_all_rounds_in_a_grid(painted_run: Path) -> None:
    clips = draw(painted_run)
    assert clips == Clips(painted_run / "compare.mp4", painted_run / "rounds.mp4")
    control, first, second, third = BACKGROUNDS.values()
    assert colours(painted_run / "compare.mp4", 2) == [control, third]
    assert colours(painted_run / "rounds.mp4", 3) == [first, second, third]
    for name in ("compare.mp4", "rounds.mp4"):
        with av.open(str(painted_run / name)) as file:
            codec = file.streams.video[0].codec_context
            assert (codec.name, codec.pix_fmt, file.streams.video[0].average_rate) == ("h264", "yuv420p", 8)
            assert codec.width % 2 == codec.height % 2 == 0
    frames = read_frames(painted_run / "compare.mp4")
    assert len(frames) == 8
    assert frames[:, :40].std() > 10, "the labels are drawn"


def test_a_clip_is_drawn_again_only_if_its_sources_changed(painted_run: Path) -> None:
    draw(painted_run)
    compare = painted_run / "compare.mp4"
    before = compare.stat().st_mtime_ns
    draw(painted_run)
    assert compare.stat().st_mtime_ns == before
    change(painted_run / "control.json", steps=5)
    os.utime(painted_run / "control.json", ns=(before + 10**9, before + 10**9))
    draw(painted_run)
    assert compare.stat().st_mtime_ns != before


def test_a_control_that_won_stands_beside_the_last_round(painted_run: Path) -> None:
    tree = json.loads((painted_run / "run.json").read_text())
    change(painted_run / "run.json", result=tree["result"] | {"id": "control", "video": "control.mp4"})
    names = [(one.label, one.record.video, one.is_result) for one in compared(read_run(painted_run))]
    assert names == [("original", "control.mp4", True), ("round 3", "output3.mp4", False)]


def test_without_a_control_nothing_is_compared(tmp_path: Path) -> None:
    run_through(tmp_path / "run", make_config(rounds=1))
    clips = draw(tmp_path / "run")
    assert clips == Clips(None, tmp_path / "run" / "rounds.mp4")
    run_through(tmp_path / "single", make_config(rounds=0, control=True))
    assert draw(tmp_path / "single") == Clips(), "the result is the original"


def test_a_broken_video_is_only_a_notice(painted_run: Path) -> None:
    (painted_run / "control.mp4").write_bytes(b"no video")
    notices: list[Notice] = []
    clips = draw_if_possible(painted_run, notices.append)
    assert clips == Clips(None, painted_run / "rounds.mp4")
    assert [notice.text.split(":")[0] for notice in notices] == ["no compare.mp4"]
    with pytest.raises(FileNotFoundError):
        (painted_run / "compare.mp4").stat()
