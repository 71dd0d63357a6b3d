import io
import sys

import pytest
from rich.console import Console

from phyt2v_cli.cli import console
from tests.command_line import CommandLine
from tests.terminals import shown_by


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),  # OSC 52 would write the clipboard
        ("a\x9bb", "a\\x9bb"),
        ("a\u202eb", "a\\u202eb"),
        ("a\rb", "a\\rb"),
        ("\udcff", "\\udcff"),
        ("tab\tand\nnewline, ünïcode, 球", "tab\tand\nnewline, ünïcode, 球"),
    ],
)
def test_control_characters_are_shown_not_obeyed(text: str, shown: str) -> None:
    assert console.visible(text) == shown


def test_markup_in_foreign_text_is_literal() -> None:
    stream = io.StringIO()
    Console(file=stream, width=40).print(console.safe("[/bold] [red]x[/]"))
    assert stream.getvalue() == "[/bold] [red]x[/]\n"


def test_data_goes_to_stdout_and_the_rest_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure()
    console.data("runs/a [b]/output5.mp4")
    console.say("said")
    console.warn("warned")
    console.error("wrong", "mend it")
    out, err = capsys.readouterr()
    assert out == "runs/a [b]/output5.mp4\n"
    assert err == "said\nnote: warned\nerror: wrong\nhint: mend it\n"


def test_quiet_keeps_data_warnings_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure(quiet=True)
    console.say("said")
    console.warn("warned")
    console.data("data")
    console.configure()
    assert capsys.readouterr() == ("data\n", "note: warned\n")


def test_verbose_errors_come_with_their_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure(verbose=True)
    try:
        raise ValueError("broken")
    except ValueError:
        console.error("it broke")
    console.configure()
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.endswith("error: it broke\n")


def test_long_lines_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    console.error("x" * 300)
    assert capsys.readouterr().err == f"error: {'x' * 300}\n"


@pytest.mark.parametrize("columns", [40, 60, 80])
@pytest.mark.parametrize("length", [30, 58, 150])
def test_sentences_on_a_terminal_are_broken_at_spaces_only(columns: int, length: int) -> None:
    path = "/" + "p" * (length - 1)
    command = [sys.executable, "-m", "phyt2v_cli", "refine", "--prompt", "x", "--dry-run", "--no-color"]
    judges = ("llm.backend=rulebook", "captioner.backend=tracker", "scorer.backend=tracker")
    command += [word for judge in judges for word in ("--set", judge)]
    lines = shown_by([*command, "--model", path], columns=columns, code=4).splitlines()
    said = f"error: {path} does not exist. hint: Give tiny, a folder in diffusers layout, or a hub id."
    assert " ".join(lines) == said
    assert all(len(line) <= columns for line in lines if path not in line)
    (whole,) = [line for line in lines if path in line]
    assert len(whole) <= columns or length > columns
    assert len(lines) <= 2 + len(said) // columns


def test_a_command_to_copy_stays_one_line_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("NO_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", "40")):
        monkeypatch.setenv(name, value)
    console.say(
        "The run was stopped. Resume it with:\n  phyt2v refine --resume runs/a-red-ball-falls-0123456"
    )
    assert capsys.readouterr().err.splitlines() == [
        "The run was stopped. Resume it with:",
        "  phyt2v refine --resume runs/a-red-ball-falls-0123456",
    ]


SCHEDULE = [sys.executable, "-m", "phyt2v_cli", "preview-schedule", "--no-color", "--seconds-per-step", "1"]
NOTE = "note: min steps is 8, lowered to --max-steps from 20 (preset tiny)"


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("told_by", ["columns", "size"])
@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_a_terminal_is_as_wide_as_it_says(term: str, told_by: str, width: int) -> None:
    columns, size = (width, 0) if told_by == "columns" else (0, width)
    note, *table = shown_by([*SCHEDULE, "--max", "8"], columns=columns, size=size, TERM=term).splitlines()
    if width == 60:
        note += " " + table.pop(0)
    assert note == NOTE
    assert max(map(len, table)) <= width
    assert (max(map(len, table)) > 80) == (width == 100)


@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_no_sentence_is_broken_on_a_terminal_that_does_not_say_how_wide_it_is(term: str) -> None:
    origin = "from 50 (preset cogvideox-1.5-5b)"
    command = [*SCHEDULE, "--preset", "cogvideox-1.5-5b", "--set", "schedule.min_steps=60"]
    note, *table = shown_by(command, TERM=term).splitlines()
    assert note == f"note: max steps is 60, raised to --set schedule.min_steps {origin}"
    assert len(note) > 80 >= max(map(len, table))


def test_in_a_pipe_a_line_stays_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    for tell in (console.error, console.warn, console.say):
        tell("a word " * 20 + "end")
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("plain", ["NO_COLOR", "--no-color"])
def test_colours_can_be_switched_off(plain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if plain == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    console.configure(no_color=plain == "--no-color")
    assert console.stdout().color_system is None
    console.configure()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["refine", "--no-color", "--bogus"], 2),
        (["refine", "--bogus", "--no-color"], 2),
        (["--no-color", "refine", "nowhere.txt"], 2),
        (["--no-color", "preview-schedule"], 0),
        (["--no-color", "config", "presets"], 0),
        (["--no-color", "--help"], 0),
        (["refine", "--help", "--no-color"], 0),
        (["--no-color", "bogus"], 2),
    ],
    ids=str,
)
def test_nothing_is_coloured_wherever_the_flag_stands(words: list[str], code: int) -> None:
    shown = shown_by([sys.executable, "-m", "phyt2v_cli", *words], columns=100, code=code)
    assert shown.strip()
    assert "\x1b" not in shown


def test_flags_before_the_command_hold_for_it(phyt2v: CommandLine) -> None:
    assert phyt2v("--quiet", "runs").err == ""
    assert "There is no run" in phyt2v("runs").err
    assert "Traceback" in phyt2v("-v", "refine", "nowhere.txt").err
    assert "Traceback" not in phyt2v("refine", "nowhere.txt").err
    assert "Traceback" not in phyt2v("refine", "--", "-v").err
