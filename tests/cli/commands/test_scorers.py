"""Runs with several judges: one on a server with questions of its own, and a video model beside it."""

import json
from pathlib import Path

import pytest

from tests.command_line import CommandLine
from tests.question_sheets import graded_sheet, save
from tests.scripted_server import ScriptedServer, answer_with
from tests.tiny_video_models import save_vjepa2

QUICK = ["--prompt", "a red ball drops", "--rounds", "1", "--min", "2", "--max", "3", "--out", "run"]


def grade(body: dict[str, object]) -> str:
    """Answer each question of the sheet, and the probe."""
    messages = body["messages"]
    assert isinstance(messages, list)
    text = messages[-1]["content"][-1]["text"]
    key = next((k for k in ("SA", "persistence", "gravity", "collision") if f'{{"{k}": 3}}' in text), "yes")
    return json.dumps({key: 4 if key == "SA" else 2})


@pytest.mark.slow
@pytest.mark.usefixtures("loopback")
def test_the_first_decides_and_all_are_recorded(tmp_path: Path, phyt2v: CommandLine) -> None:
    save(tmp_path / "phyjudge-questions.json", graded_sheet())
    surprise = f'backend = "surprise"\nmodel = "{save_vjepa2(tmp_path / "vjepa2")}"\nnum_frames = 8\n'
    (tmp_path / "mine.toml").write_text(surprise)
    with ScriptedServer(answer_with(grade)) as server:
        judges = ["--scorer", "phyjudge", "--scorer", "mine.toml", "--set", f"scorer.base_url={server.url}"]
        done = phyt2v("refine", *QUICK, *judges, "--json")
        assert done.code == 0, done.err
        assert len(server.requests) == 1 + 2 * 4  # a probe, and each video
        again = phyt2v("refine", *QUICK, *judges)
        assert (again.code, len(server.requests)) == (0, 9)
        save(tmp_path / "phyjudge-questions.json", graded_sheet(system="Be kind."))
        other = phyt2v("refine", *QUICK, *judges)
        assert other.code == 3
        assert "scorer.questions_sha256" in other.err
        (tmp_path / "phyjudge-questions.json").unlink()
        assert phyt2v("refine", "--resume", "run", "--trust").code == 0  # complete, so nobody is asked
    record = json.loads((tmp_path / "run" / "round1.json").read_text())
    assert record["scores"] == {"semantic_adherence": 0.75, "physical_commonsense": 0.25}
    assert list(record["scorers"]) == ["phyjudge-9b", "surprise:vjepa2"]
    assert record["scorers"]["phyjudge-9b"]["reasons"][2] == "gravity: 2, from 1 to 5"
    beside = record["scorers"]["surprise:vjepa2"]
    assert (beside["semantic_adherence"], beside["physical_commonsense"]) == (None, None)
    assert beside["reasons"][1].startswith("PC: surprise ")
