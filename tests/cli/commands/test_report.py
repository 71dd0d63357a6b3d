"""`phyt2v report`, of a run and of a prompt set."""

import json
from pathlib import Path

from tests.command_line import CommandLine
from tests.fake_runs import make_config, run_through
from tests.fake_sets import make_set

SET = [[(0.5, 0.5), (0.2, 0.4), (0.8, 0.6)]]


def test_a_set_gets_its_summary_and_page(tmp_path: Path, phyt2v: CommandLine) -> None:
    make_set(tmp_path / "set", SET, [{"law": "gravity"}])
    told = phyt2v("report", "set", "--category", "law")
    assert (told.code, told.out) == (0, "set/report.html\n")
    assert "By law" in (tmp_path / "set" / "report.html").read_text()
    assert json.loads(phyt2v("report", "set", "--json").out) == {
        "schema": "phyt2v.report/1",
        "report": "set/report.html",
        "summary_csv": "set/summary.csv",
        "summary_json": "set/summary.json",
    }


def test_a_run_has_no_categories(tmp_path: Path, phyt2v: CommandLine) -> None:
    run_through(tmp_path / "run", make_config(rounds=0))
    assert phyt2v("report", "run").out == "run/report.html\n"
    refused = phyt2v("report", "run", "--category", "law")
    assert (refused.code, refused.errors()) == (2, ["error: --category and --each concern a prompt set"])


def test_a_damaged_set_is_named(tmp_path: Path, phyt2v: CommandLine) -> None:
    make_set(tmp_path / "set", SET)
    (tmp_path / "set" / "prompts.jsonl").write_text("{")
    told = phyt2v("report", "set")
    assert told.code == 3
    assert "set/prompts.jsonl is no manifest of a prompt set: line 1" in told.err


def test_nothing_is_there(phyt2v: CommandLine) -> None:
    assert phyt2v("report", "nowhere").code == 3
