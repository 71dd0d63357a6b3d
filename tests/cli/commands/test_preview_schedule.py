import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phyt2v_cli.cli.app import app
from phyt2v_cli.errors import ConfigError, UsageError
from tests.command_line import CommandLine

runner = CliRunner()


def started(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "phyt2v_cli", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, **environment},
        timeout=60,
    )


def preview(*arguments: str) -> dict[str, object]:
    result = runner.invoke(app, ["preview-schedule", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    parsed: dict[str, object] = json.loads(result.stdout)
    return parsed


def steps(*arguments: str) -> list[int]:
    videos = preview(*arguments)["videos"]
    assert isinstance(videos, list)
    return [video["steps"] for video in videos]


def test_json_is_the_contract() -> None:
    assert preview("--rounds", "4", "--min", "20", "--max", "50") == {
        "schema": "phyt2v.schedule/1",
        "kind": "linear",
        "rounds": 4,
        "videos": [
            {"round": number, "video": f"output{number}.mp4", "steps": count, "purpose": purpose}
            for number, count, purpose in [
                (1, 20, "draft"),
                (2, 27, "draft"),
                (3, 35, "draft"),
                (4, 42, "draft"),
                (5, 50, "final"),
            ]
        ],
        "total_steps": 174,
        "fixed_steps": 250,
        "saved_fraction": 0.304,
    }


@pytest.mark.parametrize(
    "spelling",
    [("--min-steps", "--max-steps"), ("--min", "--max"), ("--min_steps", "--max_steps")],
)
def test_every_spelling_of_min_and_max(spelling: tuple[str, str]) -> None:
    assert steps(spelling[0], "10", spelling[1], "30", "--round_num", "2") == [10, 20, 30]


def test_underscores_are_hidden_from_help() -> None:
    shown = runner.invoke(app, ["preview-schedule", "--help"]).stdout
    assert "--min-steps" in shown
    assert "_steps" not in shown
    assert "round_num" not in shown
    assert "Examples" in shown


@pytest.mark.parametrize("kind", ["linear", "constant", "cosine", "geometric", "final-only"])
def test_help_names_every_kind(kind: str) -> None:
    assert kind in " ".join(runner.invoke(app, ["preview-schedule", "--help"]).stdout.split())
    assert steps("--schedule", kind)[-1] == 50


def test_a_list_of_steps_sets_the_rounds() -> None:
    parsed = preview("--steps", "10,10,20,50")
    assert (parsed["kind"], parsed["rounds"], parsed["total_steps"]) == ("explicit", 3, 90)


def test_a_list_of_the_wrong_length_says_both_numbers() -> None:
    with pytest.raises(ConfigError, match=r"4 entries, but rounds = 4 makes 5 videos"):
        preview("--steps", "10,10,20,50", "--rounds", "4")


def test_a_list_and_a_schedule_contradict() -> None:
    with pytest.raises(UsageError, match="leave out --min-steps and --schedule"):
        preview("--steps", "10,50", "--min", "3", "--schedule", "cosine")


@pytest.mark.parametrize("rounds", ["0", "-3"])
def test_no_rounds_are_a_single_full_video(rounds: str) -> None:
    assert steps("--rounds", rounds) == [50]


def test_swapped_steps_are_told_on_stderr() -> None:
    result = runner.invoke(app, ["preview-schedule", "--min", "50", "--max", "20", "--json"])
    assert [video["steps"] for video in json.loads(result.stdout)["videos"]] == [20, 27, 35, 42, 50]
    assert "swapped" in result.stderr


LOWERED = "min steps is 8, lowered to --max-steps from 20 (preset tiny)"


@pytest.mark.parametrize(
    "command",
    [
        ("preview-schedule",),
        ("refine", "--prompt", "a ball", "--dry-run"),
        ("batch", "set.txt", "--dry-run"),
    ],
)
def test_one_bound_alone_moves_the_other_in_every_command(
    command: tuple[str, ...], tmp_path: Path, phyt2v: CommandLine
) -> None:
    (tmp_path / "set.txt").write_text("a ball\n")
    ended = phyt2v(*command, "--max", "8", "--rounds", "2", "--json")
    told = json.loads(ended.out)
    assert [video["steps"] for video in told["videos"]] == [8, 8, 8]
    assert ended.err.splitlines()[0] == f"note: {LOWERED}"
    assert told.get("notice", LOWERED) == LOWERED
    assert ("notice" in told) == (command == ("preview-schedule",))


def test_a_single_video_takes_the_maximum_that_was_given(phyt2v: CommandLine) -> None:
    words = ("generate", "--prompt", "a ball", "--set", "schedule.max_steps=8", "--dry-run", "--json")
    assert json.loads(phyt2v(*words).out)["videos"][0]["steps"] == 8


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_the_table_fits(columns: int) -> None:
    result = runner.invoke(
        app, ["preview-schedule", "--seconds-per-step", "3.6"], env={"COLUMNS": str(columns)}
    )
    lines = result.stdout.splitlines()
    assert max(len(line) for line in lines) <= columns
    assert "…" not in result.stdout
    assert "174 steps instead of 250: 30.4 % fewer" in lines
    assert "about 10m 26s instead of 15m 00s, at 3.6 s a step" in lines
    for word in ["first look", "explore", "near convergence", "final", "output5.mp4", "28.7%", "█", "3m 00s"]:
        assert word in result.stdout


@pytest.mark.parametrize("columns", [24, 40, 50])
def test_the_steps_are_the_last_to_go(columns: int) -> None:
    command = ["preview-schedule", "--seconds-per-step", "3.6"]
    lines = runner.invoke(app, command, env={"COLUMNS": str(columns)}).stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert not [line for line in lines if "…" in line]
    number_first = lines[0].split()[0] == "#"
    place = lines[0].split().index("steps")
    assert [line.split()[place] for line in lines[2:7]] == ["20", "27", "35", "42", "50"]
    assert number_first == (columns == 50)


def test_the_longest_table_fits_60_columns() -> None:
    result = runner.invoke(app, ["preview-schedule", "--rounds", "100"], env={"COLUMNS": "60"})
    assert max(len(line) for line in result.stdout.splitlines()) <= 60
    assert "…" not in result.stdout
    assert "output101.mp4" in result.stdout


def test_a_list_is_compared_with_its_highest_count() -> None:
    result = runner.invoke(app, ["preview-schedule", "--steps", "50,10"])
    assert "60 steps instead of 100: 40.0 % fewer" in result.stdout
    assert "every video at full steps" in runner.invoke(app, ["preview-schedule", "--rounds", "0"]).stdout


def test_a_pipe_gets_no_escape_bytes_and_stderr_stays_empty() -> None:
    result = started("preview-schedule", TERM="xterm-256color")
    assert result.returncode == 0
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_an_ascii_locale_gets_ascii() -> None:
    result = started("preview-schedule", PYTHONIOENCODING="ascii")
    assert result.returncode == 0
    assert result.stdout.isascii()
    assert "###" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--min", "-3"], "error: schedule.min_steps: -3 does not fit"),
        (["--max", "100000"], "error: schedule.max_steps: 100000 does not fit"),
        (["--schedule", "linaer"], "error: schedule.kind: 'linaer' does not fit"),
        (["--preset", "tiyn"], "error: there is no preset 'tiyn'. Did you mean tiny?"),
        (["--set", "schedule.max=3"], "Did you mean schedule.max_steps?"),
    ],
)
def test_bad_values_exit_2_with_one_clear_line(arguments: list[str], message: str) -> None:
    result = started("preview-schedule", *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert message in result.stderr
    error, *hint = result.stderr.splitlines()
    assert error.startswith("error: ")
    assert hint == (
        ["hint: Settings of your own can be read from a file with --config."] if "tiyn" in message else []
    )
