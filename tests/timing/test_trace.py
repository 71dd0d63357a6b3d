import json
import threading
from pathlib import Path

import pytest

from phyt2v_cli.cli import watch
from phyt2v_cli.errors import FilesError
from phyt2v_cli.events import GeneratorReady, LoadStarted, RoundStarted, StageDone, StageStarted, StepDone
from phyt2v_cli.timing.trace import Timeline, check_target
from phyt2v_cli.video_id import RoundId


def read(path: Path) -> tuple[list[dict[str, object]], dict[object, str]]:
    content = json.loads(path.read_text())
    assert content["schema"] == "phyt2v.profile/1"
    bars = [event for event in content["traceEvents"] if event["ph"] == "X"]
    rows = {e["tid"]: e["args"]["name"] for e in content["traceEvents"] if e["name"] == "thread_name"}
    return bars, rows


def test_stages_steps_and_what_runs_beside_them_are_bars(tmp_path: Path) -> None:
    timeline = Timeline()

    def load() -> None:
        with timeline.span("load the generator"):
            pass

    beside = threading.Thread(target=load, name="load")
    timeline(LoadStarted())
    beside.start()
    beside.join()
    timeline(GeneratorReady({}))
    timeline(RoundStarted(RoundId(2), 3, 27, "draft", "a ball"))
    timeline(StageStarted(RoundId(2), "denoise"))
    timeline(StepDone(RoundId(2), 1, 27))
    timeline(StageDone(RoundId(2), "denoise", 1.0))
    timeline.write(tmp_path / "p.json")

    bars, rows = read(tmp_path / "p.json")
    row_of = {bar["name"]: rows[bar["tid"]] for bar in bars}
    assert row_of == {
        "load the generator": "load",
        "wait for the generator": "the loop",
        "step 1": "the loop",
        "denoise": "the loop",
    }
    denoise = next(bar for bar in bars if bar["name"] == "denoise")
    step = next(bar for bar in bars if bar["name"] == "step 1")
    assert denoise["args"] == {"round": "round 2, 27 steps, draft"}
    assert denoise["ts"] == step["ts"], "a step begins where the one before ended, the first with its stage"
    assert denoise["dur"] >= step["dur"] >= 0  # type: ignore[operator]


def test_a_run_that_fails_leaves_its_profile_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), watch.profiling(tmp_path / "p.json") as timeline:
        assert timeline is not None
        timeline(StageStarted(RoundId(1), "decode"))
        raise ZeroDivisionError
    assert [bar["name"] for bar in read(tmp_path / "p.json")[0]] == ["decode"]


def test_nobody_asked_for_a_profile() -> None:
    with watch.profiling(None) as timeline:
        assert timeline is None


def test_a_profile_replaces_only_a_profile(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    check_target(path)
    Timeline().write(path)
    check_target(path)
    (tmp_path / "prompt.txt").write_text("a ball drops")
    with pytest.raises(FilesError, match="is there already and is no profile"):
        check_target(tmp_path / "prompt.txt")
    with pytest.raises(FilesError, match="irectory"):
        check_target(tmp_path)
    with pytest.raises(FilesError, match="there is no folder"):
        check_target(tmp_path / "no" / "p.json")


def test_a_profile_that_cannot_be_written_at_the_end_is_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with watch.profiling(tmp_path / "no" / "p.json") as timeline:
        assert timeline is not None
        timeline(StageStarted(RoundId(1), "decode"))
    assert capsys.readouterr().err.startswith("note: ")


def test_a_file_of_the_run_that_came_meanwhile_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    check_target(path)
    with watch.profiling(path) as timeline:
        assert timeline is not None
        timeline(StageStarted(RoundId(1), "decode"))
        path.write_text("the record")
    assert path.read_text() == "the record"
    assert "is there already and is no profile" in capsys.readouterr().err


def test_a_run_that_had_nothing_left_to_do_leaves_an_earlier_profile(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("earlier")
    with watch.profiling(tmp_path / "p.json"):
        pass
    assert (tmp_path / "p.json").read_text() == "earlier"
