"""What a shell gets when it asks what comes next."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from phyt2v_cli.config.presets import list_presets
from tests.command_line import CommandLine

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ask(phyt2v: CommandLine, monkeypatch: pytest.MonkeyPatch) -> "Ask":
    """Ask for the completions of a line, as zsh or fish does."""
    return Ask(phyt2v, monkeypatch)


class Ask:
    def __init__(self, phyt2v: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
        self._phyt2v, self._monkeypatch = phyt2v, monkeypatch
        (phyt2v.folder / "runs" / "a-ball").mkdir(parents=True)
        (phyt2v.folder / "runs" / "a-ball" / "run.json").write_text("{}")

    def __call__(self, shell: str, line: str) -> str:
        self._monkeypatch.setenv("_PHYT2V_COMPLETE", f"complete_{shell}")
        self._monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        self._monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        self._monkeypatch.setenv("COLUMNS", "40")
        return self._phyt2v().out


VALUES = [
    ("refine --preset wan", [name for name in list_presets() if name.startswith("wan")]),
    ("doctor --fetch moc", ["mochi"]),
    ("preview-schedule --schedule ", ["linear", "constant", "cosine", "geometric", "final-only"]),
    ("generate --solver d", ["ddim", "dpm++"]),
    ("refine --set schedule.m", ["schedule.min_steps=", "schedule.max_steps="]),
    ("refine --set refinement.sel", ["refinement.select=last", "refinement.select=best"]),
    ("refine --set refinement.control=", ["refinement.control=true", "refinement.control=false"]),
    ("refine --set run.seed=", ["run.seed="]),
    ("refine --resume ", ["runs/a-ball"]),
    ("report runs/", ["runs/a-ball"]),
    ("runs show ", ["runs/a-ball"]),
    ("runs --status f", ["failed"]),
]


@pytest.mark.parametrize(("line", "values"), VALUES)
def test_values(line: str, values: list[str], ask: Ask) -> None:
    assert ask("fish", f"phyt2v {line}").splitlines() == values
    quoted = "\n".join(f'"{value}"' for value in values)
    assert ask("zsh", f"phyt2v {line}").strip() == f"_arguments '*: :(({quoted}))'"


@pytest.mark.parametrize("line", ["refine --sch", "refine --", "batch --", "doctor --", "runs --s", ""])
def test_each_candidate_has_one_line_of_help(line: str, ask: Ask) -> None:
    lines = ask("fish", f"phyt2v {line}").splitlines()
    assert lines
    assert all(candidate.count("\t") == 1 for candidate in lines)


def test_what_is_completed_by_the_shell_itself(ask: Ask) -> None:
    assert ask("fish", "phyt2v runs show elsewhere/").strip() == ""
    assert ask("zsh", "phyt2v runs show elsewhere/").strip() == "_files"


def test_bash_itself(tmp_path: Path) -> None:
    command = tmp_path / "phyt2v"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m phyt2v_cli "$@"\n')
    command.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"

    def complete(*words: str) -> list[str]:
        script = (
            'eval "$(_PHYT2V_COMPLETE=source_bash phyt2v)"; '
            f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; _phyt2v_completion phyt2v; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        ended = subprocess.run(
            ["bash", "-c", script],
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
            timeout=60,
        )
        assert ended.stderr == ""
        return ended.stdout.splitlines()

    assert complete("phyt2v", "generate", "--solver", "d") == ["ddim", "dpm++"]
    assert complete("phyt2v", "runs", "") == ["list", "show", "export"]
    # bash has = among its word breaks, and replaces only what comes after it
    assert complete("phyt2v", "refine", "--set", "generator.solver", "=", "d") == ["ddim", "dpm++"]
    assert complete("phyt2v", "refine", "--set", "refinement.select", "=", "") == ["last", "best"]
    assert complete("phyt2v", "refine", "--preset", "=", "moc") == ["mochi"]


def test_sets_are_offered_before_runs(ask: "Ask", tmp_path: Path) -> None:
    (tmp_path / "batches" / "physics").mkdir(parents=True)
    (tmp_path / "batches" / "physics" / "prompts.jsonl").write_text("")
    (tmp_path / "batches" / "other").mkdir()
    for command in ("report", "export"):
        assert ask("fish", f"phyt2v {command} ").split() == ["batches/physics", "runs/a-ball"]
