"""Pages that commands leave behind: of runs that are stopped, fail or pause, of a set, and of a new video."""

import signal
from pathlib import Path

import pytest

from phyt2v_cli.report.page import write_report
from tests.faults.processes import QUICK, Doubled, end

STOPPED = "Stopped after 1 of 2 rounds."


@pytest.fixture
def doubled(tmp_path: Path) -> Doubled:
    return Doubled(tmp_path)


def page_of(path: Path) -> str:
    return (path / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_run_that_is_stopped_has_a_page(tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "run"
    process = doubled.start(*QUICK, "--out", path, script={"hang": ["caption:2"]})
    doubled.wait_for("caption:2 hangs")
    process.send_signal(signal.SIGINT)
    stopped = end(process)
    assert stopped.code == 130
    assert f"Report: {path}/report.html\n" in stopped.err
    assert STOPPED in page_of(path)
    again = doubled.run(*QUICK, "--out", path)
    assert (again.code, again.out) == (0, f"{path}/output2.mp4\n")
    assert STOPPED not in page_of(path)


def test_a_run_that_is_stopped_before_its_first_video_has_none(tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "run"
    process = doubled.start(*QUICK, "--out", path, script={"hang": ["step:1"]})
    doubled.wait_for("step:1 hangs")
    process.send_signal(signal.SIGINT)
    stopped = end(process)
    assert stopped.code == 130
    assert "Report:" not in stopped.err
    assert not (path / "report.html").exists()


def test_a_run_that_fails_has_a_page(tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "run"
    failed = doubled.run(*QUICK, "--out", path, script={"say": {"score": 7.0}})
    assert failed.code == 4
    assert f"Report: {path}/report.html\n" in failed.err
    assert "Failed after 0 of 2 rounds." in page_of(path)


def test_a_run_that_pauses_shows_the_prompt_that_waits(tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "run"
    paused = doubled.run(*QUICK, "--out", path, "--stop-after", "rewrite")
    assert paused.code == 0
    assert f"Report: {path}/report.html\n" in paused.err
    assert f"<ins>drops, {paused.out.strip().partition(', ')[2]}</ins>" in page_of(path)


def test_a_video_that_is_rendered_again_is_on_the_page(tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "run"
    assert doubled.run(*QUICK, "--out", path).code == 0
    write_report(path, embed=True)
    again = doubled.run("rerender", path, "1")
    assert again.code == 0, again.err
    assert f"Report: {path}/report.html\n" in again.err
    page = page_of(path)
    assert "<h2>Round 1 again</h2>" in page
    assert 'src="output' not in page, "its videos are in it, as before"


@pytest.mark.slow
def test_a_set_leaves_its_page_and_that_of_each_run(tmp_path: Path, doubled: Doubled) -> None:
    (tmp_path / "set.txt").write_text("a red ball drops\na blue ball drops\n")
    command = ("batch", tmp_path / "set.txt", *QUICK[3:], "--out", tmp_path / "set")
    process = doubled.start(*command, "--open-runs", "1", script={"hang": ["caption:4"]})
    doubled.wait_for("caption:4 hangs")
    process.send_signal(signal.SIGINT)
    stopped = end(process)
    assert stopped.code == 130
    assert f"Report: {tmp_path}/set/report.html\n" in stopped.err
    assert "1 complete" in page_of(tmp_path / "set")
    done = doubled.run(*command)
    assert done.code == 0, done.err
    assert "2 complete" in page_of(tmp_path / "set")
    for video in done.out.split():
        page = page_of(Path(video).parent)
        assert ">complete<" in page
        assert f"./{Path(video).parent.name}/report.html" in page_of(tmp_path / "set")


def test_a_shard_leaves_the_page_of_the_set_to_who_has_all_of_it(tmp_path: Path, doubled: Doubled) -> None:
    (tmp_path / "set.txt").write_text("a red ball drops\na blue ball drops\n")
    command = ("batch", tmp_path / "set.txt", *QUICK[3:], "--out", tmp_path / "set", "--shard")
    for shard in ("1/2", "2/2"):
        done = doubled.run(*command, shard)
        assert done.code == 0, done.err
        assert "Report:" not in done.err
    assert not (tmp_path / "set" / "report.html").exists()
    assert doubled.run("report", tmp_path / "set").code == 0
    assert "2 complete" in page_of(tmp_path / "set")


@pytest.mark.slow
def test_each_run_with_a_control_has_its_comparison_and_its_page(tmp_path: Path, doubled: Doubled) -> None:
    prompts = tmp_path / "two.txt"
    prompts.write_text("a ball\na cube\n")
    command = ("batch", "--rounds", "1", "--min", "3", "--max", "6", prompts)
    done = doubled.run(*command, "--out", tmp_path / "set", "--control")
    assert done.code == 0
    assert len(done.out.splitlines()) == 2
    for video in map(Path, done.out.splitlines()):
        clips = {path.name for path in video.parent.glob("*.mp4")} - {"output1.mp4", "output2.mp4"}
        assert clips == {"control.mp4", "compare.mp4"}  # no clip of all rounds, which only decorates
        assert "compare.mp4" in (video.parent / "report.html").read_text()
    without = doubled.run(*command, "--out", tmp_path / "without")
    assert without.code == 0
    assert not list((tmp_path / "without").rglob("compare.mp4"))
