"""The JSON objects that `refine` and `generate` print, by their schema."""

import json
from pathlib import Path

from tests.faults.processes import QUICK, Doubled


def test_a_result_has_its_control(tmp_path: Path) -> None:
    doubled = Doubled(tmp_path)
    command = (*QUICK, "--out", tmp_path / "run", "--json")
    assert json.loads(doubled.run(*command).out)["control"] is None
    result = json.loads(doubled.run(*command, "--control", "--select", "best").out)
    control = result["control"]
    assert (control["video"], control["round"], control["steps"]) == ("control.mp4", None, 6)
    assert control["scores"] == {"semantic_adherence": 0.5, "physical_commonsense": 0.5}
    assert control.keys() == result["rounds"][0].keys()
