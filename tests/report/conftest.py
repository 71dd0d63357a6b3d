"""A run whose videos nobody can take for one another, and a way to change what is recorded."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phyt2v_cli.files.video import VideoMetadata, write_video
from tests.fake_runs import make_config, run_through

BACKGROUNDS = {
    "control.mp4": (40, 40, 40),
    "output1.mp4": (200, 200, 60),
    "output2.mp4": (60, 160, 220),
    "output3.mp4": (230, 120, 200),
}
"""The videos of `painted_run` in the order in which they are shown, and their colours."""


@pytest.fixture(scope="session")
def _painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("painted") / "run"
    run_through(path, make_config(rounds=2, control=True))
    for name, colour in BACKGROUNDS.items():
        frames = np.full((8, 48, 64, 3), colour, np.uint8)
        for number, frame in enumerate(frames):
            frame[16:32, 7 * number : 7 * number + 14] = (250, 250, 250)
        write_video(path / name, frames, fps=8, metadata=VideoMetadata("p", seed=0, steps=1))
    return path


@pytest.fixture
def painted_run(_painted: Path, tmp_path: Path) -> Path:
    """A complete run with a control: eight frames a video, of 48x64, with a square that moves right."""
    return shutil.copytree(_painted, tmp_path / "painted")


def change(path: Path, **values: Any) -> None:
    """Set values in a record."""
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | values))
