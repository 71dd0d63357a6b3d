"""`phyt2v watch`: a run from another process, which ends, is killed, or is not running."""

import json
import shutil
from pathlib import Path

import pytest

from phyt2v_cli.cli.commands.results import watch
from tests.command_line import CommandLine
from tests.faults.processes import QUICK, Doubled, end


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SECONDS_BETWEEN_LOOKS", 0.02)


@pytest.mark.slow
def test_a_killed_run_is_interrupted_for_all_who_look(tmp_path: Path, phyt2v: CommandLine) -> None:
    doubled, path = Doubled(tmp_path), tmp_path / "run"
    process = doubled.start(*QUICK, "--out", path, script={"hang": ["caption:1"]})
    doubled.wait_for("caption:1 hangs")
    assert json.loads(phyt2v("runs", "show", "run", "--json").out)["status"] == "running"
    follower = doubled.start("watch", path, "--json")
    assert follower.stdout is not None
    first = json.loads(follower.stdout.readline())
    assert (first["type"], first["attempt"]) == ("start", 1)
    process.kill()
    process.communicate()
    ended = end(follower)
    assert ended.code == 1
    assert "was interrupted" in ended.err
    assert json.loads(phyt2v("runs", "show", "run", "--json").out)["status"] == "interrupted"
    assert json.loads(phyt2v("runs", ".", "--json").out)["runs"][0]["status"] == "interrupted"
    assert phyt2v("runs", ".").out.startswith("interrupted\t")
    late = phyt2v("watch", "run")
    assert (late.code, "it is interrupted" in late.err) == (0, True)
    assert json.loads(late.out)["status"] == "interrupted"
    several = phyt2v("watch", ".")
    assert (several.code, json.loads(several.out)["runs"][0]["status"]) == (0, "interrupted")
    assert "Nothing is running in .: 1 run, 1 interrupted." in several.err


@pytest.mark.slow
@pytest.mark.parametrize("where", ["run", "."])
def test_a_run_is_drawn_until_it_ends(where: str, tmp_path: Path) -> None:
    doubled = Doubled(tmp_path)
    process = doubled.start(*QUICK, "--out", tmp_path / "run", script={"hang": ["caption:2"]})
    doubled.wait_for("caption:2 hangs")
    follower = doubled.start("watch", where, cwd=tmp_path)
    assert follower.stdout is not None
    follower.stdout.readline()
    doubled.let_go_on("caption:2")
    assert end(process).code == 0
    ended = end(follower)
    assert ended.code == 0
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert (lines[-1]["type"], lines[-1]["ok"]) == ("end", True)
    assert {line.get("run") for line in lines} == {None if where == "run" else "run"}
    assert "Complete: run/output2.mp4" in ended.err


def test_the_view_replays_an_attempt_and_tells_how_it_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doubled, path = Doubled(tmp_path), tmp_path / "run"
    assert doubled.run(*QUICK, "--out", path, script={"say": {"score": 7.0}}).code == 4
    from phyt2v_cli.cli.journal.following import RunFollower

    follower = RunFollower(path)
    watch.draw(follower, follower.read())
    assert watch.tell_end(follower) == 1
    err = capsys.readouterr().err
    assert "Round 1 of 2: 3 denoising steps" in err
    assert "error: " in err
    assert "gave SA 7" in err


def test_hostile_lines_do_no_harm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doubled, path = Doubled(tmp_path), tmp_path / "run"
    assert doubled.run(*QUICK, "--out", path).code == 0
    head = '{"schema": "phyt2v.event/1", "time": "2026-01-01T00:00:00Z", "type": '
    lines = [
        head + '"start"}',
        head + '"generator_ready", "settings": {"device": "cuda", "attention_reason": "\\u001b[2J"}}',
        head + '"round_started", "video": "round9999", "total_rounds": -5, "steps": 0, '
        '"purpose": "draft", "prompt": "[/]"}',
        head + '"stage_started", "video": "round1", "stage": "denoise"}',
        head + '"step_done", "video": "round1", "step": -3, "steps": -9}',
        head + '"end", "ok": "x", "error": {"message": "\\u001b]0;x\\u0007", "code": 3}}',
    ]
    shutil.rmtree(path / "logs")
    (path / "events.ndjson").write_text("\n".join(lines) + "\n")
    from phyt2v_cli.cli.journal.following import RunFollower

    follower = RunFollower(path)
    watch.draw(follower, follower.read())
    watch.tell_end(follower)
    assert "\x1b" not in capsys.readouterr().err


def test_a_folder_in_which_nothing_runs_is_listed_for_programs(tmp_path: Path, phyt2v: CommandLine) -> None:
    assert Doubled(tmp_path).run(*QUICK, "--out", tmp_path / "set" / "run").code == 0
    (tmp_path / "set" / "broken").mkdir()
    (tmp_path / "set" / "broken" / "run.json").write_text('{"schema": "phyt2v.run/2"}')
    for words in (("watch", "set", "--json"), ("watch", "set")):
        ended = phyt2v(*words)
        (line,) = ended.out.splitlines()
        assert ended.code == 0
        shown = json.loads(line)
        assert (shown["schema"], shown["folder"]) == ("phyt2v.runs/1", "set")
        assert {run["name"]: run["status"] for run in shown["runs"]} == {
            "run": "complete",
            "broken": "unreadable",
        }


def test_a_folder_without_runs_is_refused(phyt2v: CommandLine) -> None:
    assert phyt2v("watch", ".").code == 3
    assert phyt2v("watch", "nowhere").code == 3
