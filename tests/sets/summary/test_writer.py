"""The summary's files: made from real run directories, and whole whatever happens."""

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from phyt2v_cli.errors import FilesError
from phyt2v_cli.sets.shard import Shard
from phyt2v_cli.sets.summary.table import COLUMNS, as_text
from phyt2v_cli.sets.summary.writer import MIN_PAUSE_S, SummaryWriter
from tests.fake_sets import entry_of, make_set, render

TWO = [[(0.5, 0.5), (0.2, 0.4), (0.8, 0.6)], [(0.5, None), (0.6, 0.4), (0.5, 0.4)]]


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_figures(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_row_for_each_prompt_and_video(tmp_path: Path) -> None:
    columns = [{"sa": "1", "physical_laws": "gravity"}, {"sa": "0", "physical_laws": "=optics"}]
    entries = make_set(tmp_path, TWO, columns)
    writer = SummaryWriter(tmp_path, [*entries, entry_of(2, seed=7)])
    writer.write()
    rows = read_rows(tmp_path / "summary.csv")
    assert list(rows[0]) == [*COLUMNS, "set_sa", "physical_laws"]
    assert [(row["folder"], row["round"]) for row in rows] == [
        ("run-0", "control"),
        ("run-0", "1"),
        ("run-0", "2"),
        ("run-1", "control"),
        ("run-1", "1"),
        ("run-1", "2"),
        ("run-2", ""),
    ]
    control, first, last = rows[:3]
    assert (first["id"], first["row"], first["prompt"], first["status"]) == ("p0", "0", "ball 0", "complete")
    assert (first["video"], first["steps"], first["purpose"]) == ("output1.mp4", "3", "draft")
    assert (last["video"], last["steps"], last["purpose"]) == ("output2.mp4", "6", "final")
    assert (first["sa"], first["pc"], last["sa"], last["pc"]) == ("0.2", "0.4", "0.8", "0.6")
    assert (first["is_result"], last["is_result"], control["is_result"]) == ("0", "1", "0")
    assert (rows[3]["sa"], rows[3]["pc"]) == ("0.5", "")
    assert first["video_prompt"] == "ball 0"
    assert first["refined_prompt"] == last["video_prompt"] != "ball 0"
    assert (first["set_sa"], first["physical_laws"]) == ("1", "gravity")
    assert rows[3]["physical_laws"] == "'=optics"
    assert first["judge"] == "double"
    assert int(first["run_llm_tokens"]) > 0
    assert float(first["total_s"]) == pytest.approx(
        sum(
            float(value)
            for name, value in first.items()
            if name.endswith("_s") and value and name != "total_s"
        ),
        abs=0.001,
    )
    assert (rows[6]["status"], rows[6]["seed"], rows[6]["prompt"]) == ("not_begun", "7", "ball 2")


def test_figures_of_real_runs(tmp_path: Path) -> None:
    SummaryWriter(tmp_path, make_set(tmp_path, TWO)).write()
    tree = read_figures(tmp_path / "summary.json")
    assert (tree["prompts"]["total"], tree["prompts"]["complete"]) == (2, 2)
    assert [(group["round"], group["steps"], group["purpose"]) for group in tree["rounds"]] == [
        (1, 3, "draft"),
        (2, 6, "final"),
    ]
    assert tree["rounds"][0]["semantic_adherence"]["mean"] == pytest.approx(0.4)
    assert tree["gain_over_first"][0]["semantic_adherence"]["mean"] == pytest.approx(0.25)
    assert tree["gain_over_control"][0]["physical_commonsense"]["without_score"] == 1
    assert tree["roles"]["generator"] == {"diffusers tiny": 2}
    assert tree["versions"]["phyt2v"]
    assert tree["judging"]["judges"] == {"double": 6}


def test_it_is_written_while_prompts_finish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    earlier, *entries = make_set(tmp_path, [TWO[0]] * 3)
    writer = SummaryWriter(tmp_path, [earlier, *entries])
    writer.add(entries[0])
    assert read_figures(writer.json_path)["prompts"]["complete"] == 3  # what was there before is in the first
    writer.add(entries[1], "its model is gone")
    assert read_figures(writer.json_path)["prompts"]["failed"] == 0
    now += MIN_PAUSE_S
    writer.add(entries[0])
    assert read_figures(writer.json_path)["prompts"]["failed"] == 1
    assert {row["error"] for row in read_rows(writer.csv_path)} == {"", "its model is gone"}


def test_a_run_that_goes_on_is_read_again(tmp_path: Path) -> None:
    entry = entry_of(0)
    writer = SummaryWriter(tmp_path, [entry])
    assert writer.write()["prompts"] == {**dict.fromkeys(("complete", "failed"), 0), "total": 1} | {
        "interrupted": 0,
        "running": 0,
        "unreadable": 0,
        "not_begun": 1,
    }
    run = render(tmp_path, entry, (0.1, 0.1), (0.2, 0.2))
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"status": "running", "result": None}))
    (run / "round2.json").unlink()
    writer.write()
    assert read_figures(writer.json_path)["prompts"]["interrupted"] == 1
    assert [row["round"] for row in read_rows(writer.csv_path)] == ["1"]
    (run / "run.json").write_text("{")
    writer.write()
    assert [row["status"] for row in read_rows(writer.csv_path)] == ["unreadable"]


def test_a_shard_has_files_of_its_own(tmp_path: Path) -> None:
    entries = make_set(tmp_path, [TWO[0]] * 2)
    for index, entry in enumerate(entries, start=1):
        SummaryWriter(tmp_path, [entry], Shard(index, 2)).add(entry)
    names = {path.name for path in tmp_path.glob("summary*")}
    assert names == {f"summary-{index}-of-2.{kind}" for index in (1, 2) for kind in ("csv", "json")}
    assert read_figures(tmp_path / "summary-2-of-2.json")["shard"] == "2/2"
    assert [row["folder"] for row in read_rows(tmp_path / "summary-2-of-2.csv")] == ["run-1"] * 3


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    prompt = '=HYPERLINK("http://example.org")\r\n\x1b[2J</script>"\u202e'
    entry = entry_of(0, prompt, id="+1+1", columns={"=a": "-2.5", "\x07": "@x"})
    SummaryWriter(tmp_path, [entry]).write()
    (row,) = read_rows(tmp_path / "summary.csv")
    assert row["prompt"] == '\'=HYPERLINK("http://example.org")\\r\n\\x1b[2J</script>"\\u202e'
    assert row["id"] == "'+1+1"
    assert (row["'=a"], row["\\x07"]) == ("-2.5", "'@x")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a ball", "a ball"),
        ("-1e-3", "-1e-3"),
        ("+.5", "+.5"),
        ("-", "'-"),
        ("-1 ball", "'-1 ball"),
        ("\tx", "'\tx"),
    ],
)
def test_no_cell_is_a_formula(text: str, shown: str) -> None:
    assert as_text(text) == shown


def test_a_refused_summary_is_an_error_and_not_tried_at_once_again(tmp_path: Path) -> None:
    entries = make_set(tmp_path, [TWO[0]] * 2)
    (tmp_path / "summary.csv").mkdir()
    writer = SummaryWriter(tmp_path, entries)
    with pytest.raises(FilesError, match=r"summary\.csv could not be written"):
        writer.add(entries[0])
    writer.add(entries[1])
    (tmp_path / "summary.csv").rmdir()
    assert writer.write()["prompts"] == read_figures(writer.json_path)["prompts"]


def test_a_kill_leaves_whole_files(tmp_path: Path) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_sets", tmp_path / "set"], stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None
    for _ in range(3):
        assert killed.stdout.readline() == "written\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    assert len(read_rows(tmp_path / "set" / "summary.csv")) == 3
    assert read_figures(tmp_path / "set" / "summary.json")["prompts"]["complete"] == 1
