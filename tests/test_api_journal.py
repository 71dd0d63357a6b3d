"""What calls from Python leave in a run directory: lines of events, and a log of each attempt."""

import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import phyt2v_cli
from phyt2v_cli.errors import BackendError, Phyt2vError, RunInterruptedError, RunPausedError
from phyt2v_cli.events import Event, Notice, RoundStarted
from phyt2v_cli.roles import Denoised
from phyt2v_cli.testing.fakes import FakeCaptioner, FakeGenerator, FakeRoles
from tests.fake_studio import PROMPT, QUICK, studio_of
from tests.faults.processes import ROOT, Doubled, end

KEY = "sk-canary-3b8e61f0a9d24c75"
LIBRARY = logging.getLogger("a_library_of_captions")


@pytest.fixture(autouse=True)
def _works_in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refine(fakes: FakeRoles, out: str = "run", **options: Any) -> phyt2v_cli.RunResult:
    roles = {name: getattr(fakes, name) for name in ("generator", "llm", "captioner", "scorer")}
    return phyt2v_cli.refine(PROMPT, out=out, **roles, **{**QUICK, **options})


def lines_of(run: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(run, "events.ndjson").read_text().splitlines()]


def log_of(run: str, number: int = 1) -> str:
    return Path(run, "logs", f"attempt-{number}.log").read_text()


def test_a_run_leaves_its_events_and_its_log_and_once_complete_no_more() -> None:
    heard: list[Event] = []
    result = refine(FakeRoles(), min_steps=6, max_steps=3, on_event=heard.append)
    lines = lines_of("run")
    assert (lines[0]["type"], lines[0]["attempt"], lines[0]["prompt"]) == ("start", 1, PROMPT)
    ended = lines[-1]
    assert (ended["type"], ended["ok"], ended["error"]) == ("end", True, None)
    assert (ended["data"]["schema"], ended["data"]["video"]) == ("phyt2v.result/1", str(result.video))
    assert [line["type"] for line in lines].count("round_done") == 2
    assert len(lines) <= len(heard) + 2, "no line twice"
    assert isinstance(heard[0], Notice)
    assert lines[1]["text"] == heard[0].text

    log = log_of("run")
    for words in (" INFO phyt2v: called from Python\n", "versions: phyt2v ", "stage done: video round1"):
        assert words in log
    assert log.count(heard[0].text) == 1
    assert log.endswith(" INFO phyt2v: status: complete\n")

    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    assert refine(FakeRoles(), min_steps=6, max_steps=3).video == result.video
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_each_call_adds_an_attempt() -> None:
    with pytest.raises(RunPausedError) as pause:
        phyt2v_cli.refine(PROMPT, preset="tiny", rounds=1, steps=[2, 3], out="run", stop_after="rewrite")
    paused = lines_of("run")[-1]
    assert (paused["ok"], paused["data"]["next_prompt"]) == (True, pause.value.next_prompt)
    assert "Traceback" not in log_of("run")
    phyt2v_cli.resume("run")
    phyt2v_cli.extend("run", 1)
    for _ in range(2):
        video = phyt2v_cli.rerender("run", 1)
    lines = lines_of("run")
    assert [line["attempt"] for line in lines if line["type"] == "start"] == [1, 2, 3, 4]
    assert [line["data"]["schema"] for line in lines if line["type"] == "end"] == [
        *["phyt2v.result/1"] * 3,
        "phyt2v.rerender/1",
    ]
    assert lines[-1]["data"]["video"] == str(video.video)
    assert [len(list(Path("run", "logs").iterdir())), log_of("run", 4).count("called from")] == [4, 1]


class Failing(FakeCaptioner):
    def caption(self, *_: object) -> str:
        raise BackendError(f"The server says {KEY}.", "Raise `captioner.timeout_s`, or choose another `out`.")


def test_an_error_ends_the_lines_and_no_key_is_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with pytest.raises(BackendError):
        refine(FakeRoles(captioner=Failing()))
    ended = lines_of("run")[-1]
    assert (ended["ok"], ended["data"]) == (False, None)
    assert ended["error"] == {
        "code": "backend",
        "message": "The server says [key].",
        "hint": "Raise `captioner.timeout_s`, or choose another `out`.",
    }
    assert "Traceback" in log_of("run")
    assert [
        path for path in Path("run").rglob("*") if path.is_file() and KEY in path.read_text("latin-1")
    ] == []


def test_an_error_of_the_caller_and_an_interruption_end_them_too() -> None:
    def fail(event: Event) -> None:
        if isinstance(event, RoundStarted):
            raise ValueError("of the caller's")

    with pytest.raises(ValueError, match="of the caller's"):
        refine(FakeRoles(), on_event=fail)
    with pytest.raises(RunInterruptedError):
        refine(FakeRoles(), cancelled=lambda: True)
    codes = [line["error"]["code"] for line in lines_of("run") if line["type"] == "end"]
    assert codes == ["unexpected", "interrupted"]
    assert refine(FakeRoles()).video.is_file()
    assert lines_of("run")[-1]["ok"]


class Talking(FakeGenerator):
    """Logs what it is asked for, as libraries do; `meet` is called between two lines."""

    def __init__(self, meet: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.meet = meet

    def denoise(self, prompt: str, **arguments: Any) -> Denoised:
        LIBRARY.warning("begin %s", prompt)
        self.meet()
        LIBRARY.warning("end %s", prompt)
        return super().denoise(prompt, **arguments)


@pytest.mark.parametrize("prefetches", [True, False], ids=["in its thread", "in the thread of all renders"])
def test_runs_in_two_threads_have_separate_logs(prefetches: bool) -> None:
    both = threading.Barrier(2)

    class Captioner(FakeCaptioner):
        def caption(self, video_path: Path, instruction: str) -> str:
            both.wait(60)
            LIBRARY.warning("caption %s", video_path)
            both.wait(60)
            return super().caption(video_path, instruction)

    fakes = FakeRoles(generator=Talking(), captioner=Captioner())
    prompts = {"one": "a ball", "two": "a cube"}
    with studio_of(fakes, prefetches_control=prefetches) as studio, ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda name: studio.refine(prompts[name], out=name), prompts))
    for name, other in (("one", "two"), ("two", "one")):
        log = log_of(name)
        assert log.count("WARNING a_library_of_captions: begin ") == 2
        assert log.count(f"WARNING a_library_of_captions: caption {name}/") == 2
        assert f"caption {other}/" not in log
        assert f"begin {prompts[other]}" not in log
        assert {line["prompt"] for line in lines_of(name) if line["type"] == "start"} == {prompts[name]}


def test_what_the_host_logs_in_other_threads_is_not_of_the_run() -> None:
    def log_elsewhere() -> None:
        thread = threading.Thread(target=lambda: LIBRARY.error("of the host"))
        thread.start()
        thread.join()

    refine(FakeRoles(generator=Talking(log_elsewhere)))
    assert "begin a red ball" in log_of("run")
    assert "of the host" not in log_of("run")


@pytest.mark.parametrize("captioner", [FakeCaptioner(), Failing()], ids=["complete", "failed"])
def test_the_logging_of_the_host_is_as_before(
    captioner: FakeCaptioner, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])  # as in a program that sets up no logging
    assert logging.lastResort is not None
    monkeypatch.setattr(logging.lastResort, "level", logging.WARNING)  # which the command line changes
    apart = logging.getLogger("a_library_apart")
    monkeypatch.setattr(apart, "propagate", False)
    monkeypatch.setattr(apart, "handlers", [logging.StreamHandler()])

    def settings() -> list[object]:
        loggers = (logging.root, LIBRARY, apart)
        of_loggers = [(one.level, one.propagate, [*one.handlers], [*one.filters]) for one in loggers]
        return [*of_loggers, warnings.showwarning, [*warnings.filters], logging.lastResort]

    before = settings()
    try:
        refine(FakeRoles(generator=Talking(lambda: apart.warning("apart")), captioner=captioner))
    except Phyt2vError:
        assert isinstance(captioner, Failing)
    assert settings() == before
    shown = capfd.readouterr().err.splitlines()
    assert shown[:3] == ["begin a red ball drops", "apart", "end a red ball drops"], "as without a run"
    log = log_of("run")
    assert log.count("WARNING a_library_apart: apart\n") == log.count("begin a ") >= 1


@pytest.mark.parametrize("name", ["logs", "events.ndjson"])
def test_a_journal_that_cannot_be_written_is_a_note(name: str) -> None:
    Path("run").mkdir()
    Path("run", ".phyt2v.lock").touch()
    blocked = Path("run", name)
    if name == "logs":
        blocked.write_text("a file")
    else:
        blocked.mkdir()
    heard: list[Event] = []
    assert refine(FakeRoles(), on_event=heard.append).video.is_file()
    (note,) = (event.text for event in heard if isinstance(event, Notice))
    assert note.startswith("no log in run/logs" if name == "logs" else "no events in run/events.ndjson: ")
    other = Path("run", "events.ndjson" if name == "logs" else "logs/attempt-1.log")
    assert note in other.read_text()


def test_a_disk_that_is_full_at_the_very_end_is_a_note_too() -> None:
    code = """if True:
        import os, resource
        from phyt2v_cli.events import Notice, RoundDone
        from phyt2v_cli.testing.fakes import FakeRoles
        from tests.fake_studio import studio_of

        def hear(event):
            if isinstance(event, RoundDone) and event.video.number == 4:
                size = os.path.getsize("run/events.ndjson")
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            if isinstance(event, Notice):
                print(event.text)

        with studio_of(FakeRoles()) as studio:
            result = studio.refine("a red ball drops " * 10, rounds=3, out="run", on_event=hear)
        print(result.video)
    """
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.stderr == ""
    note, *_, video = ended.stdout.splitlines()
    assert note.startswith("no more events in run: ")
    assert video == "run/output4.mp4"
    assert lines_of("run")[-1]["type"] == "round_done"


def test_watch_follows_a_run_that_a_notebook_does(tmp_path: Path) -> None:
    is_rendering, may_go_on = threading.Event(), threading.Event()

    def wait(event: Event) -> None:
        if isinstance(event, RoundStarted) and event.video.number == 2:
            is_rendering.set()
            assert may_go_on.wait(120)

    with ThreadPoolExecutor(1) as thread:
        result = thread.submit(refine, FakeRoles(), on_event=wait)
        assert is_rendering.wait(60)
        follower = Doubled(tmp_path).start("watch", "run", "--json")
        assert follower.stdout is not None
        first = json.loads(follower.stdout.readline())
        may_go_on.set()
        assert result.result(60).video.is_file()
        ended = end(follower)
    assert (first["type"], first["attempt"]) == ("start", 1)
    last = json.loads(ended.out.splitlines()[-1])
    assert (ended.code, last["type"], last["ok"]) == (0, "end", True)
