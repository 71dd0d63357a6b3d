"""`phyt2v compare`: several runs beside each other, on runs that doubles have made."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phyt2v_cli.cli.app import app
from phyt2v_cli.errors import Phyt2vError, RunDirError, UsageError
from phyt2v_cli.files.video import read_frames
from phyt2v_cli.roles import Scores
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.steering import extend
from phyt2v_cli.testing.fakes import FakeRoles, FakeScorer
from tests.fake_runs import make_config, open_run, run_through
from tests.faults.processes import PHYT2V
from tests.terminals import HOSTILE, foreign_controls, shown_by


def compare(*arguments: str | Path) -> Result:
    """Run the command in this process; what it raises on purpose is raised here."""
    ended = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    if isinstance(ended.exception, Phyt2vError):
        raise ended.exception
    return ended


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs of one prompt, one of another that was only begun."""
    monkeypatch.chdir(tmp_path)
    good = FakeScorer(by_video={"output2.mp4": Scores(0.9, 0.75)})
    run_through(Path("runs/seed-1"), make_config(rounds=1, seed=1))
    run_through(Path("runs/seed-2"), make_config(rounds=1, seed=2, control=True), FakeRoles(scorer=good))
    open_run(Path("runs/begun"), make_config(rounds=1), prompt=HOSTILE).close()


def rows_of(text: str) -> dict[str, list[str]]:
    """Cells of each row by its first word."""
    return {words[0]: words[1:] for line in text.splitlines() if (words := line.split())}


def test_what_differs_stands_in_a_table() -> None:
    shown = compare("seed-1", "runs/seed-2").stdout
    rows = rows_of(shown)
    assert (rows["SA"], rows["PC"]) == (["0.50", "0.90"], ["0.50", "0.75"])
    assert (rows["seed"], rows["control"]) == (["1", "2"], ["false", "true"])
    assert "max_steps" not in rows
    assert shown.count("prompt: a red ball drops") == 1
    assert "A, prompt of the result: a red ball drops, version" in shown


def test_a_comparison_as_json() -> None:
    told = json.loads(compare("seed-1", "seed-2", "begun", "--json").stdout)
    assert (told["schema"], told["page"], told["clip"]) == ("phyt2v.compare/1", None, None)
    assert [run["differences"] for run in told["runs"]] == [
        {"refinement.control": control, "run.seed": seed}
        for control, seed in ((False, 1), (True, 2), (False, 0))
    ]
    assert told["runs"][1]["result"]["scores"] == {"semantic_adherence": 0.9, "physical_commonsense": 0.75}
    assert told["runs"][2]["result"] is None
    assert told["notes"] == [
        "The prompts differ, and SA is that of each run's own prompt.",
        "Without a result yet: C.",
    ]


def test_an_extended_run_is_told_by_the_rounds_that_it_has() -> None:
    with RunDir.resume(Path("runs/seed-2")) as run:
        extend(run, 3)
    told = json.loads(compare("seed-1", "seed-2", "--json").stdout)
    assert [run["differences"]["refinement.rounds"] for run in told["runs"]] == [1, 4]
    exported = CliRunner().invoke(app, ["runs", "export", "seed-2", "--jsonl"]).stdout
    assert json.loads(exported.splitlines()[0])["settings"]["refinement.control"] is True
    assert "refinement.rounds" not in json.loads(exported.splitlines()[0])["settings"], "4 is the default"


def test_the_page_and_the_clip(tmp_path: Path) -> None:
    ended = compare("seed-1", "seed-2", "begun", "--out", "both")
    assert "Page: both/compare.html" in ended.stderr
    page = (tmp_path / "both" / "compare.html").read_text(encoding="utf-8")
    assert re.findall('<video .*?src="(.*?)"', page) == ["compare.mp4"]
    assert re.findall("<h2>([ABC]): ", page) == ["A", "B", "C"]
    assert page.count('<img class="strip"') == 2
    assert "0.75" in page
    assert "evil.example" in page
    assert foreign_controls(page) == []
    assert "<script" not in page
    frames = read_frames(tmp_path / "both" / "compare.mp4")
    assert frames.shape[2] > frames.shape[1], "two videos stand side by side"
    with pytest.raises(RunDirError, match="is a run directory"):
        compare("seed-1", "seed-2", "--out", "runs/seed-1")


def test_a_clip_that_cannot_be_drawn_is_only_a_note(tmp_path: Path) -> None:
    (tmp_path / "runs" / "seed-2" / "output2.mp4").write_bytes(b"no video")
    ended = compare("seed-1", "seed-2", "--out", "both", "--json")
    told = json.loads(ended.stdout)
    assert (ended.exit_code, told["page"], told["clip"]) == (0, "both/compare.html", None)
    assert "note: no compare.mp4: " in ended.stderr


def test_a_run_is_compared_with_others_only() -> None:
    for arguments in (["seed-1"], ["seed-1", "runs/seed-1"]):
        with pytest.raises(UsageError, match="2 to 25 different runs"):
            compare(*arguments)
    with pytest.raises(RunDirError, match="seed may be any of 2"):
        compare("seed", "seed-1")


@pytest.mark.parametrize("width", [44, 80])
def test_the_table_fits_a_terminal(width: int) -> None:
    shown = shown_by([*PHYT2V, "compare", "seed-1", "seed-2", "begun", "--no-color"], columns=width)
    assert max(map(len, shown.splitlines())) <= width
    assert rows_of(shown)["seed"] == ["1", "2", "0"]
    assert foreign_controls(shown) == []
