import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phyt2v_cli.backends.checkpoints import diffusers_folder
from phyt2v_cli.cli.app import app
from phyt2v_cli.errors import UsageError
from tests.terminals import shown_by

runner = CliRunner()


def doctor(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "phyt2v_cli", "doctor", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "HF_HOME": str(cwd / "hf"), **environment},
        cwd=cwd,
        timeout=100,
    )


@pytest.mark.slow
@pytest.mark.parametrize("columns", ["60", "120"])
def test_the_table_fits(columns: str, tmp_path: Path) -> None:
    result = doctor(cwd=tmp_path, COLUMNS=columns, TERM="xterm-256color", PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= int(columns)
    assert result.stdout.isascii()
    assert "\x1b" not in result.stdout
    assert lines[2].split()[0] == "verdict"
    shown = " ".join(result.stdout.split())
    for what in ("GPU", "disk for runs", "codecs", "OPENAI_API_KEY", "preset tiny", "fits here"):
        assert what in shown
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_terminal_shows_each_row_once_it_is_known_and_the_verdict_on_top(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "phyt2v_cli", "doctor"]
    shown = shown_by(command, size=100, HF_HOME=str(tmp_path / "hf"))
    pictures = shown.split("detail, and what to do")[1:]
    looking = [picture for picture in pictures if "still looking" in picture]
    assert len(looking) > 10  # one for each row
    assert "CPU" in looking[4]
    assert "libraries" not in looking[4]
    assert "still looking" not in pictures[-1]
    assert "the embedded model runs here" in pictures[-1].split("versions")[0]


def test_what_needs_no_torch_comes_before_it(tmp_path: Path) -> None:
    code = (
        "import sys; from phyt2v_cli.checks.machine import quick_checks; "
        "from phyt2v_cli.config.schema import Config; "
        "names = [check.what for check in quick_checks(Config())]; "
        "print('codecs' in names, 'torch' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert (ended.stdout, ended.stderr) == ("True False\n", "")


def test_json_says_the_same(tmp_path: Path) -> None:
    result = doctor("--set", "llm.api_key_env=MY_KEY", "--json", cwd=tmp_path, MY_KEY="sk-very-secret")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["schema"] == "phyt2v.doctor/1"
    assert found["healthy"] is True
    checks = {check["what"]: check for check in found["checks"]}
    assert set(checks["codecs"]) == {"what", "state", "detail", "todo", "essential"}
    assert checks["key"]["detail"] == "MY_KEY is set"  # the last of them
    assert "secret" not in result.stdout + result.stderr
    presets = {preset["name"]: preset for preset in found["presets"]}
    assert presets["cogvideox-5b"]["download_gb"] == 21.1
    assert presets["tiny"]["is_present"] is True


def test_what_is_essential_decides_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffusers_folder, "MODEL_DIR", tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["healthy"] is False
    assert [check["what"] for check in found["checks"] if check["state"] == "problem"] == ["embedded model"]


def test_fetching_what_is_embedded_or_unknown() -> None:
    result = runner.invoke(app, ["doctor", "--fetch", "tiny"])
    assert result.exit_code == 0
    assert Path(result.stdout.strip()).is_dir()
    failed = runner.invoke(app, ["doctor", "--fetch", "cogvideo-5b"])
    assert isinstance(failed.exception, UsageError)
    assert "Did you mean cogvideox-5b?" in str(failed.exception)
