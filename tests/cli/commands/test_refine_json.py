"""The JSON objects that `refine` and `generate` print, by their schema."""

import json
from pathlib import Path

import pytest

from tests.faults.processes import QUICK, Doubled


def test_a_result_has_its_control(tmp_path: Path) -> None:
    doubled = Doubled(tmp_path)
    command = (*QUICK, "--out", tmp_path / "run", "--json")
    alone = json.loads(doubled.run(*command).out)
    assert alone["control"] is None
    assert alone["clips"] == {"compare": None, "rounds": f"{tmp_path}/run/rounds.mp4"}
    result = json.loads(doubled.run(*command, "--control", "--select", "best").out)
    control = result["control"]
    assert (control["video"], control["round"], control["steps"]) == ("control.mp4", None, 6)
    assert control["scores"] == {"semantic_adherence": 0.5, "physical_commonsense": 0.5}
    assert control.keys() == result["rounds"][0].keys()
    assert result["clips"]["compare"] == f"{tmp_path}/run/compare.mp4"
    assert result["learned"] == [
        "Nothing improved: the original scores as high as the last round, both at 6 steps."
    ]
    assert result["next"] == f"phyt2v report {tmp_path}/run --open"


@pytest.mark.slow
def test_a_schema_has_one_shape(tmp_path: Path) -> None:
    doubled = Doubled(tmp_path)
    (tmp_path / "set.txt").write_text("a ball drops\n")
    shapes: dict[str, set[str]] = {}
    for command in (
        QUICK,
        (*QUICK, "--control"),
        ("generate", "--prompt", "a ball", "--steps", "3", "--out", "video.mp4"),
        ("batch", "set.txt", "--steps", "3,4", "--rounds", "1"),
    ):
        for more in ("--dry-run", "-q"):
            shown = json.loads(doubled.run(*command, more, "--json", cwd=tmp_path).out)
            assert shapes.setdefault(shown["schema"], set(shown)) == set(shown)
    assert len(shapes) == 6
    path = next((tmp_path / "runs").iterdir())
    stored = {file.name: json.loads(file.read_text())["schema"] for file in path.glob("*.json")}
    assert stored.pop("run.json") == "phyt2v.run/2"
    assert stored == dict.fromkeys(["control.json", "round1.json", "round2.json"], "phyt2v.run-video/1")
