"""Journal of a run: its events and its logs, attempt by attempt, from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.faults.processes import QUICK, Doubled
from tests.faults.test_secrets import ask_servers
from tests.scripted_server import ScriptedServer, status


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def logs_of(path: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in sorted((path / "logs").iterdir())}


def test_each_attempt_leaves_its_log_and_adds_its_events(tmp_path: Path) -> None:
    doubled = Doubled(tmp_path)
    path, told = tmp_path / "run", tmp_path / "events.ndjson"
    broken = doubled.run(*QUICK, "--out", path, "--events", told, script={"say": {"score": 7.0}})
    assert broken.code == 4
    first = lines_of(path / "events.ndjson")
    assert [line["type"] for line in first[:2]] == ["start", "analysis_done"]
    assert (first[0]["attempt"], first[-1]["type"], first[-1]["ok"]) == (1, "end", False)
    assert first[-1]["error"]["code"] == "backend"
    assert [line["type"] for line in lines_of(told)] == [line["type"] for line in first]

    ended = doubled.run("refine", "--resume", path, "--log-level", "debug", "--json", "--events", told)
    assert ended.code == 0
    both = lines_of(path / "events.ndjson")
    assert both[: len(first)] == first
    second = both[len(first) :]
    assert (second[0]["attempt"], second[-1]["ok"]) == (2, True)
    shown = json.loads(ended.out)
    del shown["clips"]  # which are drawn when the run has ended
    assert second[-1]["data"] == lines_of(told)[-1]["data"] == shown
    assert second[-1]["data"]["started"] <= second[-1]["data"]["finished"]

    logs = logs_of(path)
    assert list(logs) == ["attempt-1.log", "attempt-2.log"]
    for words in ("command: phyt2v refine", "versions: phyt2v ", "stage done: video round1", "Traceback"):
        assert words in logs["attempt-1.log"]
    assert "step done" not in logs["attempt-1.log"]
    assert "step done" in logs["attempt-2.log"]
    assert logs["attempt-2.log"].endswith(" INFO phyt2v: status: complete\n")

    assert doubled.run("refine", "--resume", path).code == 0  # with nothing to do
    assert (lines_of(path / "events.ndjson"), logs_of(path)) == (both, logs)


def test_after_a_torn_line_the_next_attempt_begins_on_its_own(tmp_path: Path) -> None:
    doubled = Doubled(tmp_path)
    path = tmp_path / "run"
    assert doubled.run(*QUICK, "--out", path, "--stop-after", "rewrite").code == 0
    with (path / "events.ndjson").open("a") as file:
        file.write('{"schema": "phyt2v.ev')
    assert doubled.run("refine", "--resume", path).code == 0
    torn, start = [line for line in (path / "events.ndjson").read_text().splitlines() if "attempt" in line or
                   line.endswith("phyt2v.ev")][1:]  # fmt: skip
    assert torn == '{"schema": "phyt2v.ev'
    assert json.loads(start)["attempt"] == 2


def test_a_set_has_a_journal_in_each_run_and_one_of_all(tmp_path: Path) -> None:
    doubled = Doubled(tmp_path)
    (tmp_path / "set.txt").write_text("a ball drops\na cube slides\n")
    command = (
        "batch",
        "set.txt",
        "--steps",
        "3,4",
        "--rounds",
        "1",
        "--out",
        "runs",
        "--events",
        "all.ndjson",
    )
    assert doubled.run(*command, cwd=tmp_path).code == 0
    told = lines_of(tmp_path / "all.ndjson")
    assert (told[-1]["type"], told[-1]["ok"]) == ("end", True)
    assert "run" not in told[-1]
    assert len(told[-1]["data"]["runs"]) == 2
    runs = [path.parent for path in (tmp_path / "runs").glob("*/run.json")]
    assert len(runs) == 2
    for run in runs:
        own = lines_of(run / "events.ndjson")
        of_all = [line for line in told if line.get("run") == run.name]
        assert [line["type"] for line in of_all] == [line["type"] for line in own]
        assert "status: complete" in logs_of(run)["attempt-1.log"]


@pytest.mark.parametrize("name", ["logs", "events.ndjson"])
def test_what_cannot_be_written_does_not_end_the_run(name: str, tmp_path: Path) -> None:
    doubled = Doubled(tmp_path)
    path, aside = tmp_path / "run", tmp_path / "aside"
    path.mkdir()
    (path / ".phyt2v.lock").touch()
    (path / name).symlink_to(aside)
    ended = doubled.run(*QUICK, "--out", path)
    assert ended.code == 0
    assert "note: no " in ended.err
    assert not aside.exists()


def test_a_key_that_a_server_repeats_is_in_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-canary-7d41c9e2b8f04a35"
    monkeypatch.setenv("MY_KEY", key)
    doubled = Doubled(tmp_path)
    with ScriptedServer(status(401, {"error": {"message": f"wrong key {key}"}})) as server:
        ended = doubled.run(
            *QUICK, "--out", tmp_path / "run", "--log-file", tmp_path / "l.log", "--log-level", "debug",
            "--events", tmp_path / "e.ndjson", "--json", *ask_servers(server.url),
            script={"real_judges": True},
        )  # fmt: skip
    assert ended.code == 4
    assert json.loads(ended.out)["error"]["code"] == "backend"
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"attempt-1.log", "events.ndjson", "l.log", "e.ndjson"} <= {file.name for file in files}
    assert "Traceback" in (tmp_path / "run" / "logs" / "attempt-1.log").read_text()
    assert [file for file in files if key.encode() in file.read_bytes()] == []
