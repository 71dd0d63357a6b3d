"""Runs that phyt2v 0.1.0 made, with schema ``phyt2v.run/1``: shown, reported, gone on with, and never
rendered again.

tests/data/run_v1 has two of them, of the embedded model: a complete one with a control, and one that was
killed as its second video was to be captioned.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save

from phyt2v_cli.report.page import write_report
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.latents import read_latents
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.video_id import CONTROL, RoundId
from tests.command_line import CommandLine

DATA = Path(__file__).parents[1] / "data" / "run_v1"
COMMAND = (
    "refine",
    "--prompt",
    "a red ball drops",
    "--min-steps",
    "3",
    "--max-steps",
    "5",
    "--control",
    "-q",
)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA, tmp_path / "stored"))


def records(run: Path) -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_bytes()) for path in run.glob("*.json")}


def videos(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.glob("*.mp4")}


def test_the_fixtures_are_of_version_1() -> None:
    for name in ("complete", "interrupted"):
        found = records(DATA / name)
        assert found["run.json"]["schema"] == "phyt2v.run/1"
        assert not any("pixels_key" in record or "id" in record for record in found.values())


def test_it_is_shown_and_reported_and_stays_as_it_is(stored: Path, phyt2v: CommandLine) -> None:
    path = stored / "complete"
    before = records(path)
    run = read_run(path)
    assert [video.id for video in run.videos] == [CONTROL, RoundId(1), RoundId(2)]
    assert run.result_video() == path / "output2.mp4"
    shown = json.loads(phyt2v("runs", "show", str(path), "--json").out)
    assert [entry["round"] for entry in shown["rounds"]] == [1, 2]
    assert shown["control"]["scores"] == before["control.json"]["scores"]
    assert "output2.mp4, chosen by the rule" in write_report(path).read_text(encoding="utf-8")
    assert records(path) == before


def test_the_same_command_finds_it_complete_and_renders_nothing(stored: Path, phyt2v: CommandLine) -> None:
    path = stored / "complete"
    before = records(path)
    ended = phyt2v(*COMMAND, "--rounds", "1", "--out", str(path))
    assert (ended.code, ended.out) == (0, f"{path / 'output2.mp4'}\n")
    assert videos(DATA / "complete").items() <= videos(path).items()
    after = records(path)
    assert after["run.json"]["schema"] == "phyt2v.run/2"
    for name in ("round1.json", "round2.json", "control.json"):
        assert after[name]["sha256"] == before[name]["sha256"]
        assert after[name]["seconds"] == before[name]["seconds"]
        assert after[name]["pixels_key"]


@pytest.mark.slow
def test_an_interrupted_one_goes_on_with_the_videos_that_it_has(stored: Path, phyt2v: CommandLine) -> None:
    path = stored / "interrupted"
    ended = phyt2v("refine", "--resume", str(path), "-q")
    assert (ended.code, ended.out) == (0, f"{path / 'output3.mp4'}\n")
    kept = videos(DATA / "interrupted")
    assert kept.items() <= videos(path).items()
    after = records(path)
    assert after["run.json"]["status"] == "complete"
    assert {name: record.get("id") for name, record in after.items()} == {
        "run.json": None,
        "round1.json": "round1",
        "round2.json": "round2",
        "round3.json": "round3",
        "control.json": "control",
    }
    assert after["round1.json"]["caption"] == records(DATA / "interrupted")["round1.json"]["caption"]


def test_a_record_of_another_run_is_not_taken_over(stored: Path) -> None:
    path = stored / "interrupted"
    foreign = records(path)["round1.json"] | {"run_key": "0" * 16}
    (path / "round1.json").write_text(json.dumps(foreign))
    with RunDir.resume(path) as run:
        assert run.read_video(RoundId(1)) is None
        assert run.read_video(RoundId(2)) is not None


def test_latents_that_waited_are_taken(tmp_path: Path) -> None:
    import hashlib

    import numpy as np

    latents = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    made_from = {"prompt": "a ball", "seed": "0", "steps": "5"}
    path = tmp_path / "latents3.safetensors"
    metadata = made_from | {"sha256": hashlib.sha256(latents.tobytes()).hexdigest()}
    path.write_bytes(save({"latents": latents}, metadata=metadata))
    found = read_latents(path, pixels_key="k", version_1=made_from)
    assert found is not None
    np.testing.assert_array_equal(found.latents, latents)
    assert read_latents(path, pixels_key="k", version_1=made_from | {"seed": "1"}) is None
    assert read_latents(path, pixels_key="k") is None
