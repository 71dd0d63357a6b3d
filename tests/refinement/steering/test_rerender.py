"""Rounds that are rendered again are a part of their run, and change nothing else of it."""

from pathlib import Path
from typing import Any

import pytest

from phyt2v_cli.errors import RunInterruptedError, UsageError
from phyt2v_cli.refinement.steering.rerender import rerender, rerender_of
from phyt2v_cli.roles import Scores
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.outcome.result import load_run
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.testing.fakes import FakeRoles, FakeScorer
from phyt2v_cli.video_id import RerenderId, parse_video_id
from tests.fake_runs import PROMPT, make_config, run_through


def again(path: Path, number: int, roles: FakeRoles | None = None, **options: Any) -> VideoRecord:
    roles = roles or FakeRoles()
    with RunDir.resume(path) as run:
        record = rerender_of(run, number, **options)
        return rerender(run, roles.roles(), record, emit=roles.events.append, cancelled=lambda: False)


def test_a_draft_is_rendered_again_at_full_steps_and_judged(tmp_path: Path) -> None:
    path, roles = tmp_path / "run", FakeRoles()
    run_through(path, make_config(2))
    before = {file.name: file.read_bytes() for file in path.iterdir() if file.suffix in (".mp4", ".json")}
    record = again(path, 1, roles)
    assert roles.generator.denoised == [(PROMPT, 0, 6)]
    assert (record.id, record.purpose, record.steps) == (RerenderId(1), "final", 6)
    assert record.caption is not None
    assert record.scores is not None
    assert (path / "rerender1.mp4").is_file()
    run = read_run(path)
    assert run.record.status == "complete"
    assert [video.id.name for video in run.videos] == ["round1", "rerender1", "round2", "round3"]
    result = load_run(path)
    assert [video.id for video in result.rerenders] == [RerenderId(1)]
    assert result.video == path / "output3.mp4", "the last round is the result unless the best is asked for"
    after = {name: (path / name).read_bytes() for name in before if name != "run.json"}
    assert after == {name: content for name, content in before.items() if name != "run.json"}
    idle = FakeRoles()
    assert again(path, 1, idle) == record
    assert not idle.worked()


def test_each_other_seed_or_number_of_steps_is_a_video_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(1))
    assert again(path, 1, seed=7).id == RerenderId(1)
    short = again(path, 1, steps=2)
    assert (short.id, short.purpose, short.seed) == (RerenderId(1, 2), "draft", 0)
    assert again(path, 1, seed=7).id == RerenderId(1)
    assert sorted(file.name for file in path.glob("rerender*.mp4")) == ["rerender1-2.mp4", "rerender1.mp4"]


def test_the_best_final_may_be_one_that_was_rendered_again(tmp_path: Path) -> None:
    path = tmp_path / "run"
    config = make_config(1, select="best")
    scores = {"rerender1.mp4": Scores(1.0, 1.0), "output2.mp4": Scores(0.5, 0.5)}
    roles = FakeRoles(scorer=FakeScorer(by_video=scores))
    run_through(path, config, roles)
    again(path, 1, roles)
    assert (load_run(path).video, load_run(path).selected_by) == (path / "rerender1.mp4", "best")
    idle = FakeRoles()
    assert run_through(path, config, idle).video == path / "rerender1.mp4"
    assert not idle.worked()


def test_one_that_is_stopped_goes_on_and_the_run_stays_what_it_was(tmp_path: Path) -> None:
    path, roles = tmp_path / "run", FakeRoles()
    run_through(path, make_config(1))
    with RunDir.resume(path) as run, pytest.raises(RunInterruptedError):
        rerender(
            run,
            roles.roles(),
            rerender_of(run, 1),
            emit=roles.events.append,
            cancelled=lambda: bool(roles.generator.denoised),
        )
    assert read_run(path).record.status == "complete"
    assert again(path, 1).scores is not None


def test_a_round_that_is_not_there(tmp_path: Path) -> None:
    run_through(tmp_path / "run", make_config(1))
    with pytest.raises(UsageError, match=r"has no video of round 3; it has those of: 1, 2$"):
        again(tmp_path / "run", 3)


@pytest.mark.parametrize("name", ["rerender0", "rerender1-1", "rerender1-0", "rerender1.b", "rerender99999"])
def test_names_of_no_video(name: str) -> None:
    with pytest.raises(ValueError, match="names no video"):
        parse_video_id(name)


def test_names_are_read_back() -> None:
    for id in (RerenderId(3), RerenderId(3, 2), RerenderId(10, 12)):
        assert parse_video_id(id.name) == id
