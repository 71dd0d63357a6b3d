"""How a process ends: exit codes, signals and closed pipes, seen from outside."""

import array
import fcntl
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from phyt2v_cli import __version__
from phyt2v_cli.cli.exit import run as run_command_line

PHYT2V = [sys.executable, "-m", "phyt2v_cli"]
LONG = "a" * 300
COMMAND = ("--set", "scorer.backend=command", "--set")


def run(*arguments: str, cwd: Path | None = None, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*PHYT2V, *arguments], capture_output=True, cwd=cwd, input=stdin, timeout=60)


def test_version() -> None:
    assert run("--version").stdout == f"phyt2v {__version__}\n".encode()


@pytest.mark.parametrize(
    ("arguments", "guess"),
    [(["preview-schedul"], b"preview-schedule"), (["preview-schedule", "--round", "3"], b"--rounds")],
)
def test_a_mistyped_word_exits_2_with_a_guess(arguments: list[str], guess: bytes) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stdout == b""
    assert guess in result.stderr
    assert result.stderr.startswith(b"error: No such")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["preview-schedule", "--rounds", "abc"], "Invalid value for '--rounds': "),
        (["preview-schedule", "--min"], "Option '--min' requires an argument. See: "),
        (["preview-schedule", "x"], "See: phyt2v preview-schedule --help"),
        (["preview-schedule", "--seconds-per-step", "-1"], "--seconds-per-step -1: give a number from 0 to"),
        (["preview-schedule", "--seconds-per-step", "nan"], "--seconds-per-step nan: give a number"),
        (["preview-schedule", "--seconds-per-step", "inf"], "--seconds-per-step inf: give a number"),
        (["preview-schedule", "--seconds-per-step", "1e308"], "give a number from 0 to 86,400"),
        (
            ["refine", "--select", "first", "--prompt", "x"],
            "'--select': 'first' is not one of 'last', 'best'.",
        ),
        (["report"], "Missing argument 'DIR'. See: phyt2v report --help"),
        (["config", "shw"], "No such command 'shw'. Did you mean 'show'? See: phyt2v config --help"),
    ],
    ids=str,
)
def test_a_wrong_command_line_is_one_line(arguments: list[str], said: str, here: "RunHere") -> None:
    code, out, err = here(arguments, b"")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "guess"),
    [
        (["preview-schedule", "--round", "3"], "--rounds"),
        (["refine", "--roundnum=3"], "--rounds"),
        (["refine", "--min_step", "3"], "--min-steps"),
        (["batch", "--round_num", "3"], "--rounds"),
        (["refine", "--promt", "x"], "--prompt"),
        (["refine", "--no-colour"], "--no-color"),
        (["report", "--zzz"], None),
        (["refine", "--zzz"], None),
        (["generate", "--round", "3"], None),
        (["refine", "--x"], None),
        (["refine", "-x"], None),
    ],
    ids=str,
)
def test_an_unknown_option_is_guessed_from_what_help_shows(
    arguments: list[str], guess: str | None, here: "RunHere"
) -> None:
    code, _, err = here(arguments, b"")
    assert code == 2
    option = arguments[1].partition("=")[0]
    suggestion = f" Did you mean {guess}?" if guess else ""
    assert err == f"error: No such option: {option}.{suggestion} See: phyt2v {arguments[0]} --help\n"


def test_an_option_of_the_whole_is_told_its_place(here: "RunHere") -> None:
    code, _, err = here(["config", "show", "--isolated"], b"")
    assert code == 2
    right = "phyt2v --isolated config show"
    assert err == f"error: --isolated goes before the command: {right}. See: phyt2v config show --help\n"
    assert here(right.split()[1:], b"")[0] == 0


def test_no_command_shows_the_help() -> None:
    result = run()
    assert result.returncode == 2
    assert b"preview-schedule" in result.stdout
    assert result.stderr == b""


def test_a_closed_pipe_is_silent() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run(
        [*PHYT2V, "preview-schedule", "--rounds", "100"], stdout=write_end, stderr=subprocess.PIPE, timeout=60
    )
    os.close(write_end)
    assert result.returncode == 141
    assert result.stderr == b""


def test_a_full_disk_behind_stdout_exits_3() -> None:
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [*PHYT2V, "preview-schedule", "--json"], stdout=full, stderr=subprocess.PIPE, timeout=60
        )
    assert result.returncode == 3
    assert result.stderr == b"error: standard output could not be written: the disk is full\n"


def test_without_a_stdout_a_command_works_all_the_same() -> None:
    command = f"{shlex.join(PHYT2V)} preview-schedule >&-"
    result = subprocess.run(["/bin/sh", "-c", command], stderr=subprocess.PIPE, timeout=60)
    assert (result.returncode, result.stderr) == (0, b"")


def unread(pipe: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_a_waiting_command(number: signal.Signals, code: int, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*PHYT2V, "refine", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        # a job started with nohup or in the background of a script hands on ignored signals
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    assert process.stdin is not None
    process.stdin.write(b"a")
    process.stdin.flush()
    while unread(process.stdin.fileno()):  # until it waits for the rest of its prompt
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"Traceback" not in err


RunHere = Callable[[list[str], bytes], tuple[int, str, str]]


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[RunHere]:
    """Run phyt2v in this process and in `tmp_path`: the same way out, without a second to start."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def run_here(arguments: list[str], stdin: bytes) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        monkeypatch.setattr(sys, "argv", ["phyt2v", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as leaving:
            run_command_line()
        out, err = capsys.readouterr()
        return int(leaving.value.code or 0), out, err

    yield run_here
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("command", ["refine", "generate"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        ("\u200b\u2060\ufeff \u3164".encode(), "is empty"),
        (b"\x89PNG\0", "binary"),
        (b"a\0b", "is no text"),
        (b"caf\xe9", "not UTF-8"),
        (b"a" * 10_001, "longer than 10,000 characters"),
        (b"a" * 100_000, "longer than 10,000 characters"),
    ],
)
def test_bad_prompts_exit_2_and_leave_nothing(
    command: str, content: bytes, message: str, tmp_path: Path, here: RunHere
) -> None:
    (tmp_path / "prompt file.txt").write_bytes(content)
    for arguments, stdin in [(["prompt file.txt"], b""), (["-"], content)]:
        code, out, err = here([command, *arguments], stdin)
        assert (code, out) == (2, "")
        error, hint = err.splitlines()
        assert error.startswith("error: ")
        assert message in error
        assert hint.startswith("hint: ")
    assert [path.name for path in tmp_path.iterdir()] == ["prompt file.txt"]


@pytest.mark.parametrize("command", ["refine", "generate"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("id,prompt\np1,a red ball drops\n", "CSV with a header"),
        ('{"prompt": "a red ball drops"}\n', "JSON"),
        ('["a red ball drops"]', "JSON"),
    ],
)
def test_a_set_is_no_prompt(command: str, content: str, what: str, tmp_path: Path, here: RunHere) -> None:
    (tmp_path / "one.jsonl").write_text(content)
    for arguments, stdin in [(["one.jsonl"], ""), (["-"], content), (["--prompt", content], "")]:
        code, out, err = here([command, *arguments, "--dry-run"], stdin.encode())
        assert (code, out) == (2, "")
        error, hint = err.splitlines()
        assert error.endswith(f"is no prompt, but a set of prompts: {what}")
        assert "`phyt2v batch`" in hint


def test_comments_in_a_prompt_file_are_left_out(here: RunHere) -> None:
    code, out, err = here(["refine", "-", "--dry-run", "--json"], b"# my prompt\na red ball drops\n")
    assert code == 0
    assert "a-red-ball-drops" in json.loads(out)["run_dir"]
    assert err.startswith("note: lines that begin with # are comments")
    assert here(["refine", "-"], b"# nothing else\n")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["refine", "missing.txt"], 2, "there is no file missing.txt"),
        (["refine", "."], 2, "is a directory"),
        (["refine"], 2, "give one prompt"),
        (["refine", "a.txt", "--prompt", "b"], 2, "give one prompt"),
        (["refine", "--prompt", "x", "--model", "y/z"], 2, "choices: rulebook"),
        (["refine", "--prompt", "x", "--model", "y/z"], 2, "scorer.backend: none is set; choices: tracker"),
        (["refine", "--resume", "runs/a", "--seed", "3"], 2, "leave out all others"),
        (["refine", "--resume", "runs/a"], 3, "is no run directory"),
        (["refine", "--prompt", "x", "--preset", "tiny", "--model", "./nowhere"], 4, "./nowhere"),
        (["generate", "--prompt", "x", "--model", "./nowhere"], 4, "./nowhere"),
        (["generate", "--prompt", "x", "--solver", "unipc2"], 2, "generator.solver: 'unipc2' does not fit"),
        (["generate", "--prompt", "x", "--solver", "flow-euler"], 2, "use auto, own, ddim"),
        (["generate", "--prompt", "x", "--image", "there.mp4"], 2, "no image that can be read"),
        (["refine", "--prompt", "x", "--video", "there.mp4"], 2, "no video"),
        (["refine", "--prompt", "x", "--set", "generator.strength=0.5"], 2, "generator.strength: it says"),
        (["generate", "--prompt", "x", "--out", "a.avi"], 2, ".mp4"),
        (["generate", "--prompt", "x", "--out", "no/such/a.mp4"], 3, "there is no folder"),
        (["generate", "--prompt", "x", "--out", "there.mp4"], 3, "--force"),
        (["generate", "--prompt", "x", "--steps", "0"], 2, "schedule.max_steps: 0 does not fit"),
        (["refine", "--prompt", "x", "--out", "/proc/nowhere/run"], 3, "are free"),
        (["refine", "--prompt", "x", "--preset", "cogvideox-5b"], 2, "variable OPENAI_API_KEY is not set"),
        (
            ["refine", "--prompt", "x", "--preset", "cogvideox-5b", "--dry-run"],
            2,
            "OPENAI_API_KEY is not set",
        ),
        (["generate", "--prompt", "x", "--dry-run", "--set", "generator.gguf=a.gguf"], 2, "no file a.gguf"),
        (["refine", "--prompt", "x", "--dry-run", "--set", "generator.lora=a/b/c"], 2, "there is no a/b/c"),
        (["refine", "--prompt", "x", "--out", LONG], 3, "… cannot be used: File name too long"),
        (["refine", "--prompt", "x", "--out", "loop/run"], 3, "Too many levels of symbolic links"),
        (["refine", "--resume", LONG], 3, "… cannot be used: File name too long"),
        (["refine", "--resume", "loop"], 3, "loop"),
        (["generate", "--prompt", "x", "--out", f"{LONG}.mp4"], 3, "longer than 200 bytes"),
        (["generate", "--prompt", "x", "--out", f"{LONG}/a.mp4"], 3, "… cannot be used: File name too long"),
        (["generate", "--prompt", "x", "--out", f"{'ü' * 101}.mp4"], 3, "longer than 200 bytes"),
        (["generate", "--prompt", "x", "--model", LONG], 4, "… cannot be used: File name too long"),
        (["generate", "--prompt", "x", "--model", f"a/{LONG}"], 4, "does not exist"),
        (["generate", "--prompt", "x", "--model", "~no-such-user/x"], 4, "~no-such-user/x does not exist"),
        (["generate", "--prompt", "x", "--model", "loop"], 4, "loop"),
        (["generate", "--prompt", "x", "--image", LONG], 2, "generator.image: "),
        (["generate", "--prompt", "x", "--set", f"generator.gguf={LONG}"], 2, "generator.gguf: "),
        (["generate", "--prompt", "x", "--set", f"generator.lora={LONG}"], 2, "generator.lora: "),
        (["refine", "--prompt", "x", *COMMAND, f"scorer.command={LONG}"], 2, "scorer.command: "),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_loaded(
    arguments: list[str], code: int, message: str, tmp_path: Path, here: RunHere
) -> None:
    (tmp_path / "there.mp4").write_bytes(b"mine")
    (tmp_path / "loop").symlink_to("loop")
    ended, out, err = here(arguments, b"")
    assert (ended, out) == (code, "")
    assert message in err
    assert "Traceback" not in err
    assert "unexpected" not in err
    assert {path.name for path in tmp_path.iterdir()} == {"there.mp4", "loop"}
    assert (tmp_path / "there.mp4").read_bytes() == b"mine"


@pytest.mark.parametrize("command", ["refine", "generate"])
def test_wrong_sizes_are_said_before_anything_is_loaded_or_written(
    command: str, tiny_cogvideox_dir: Path, tmp_path: Path, here: RunHere
) -> None:
    wrong = ["--set", "generator.num_frames=12", "--set", "generator.height=20"]
    judges = ["llm.backend=rulebook", "captioner.backend=tracker", "scorer.backend=tracker"]
    chosen = [part for judge in judges for part in ("--set", judge)]
    code, out, err = here(
        [command, "--prompt", "x", "--model", str(tiny_cogvideox_dir), *wrong, *chosen], b""
    )
    assert (code, out) == (2, "")
    assert "generator.num_frames: CogVideoX makes 8k+1 up to 9 frames, not 12; the nearest is 9" in err
    assert "generator.height: CogVideoX needs a multiple of 16" in err
    assert "steps" not in err
    assert list(tmp_path.iterdir()) == []


def test_verbose_shows_the_traceback() -> None:
    result = run("refine", "missing.txt", "--verbose")
    assert b"Traceback" in result.stderr
    assert result.stderr.splitlines()[-2:] == [
        b"error: there is no file missing.txt",
        b"hint: Give the file with the prompt, or its text as --prompt.",
    ]
