"""`phyt2v report`, of a run, of a prompt set and of a folder of runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from phyt2v_cli.cli.commands.results import report as command
from tests.command_line import CommandLine
from tests.fake_runs import make_config, run_through
from tests.fake_sets import make_set
from tests.faults.processes import wait_until
from tests.terminals import shown_by

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


def test_with_its_videos_a_page_is_one_file(tmp_path: Path, phyt2v: CommandLine) -> None:
    run_through(tmp_path / "run", make_config(rounds=0))
    assert phyt2v("report", "run", "--embed").out == "run/report.html\n"
    assert 'src="data:video/mp4;base64,' in (tmp_path / "run" / "report.html").read_text()
    assert phyt2v("report", "run").code == 0
    assert 'src="output1.mp4"' in (tmp_path / "run" / "report.html").read_text()
    make_set(tmp_path / "set", SET)
    for folder in ("set", "."):
        refused = phyt2v("report", folder, "--embed")
        assert (refused.code, refused.errors()) == (2, ["error: --embed concerns a run"])


def test_a_page_that_is_too_large_to_send_is_said(
    tmp_path: Path, phyt2v: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_through(tmp_path / "run", make_config(rounds=0))
    monkeypatch.setattr(command, "LARGE_BYTES", 1000)
    assert "browsers and mail may refuse that" in phyt2v("report", "run", "--embed").err
    assert "refuse" not in phyt2v("report", "run").err


def test_a_folder_of_runs_gets_an_index(tmp_path: Path, phyt2v: CommandLine) -> None:
    run_through(tmp_path / "runs" / "ball", make_config(rounds=0))
    assert phyt2v("report", "runs").out == "runs/index.html\n"
    assert 'href="./ball/report.html"' in (tmp_path / "runs" / "index.html").read_text()
    assert json.loads(phyt2v("report", "runs", "--json").out) == {
        "schema": "phyt2v.report/1",
        "report": "runs/index.html",
    }
    refused = phyt2v("report", "runs", "--each")
    assert (refused.code, refused.errors()) == (2, ["error: --category and --each concern a prompt set"])


@pytest.mark.slow
def test_it_opens_the_page_on_a_terminal_only(tmp_path: Path) -> None:
    run_through(tmp_path / "a run", make_config(rounds=0))
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> "{tmp_path}/opened"\n')
    browser.chmod(0o755)
    command_line = [sys.executable, "-m", "phyt2v_cli", "report", str(tmp_path / "a run"), "--open"]
    subprocess.run(command_line, env={**os.environ, "BROWSER": str(browser)}, check=True, timeout=60)
    assert not (tmp_path / "opened").exists()
    shown_by(command_line, columns=200, BROWSER=str(browser))
    wait_until(lambda: (tmp_path / "opened").is_file(), "the browser")
    assert (tmp_path / "opened").read_text() == f"{(tmp_path / 'a run' / 'report.html').as_uri()}\n"
