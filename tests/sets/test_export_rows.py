"""Runs as tables: a row for each round, or for each run as the reference implementation has it."""

import csv
import io
import json
from pathlib import Path

import pytest

from phyt2v_cli.runs.reader import ShownRun, read_run
from phyt2v_cli.sets.export.rows import COLUMNS, Format, lines_of
from tests.fake_runs import make_config, run_through
from tests.report.conftest import change
from tests.terminals import HOSTILE


@pytest.fixture
def runs(tmp_path: Path) -> list[ShownRun]:
    """A run of two rounds with a control, whose caption is a formula, and one of a single round."""
    run_through(tmp_path / "long", make_config(rounds=1, control=True, seed=7))
    change(tmp_path / "long" / "round1.json", caption='=HYPERLINK("x")\nand, "more"', flags=["-a", "b"])
    run_through(tmp_path / "short", make_config(rounds=0), prompt="a cube")
    change(tmp_path / "short" / "round1.json", caption=HOSTILE)
    return [read_run(tmp_path / "long"), read_run(tmp_path / "short")]


def table(runs: list[ShownRun], format: Format) -> list[dict[str, str]]:
    """Rows of a table in CSV."""
    return list(csv.DictReader(io.StringIO("".join(lines_of(runs, format)))))


def test_csv_has_a_row_a_round_and_no_formula(runs: list[ShownRun]) -> None:
    rows = table(runs, "csv")
    assert [(row["run"], row["round"], row["is_result"]) for row in rows] == [
        ("long", "control", "0"),
        ("long", "1", "0"),
        ("long", "2", "1"),
        ("short", "1", "1"),
    ]
    assert rows[1].keys() == set(COLUMNS)
    assert rows[1]["caption"] == '\'=HYPERLINK("x")\nand, "more"'
    assert rows[1]["flags"] == "'-a;b"
    assert (rows[1]["sa"], rows[1]["steps"], rows[1]["seed"]) == ("0.5", "3", "7")
    assert rows[0]["settings"] == "seed=7 steps=3-6 rounds=1 control=true"
    assert rows[1]["refined_prompt"] == rows[2]["video_prompt"] != rows[1]["video_prompt"]
    assert "\x1b" not in rows[3]["caption"]


def test_lines_of_json_have_all_texts_as_they_are(runs: list[ShownRun]) -> None:
    lines = list(lines_of(runs, "jsonl"))
    assert all(line.isascii() and line.count("\n") == 1 and "\x7f" not in line for line in lines)
    rows = [json.loads(line) for line in lines]
    assert {row["schema"] for row in rows} == {"phyt2v.round/1"}
    assert rows[1]["caption"] == '=HYPERLINK("x")\nand, "more"'
    assert rows[3]["caption"] == HOSTILE
    assert rows[1]["settings"]["run.seed"] == 7


def test_a_row_a_run_as_the_reference_has_it(runs: list[ShownRun]) -> None:
    rows = table(runs, "reference")
    assert list(rows[0]) == [
        *("index", "prompt_1", "main_object", "physical_law"),
        *("caption_1", "mismatch_1", "sa_1", "pc_1", "prompt_2"),
        *("caption_2", "mismatch_2", "sa_2", "pc_2", "prompt_3"),
    ]
    assert [(row["index"], row["prompt_1"], row["caption_2"] != "") for row in rows] == [
        ("0", "a red ball drops", True),
        ("1", "a cube", False),
    ]
    assert rows[0]["prompt_2"].startswith("a red ball drops, version")
    assert rows[0]["prompt_3"] == ""
    assert table([], "reference") == []
