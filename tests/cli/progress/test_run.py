import os
import pty
import re
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from phyt2v_cli.cli import console
from phyt2v_cli.cli.progress import run as progress_module
from phyt2v_cli.cli.progress.run import RunProgress
from phyt2v_cli.events import (
    AnalysisDone,
    CandidateDone,
    Event,
    GeneratorReady,
    LoadStarted,
    Notice,
    RoundDone,
    RoundStarted,
    StageDone,
    StageStarted,
    StepDone,
)
from phyt2v_cli.roles import Scores
from phyt2v_cli.video_id import RoundId


def drawn(events: Sequence[Event], capsys: pytest.CaptureFixture[str]) -> list[str]:
    with RunProgress() as progress:
        for event in events:
            progress(event)
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err
    return err.splitlines()


def round_done(number: int, mismatch: str | None = "it hovers", prompt: str | None = "better") -> RoundDone:
    return RoundDone(RoundId(number), "draft", 12.34, Scores(0.8, None), mismatch, prompt, ())


def test_a_round_is_told_in_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    events: list[Event] = [
        AnalysisDone("the ball", "gravity"),
        RoundStarted(RoundId(2), 5, 27, "draft", "a ball"),
        StageStarted(RoundId(2), "denoise"),
        StepDone(RoundId(2), 1, 27),
        StageDone(RoundId(2), "denoise", 3.2),
        round_done(2),
    ]
    assert drawn(events, capsys) == [
        "  main object: the ball",
        "  physical law: gravity",
        "Round 2 of 5: 27 denoising steps",
        "  12.3 s, SA 0.80, PC - (draft)",
        "  mismatch: it hovers",
        "  new prompt: better",
    ]


def test_several_scorers_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    def told(**scorers: Scores) -> list[str]:
        deciding = next(iter(scorers.values()))
        done = RoundDone(RoundId(1), "draft", 12.34, deciding, None, None, (), scorers)
        events = [RoundStarted(RoundId(1), 2, 20, "draft", "p"), StageStarted(RoundId(1), "score"), done]
        return drawn(events, capsys)[1:]

    tracker, vlm = Scores(0.9, 0.4, ("it hovers",)), Scores(0.7, 0.8)
    assert told(tracker=tracker) == ["  12.3 s, SA 0.90, PC 0.40 (draft)"]
    assert told(tracker=tracker, vlm=vlm) == [
        "  12.3 s, SA 0.90, PC 0.40 (draft, by tracker)",
        "  vlm: SA 0.70, PC 0.80",
        "  scorers: they differ by 0.40 in PC",
    ]
    assert told(a=tracker, b=vlm, c=vlm)[-1] == "  scorers: they differ by up to 0.40 in PC"
    assert told(a=tracker, b=tracker)[-1] == "  scorers: they agree"
    abstains = Scores(None, None, ("not my world",))
    assert told(tracker=abstains, vlm=vlm)[2:] == [
        "  scorers: nothing to compare: only one of them, or none, gave a score",
        "  tracker: not my world",
    ]


def test_one_verdict_says_why_a_prompt_was_kept_or_rewritten(capsys: pytest.CaptureFixture[str]) -> None:
    def said(mismatch: str | None, prompt: str) -> list[str]:
        begun = [RoundStarted(RoundId(1), 2, 20, "draft", "p"), StageStarted(RoundId(1), "refine")]
        return drawn([*begun, round_done(1, mismatch, prompt)], capsys)[2:]

    assert said(None, "p") == ["  prompt: kept: the caption agrees with it, in spite of SA 0.80"]
    assert said(None, "q") == [
        "  prompt: rewritten for SA 0.80: the caption agrees with it",
        "  new prompt: q",
    ]
    assert said("it hovers", "q") == ["  mismatch: it hovers", "  new prompt: q"]
    assert said("it hovers", "p") == ["  mismatch: it hovers", "  prompt: kept: its scores are high enough"]


def test_a_round_done_before_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    events = [RoundStarted(RoundId(1), 5, 20, "draft", "a ball"), round_done(1)]
    assert drawn(events, capsys) == ["Round 1 of 5: done before"]


def test_foreign_text_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    events = [
        RoundStarted(RoundId(1), 2, 20, "draft", "p"),
        StageStarted(RoundId(1), "caption"),
        round_done(1, "\x1b]52;c;x\x07 two\nlines", "[/red] up"),
    ]
    lines = drawn(events, capsys)
    assert "  mismatch: \\x1b]52;c;x\\x07 two lines" in lines
    assert "  new prompt: [/red] up" in lines


def test_quiet_keeps_only_notices(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure(quiet=True)
    events = [
        Notice("odd"),
        RoundStarted(RoundId(1), 2, 20, "draft", "p"),
        StageStarted(RoundId(1), "denoise"),
    ]
    assert drawn(events, capsys) == ["note: odd"]
    console.configure()


def test_off_a_terminal_a_line_every_few_seconds_tells_the_step_and_the_rest_of_the_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now)
    with RunProgress(lambda: 83.0) as progress:
        progress(RoundStarted(RoundId(1), 2, 12, "draft", "p"))
        progress(StageStarted(RoundId(1), "denoise"))
        for step in range(1, 13):
            now += 2.0
            progress(StepDone(RoundId(1), step, 12))
    err = capsys.readouterr().err
    assert err.splitlines() == [
        "Round 1 of 2: 12 denoising steps",
        *(f"  round 1 of 2, step {step} of 12, about 1m 23s left" for step in (3, 6, 9, 12)),
    ]


def test_off_a_terminal_a_silent_stage_is_told_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_LINES", 0.05)

    def hear(line: str) -> None:
        said, deadline = "", time.monotonic() + 60
        while not re.search(line, said):
            assert time.monotonic() < deadline, said
            time.sleep(0.01)
            said += capsys.readouterr().err

    with RunProgress(lambda: 83.0) as progress:
        hear(r"  preparing, \d\.\d s so far, about 1m 23s left\n")
        progress(LoadStarted())
        hear("  loading the model, .* so far, about")
        progress(GeneratorReady({"device": "cpu"}))
        progress(RoundStarted(RoundId(1), 2, 12, "draft", "p"))
        progress(StageStarted(RoundId(1), "denoise"))
        progress(StepDone(RoundId(1), 1, 12))
        hear("  round 1 of 2, step 1 of 12, about 1m 23s left\n")
        progress(StageStarted(RoundId(1), "decode"))
        hear("  round 1 of 2, decoding, .* so far, about")
    console.configure(quiet=True)
    with RunProgress() as progress:
        progress(LoadStarted())
        time.sleep(0.2)
    console.configure()
    assert not [thread for thread in threading.enumerate() if thread.name == "progress" and thread.is_alive()]


def test_how_the_model_runs_is_told_once_and_again_when_it_changes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = {
        "device": "cuda",
        "device_name": "NVIDIA H200",
        "dtype": "bfloat16",
        "offload": "none",
        "offload_reason": "resident it needs 24.3 GB, 70.0 GB are free",
        "tiled_decode": "off",
        "compile": "on",
    }
    lower = {**settings, "offload": "model", "offload_reason": "out of memory with none"}
    events = [
        LoadStarted(),
        GeneratorReady(settings),
        GeneratorReady({**settings, "cache": "taylor"}),
        RoundStarted(RoundId(1), 2, 20, "draft", "p"),
        StageStarted(RoundId(1), "denoise"),
        GeneratorReady(lower),
    ]
    assert drawn(events, capsys) == [
        "  model: on NVIDIA H200, bfloat16, offload none (resident it needs 24.3 GB, 70.0 GB are free), "
        "compile",
        "Round 1 of 2: 20 denoising steps",
        "  model: on NVIDIA H200, bfloat16, offload model (out of memory with none), compile",
    ]


@pytest.mark.parametrize("columns", [80, 44])
def test_the_live_view_has_one_bar_for_the_run_and_says_what_is_done(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", str(columns))
    share = 0.5
    with RunProgress(lambda: 83.0, lambda: share) as progress:
        for event in (
            RoundStarted(RoundId(1), 5, 20, "draft", "a ball"),
            StageStarted(RoundId(1), "score"),
            round_done(1),
            RoundStarted(RoundId(2), 5, 27, "draft", "better"),
            StageStarted(RoundId(2), "denoise"),
            StepDone(RoundId(2), 13, 27),
        ):
            progress(event)
        share, screen, deadline = 0.25, "", time.monotonic() + 60
        while not re.search(r"step 13 of 27.*last scores", screen, re.DOTALL):  # drawn four times a second
            assert time.monotonic() < deadline, screen
            time.sleep(0.01)
            screen += capsys.readouterr().err
    below = [line.strip() for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen).splitlines()]
    at = below.index("round 2 of 5, step 13 of 27")
    bar, scores = below[at - 1], below[at + 1]
    width = 12 if columns == 44 else 30
    assert re.fullmatch(rf"[━╸╺ ]{{{width}}}  50% about 1m 23s left", bar), "no estimate draws it back"
    assert scores.startswith("last scores: SA 0.80, PC - (round")
    assert all(len(line) <= columns for line in below)


@pytest.mark.slow
def test_on_a_terminal_a_bar_shows_each_step_and_is_gone_afterwards(tmp_path: Path) -> None:
    screen = run_on_a_terminal("generate", "--prompt", "a red ball", "--steps", "3", cwd=tmp_path)
    assert re.search(r"step [123] of 3", screen), "drawn ten times a second, so not every step"
    assert "loading the model" in screen
    assert screen.rstrip().endswith("output.mp4")
    assert "\x1b[?25h" in screen, "the cursor is back"


def run_on_a_terminal(*arguments: str, cwd: Path) -> str:
    """Return all that a command writes to a terminal of 80 columns, its result included."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(cwd)
        os.environ.update(TERM="xterm", COLUMNS="80")
        os.execv(sys.executable, [sys.executable, "-m", "phyt2v_cli", *arguments])
    chunks = []
    try:
        while chunk := os.read(terminal, 2**16):
            chunks.append(chunk)
    except OSError:  # the other end is closed
        pass
    _, status = os.waitpid(pid, 0)
    screen = b"".join(chunks).decode()
    assert os.waitstatus_to_exitcode(status) == 0, screen
    return screen


def test_candidates_are_told_one_by_one_and_then_the_chosen_one(capsys: pytest.CaptureFixture[str]) -> None:
    second = RoundId(2, "b")
    scored = Scores(0.8, 0.9)
    events: list[Event] = [
        RoundStarted(RoundId(2), 5, 27, "draft", "a ball"),
        StageStarted(RoundId(2), "denoise"),
        CandidateDone(RoundId(2), "draft", 12.34, Scores(0.5, 0.5)),
        RoundStarted(second, 5, 27, "draft", "another ball"),
        StageStarted(second, "denoise"),
        CandidateDone(second, "draft", 12.34, scored),
        RoundDone(second, "draft", 12.34, scored, None, "another ball", ()),
        RoundStarted(RoundId(3), 5, 35, "draft", "another ball"),
        StageStarted(RoundId(3), "denoise"),
        RoundDone(RoundId(3), "draft", 12.34, scored, None, None, ()),
    ]
    assert drawn(events, capsys) == [
        "Round 2 of 5: 27 denoising steps",
        "  12.3 s, SA 0.50, PC 0.50 (draft)",
        "Round 2 of 5, candidate b: 27 denoising steps",
        "  12.3 s, SA 0.80, PC 0.90 (draft)",
        "  chosen: output2.b.mp4, SA 0.80, PC 0.90",
        "  prompt: kept: the caption agrees with it, in spite of SA 0.80",
        "Round 3 of 5: 35 denoising steps",
        "  12.3 s, SA 0.80, PC 0.90 (draft)",
    ]
