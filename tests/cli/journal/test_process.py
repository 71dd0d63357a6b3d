"""Journal of the process: events on standard output, errors as JSON, and a log of the command."""

import json
import os
from pathlib import Path

import pytest

from tests.command_line import CommandLine
from tests.faults.processes import QUICK, Doubled


def test_events_on_stdout_take_the_place_of_the_path(tmp_path: Path) -> None:
    ended = Doubled(tmp_path).run(*QUICK, "--out", tmp_path / "run", "--events", "-")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert {line["schema"] for line in lines} == {"phyt2v.event/1"}
    assert lines[-1]["data"]["video"] == str(tmp_path / "run" / "output2.mp4")


def test_events_and_an_object_do_not_both_fit_on_stdout(phyt2v: CommandLine) -> None:
    ended = phyt2v("refine", "--prompt", "a ball", "--events", "-", "--json")
    assert ended.code == 2
    error = json.loads(ended.out)
    assert error["schema"] == "phyt2v.error/1"
    assert error["error"]["code"] == "usage"
    assert not (phyt2v.folder / "runs").exists()


@pytest.mark.slow
def test_a_reader_that_goes_ends_nothing(tmp_path: Path) -> None:
    doubled = Doubled(tmp_path)
    with doubled.start(*QUICK, "--out", tmp_path / "run", "--events", "-", "-q") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 0
    assert (tmp_path / "run" / "output2.mp4").exists()


def test_an_error_before_the_run_ends_the_stream_and_is_in_the_log(phyt2v: CommandLine) -> None:
    words = ("--events", "e.ndjson", "--log-file", "l.log")
    ended = phyt2v("refine", "--prompt", "a ball", "--set", "run.sed=7", *words)
    assert ended.code == 2
    (line,) = (phyt2v.folder / "e.ndjson").read_text().splitlines()
    end = json.loads(line)
    assert (end["type"], end["ok"], end["data"], end["error"]["code"]) == ("end", False, None, "config")
    log = (phyt2v.folder / "l.log").read_text()
    assert "command: phyt2v refine" in log
    assert "ERROR phyt2v: " in log
    assert phyt2v("refine", "--prompt", "a ball", "--events", "no/such/folder").code == 3


@pytest.mark.parametrize(
    ("words", "code", "name"),
    [
        (("runs", "show", "nowhere", "--json"), 3, "run_dir"),
        (("config", "show", "--preset", "nothing", "--json"), 2, "usage"),
        (("refine", "--json", "--no-such-option"), 2, "usage"),
        (("report", "nowhere", "--json"), 3, "run_dir"),
    ],
    ids=str,
)
def test_with_json_an_error_is_an_object_too(
    words: tuple[str, ...], code: int, name: str, phyt2v: CommandLine
) -> None:
    ended = phyt2v(*words)
    error = json.loads(ended.out)
    assert (ended.code, error["exit_code"], error["error"]["code"]) == (code, code, name)
    assert ended.errors() == [f"error: {error['error']['message'].splitlines()[0]}"]
    assert phyt2v(*(word for word in words if word != "--json")).out == ""


def test_a_log_of_the_command_that_cannot_be_written_is_a_note(tmp_path: Path) -> None:
    ended = Doubled(tmp_path).run(*QUICK, "--out", tmp_path / "run", "--log-file", tmp_path)
    assert ended.code == 0
    assert f"note: no log in {tmp_path}: {os.strerror(21)}" in ended.err


@pytest.mark.parametrize("option", ["--events", "--log-file"])
def test_a_file_with_something_else_is_not_written_over(option: str, tmp_path: Path) -> None:
    doubled, run, prompt = Doubled(tmp_path), tmp_path / "run", tmp_path / "prompt.txt"
    prompt.write_text("a red ball drops")
    written = tmp_path / "written"
    written.touch()  # as mktemp does
    for _ in range(2):  # what this option has written before may be replaced
        assert doubled.run(*QUICK, "--out", run, option, written).code == 0
    for path in (prompt, run / "run.json", run / "events.ndjson", run / "logs" / "attempt-1.log"):
        before = path.read_bytes()
        ended = doubled.run("refine", prompt, "--rounds", "0", "--out", tmp_path / "other", option, path)
        assert (ended.code, path.read_bytes()) == (3, before)
        assert f"error: {option}: {path} is " in ended.err
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_events_that_a_full_disk_refuses_are_a_note(tmp_path: Path) -> None:
    reason = os.strerror(28)
    ended = Doubled(tmp_path).run(*QUICK, "--out", tmp_path / "run", "--events", "/dev/full")
    assert (ended.code, f"note: no more events: {reason}" in ended.err) == (0, True)
    words = (*QUICK, "--out", tmp_path / "two", "--events", "-")
    ended = Doubled(tmp_path).run_apart(*words, preexec_fn=_with_stdout_on_a_full_disk)
    assert (ended.code, ended.err.count("note: no more events: ")) == (0, 1)


def _with_stdout_on_a_full_disk() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
