"""Runs that the user steers: reviews of rewritten prompts, pauses, prompts of one's own, further rounds."""

from pathlib import Path
from typing import Any

import pytest

from phyt2v_cli.errors import RunDirError, RunPausedError, UsageError
from phyt2v_cli.events import RoundDone
from phyt2v_cli.refinement.loop import refine
from phyt2v_cli.refinement.steering.review import Decision, Proposal
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.outcome.result import RunResult, load_run
from phyt2v_cli.runs.reader import is_complete, read_run
from phyt2v_cli.runs.steering import extend, extend_to, set_next_prompt
from phyt2v_cli.testing.fakes import FakeRoles
from tests.fake_runs import PROMPT, make_config, open_run, run_through
from tests.refinement.test_candidates import searching
from tests.refinement.test_control import Death, Killed

OWN = "a red ball falls, as I want it"


def go_on(path: Path, roles: FakeRoles | None = None, **options: Any) -> RunResult:
    roles = roles or FakeRoles()
    with RunDir.resume(path) as run:
        return refine(run, roles.roles(), emit=roles.events.append, cancelled=lambda: False, **options)


def prompts_of(path: Path) -> list[str]:
    return [video.prompt for video in read_run(path).videos]


def test_each_rewritten_prompt_is_reviewed_once(tmp_path: Path) -> None:
    proposals: list[Proposal] = []

    def review(proposal: Proposal) -> Decision:
        proposals.append(proposal)
        return Decision(OWN if proposal.round == 1 else proposal.prompt)

    roles = FakeRoles()
    with open_run(tmp_path / "run", make_config(3)) as run:
        refine(run, roles.roles(), emit=roles.events.append, cancelled=lambda: False, review=review)
    assert [proposal.round for proposal in proposals] == [1, 2, 3]
    first = proposals[0]
    assert (first.original_prompt, first.prompt, first.total_rounds) == (PROMPT, PROMPT, 4)
    assert first.proposed_prompt not in (PROMPT, OWN)
    assert first.caption is not None
    assert first.mismatch is not None
    assert prompts_of(tmp_path / "run") == [PROMPT, OWN, OWN, OWN]
    reviews = [video.review for video in read_run(tmp_path / "run").videos]
    assert reviews == ["edited", "kept", "kept", None]
    told = [event.review for event in roles.events if isinstance(event, RoundDone)]
    assert told == ["edited", "kept", "kept", None]
    go_on(tmp_path / "run", review=review)
    assert len(proposals) == 3


@pytest.mark.slow
def test_a_decision_survives_a_kill_and_is_not_asked_for_again(tmp_path: Path) -> None:
    path, asked = tmp_path / "run", []

    def review(proposal: Proposal) -> Decision:
        asked.append(proposal.round)
        return Decision(OWN, is_final=proposal.round == 1)

    # Killed before each rename in turn, from the second on: the first makes the folder a run.
    for number in range(2, 40):
        death = Death(number)
        roles = FakeRoles()
        with pytest.MonkeyPatch.context() as patch, open_run(path / str(number), make_config(3)) as run:
            patch.setattr(Path, "replace", death.before(Path.replace))
            try:
                refine(run, roles.roles(), emit=lambda _: None, cancelled=lambda: False, review=review)
            except Killed:
                pass
            else:
                break
        go_on(path / str(number), review=review)
        result = load_run(path / str(number))
        assert [round_.prompt for round_ in result.rounds] == [PROMPT, OWN]
        assert result.stop_reason == "user"
        assert result.rounds[1].purpose == "final"
    assert number > 15
    assert asked.count(1) <= number + 2, "at most the kill before the decision is saved asks again"


def test_a_run_waits_after_each_rewrite_and_takes_a_prompt(tmp_path: Path) -> None:
    path, roles = tmp_path / "run", FakeRoles()
    with open_run(path, make_config(2)) as run, pytest.raises(RunPausedError) as waiting:
        refine(run, roles.roles(), emit=roles.events.append, cancelled=lambda: False, stop_after="rewrite")
    assert waiting.value.exit_code == 0
    assert waiting.value.next_prompt == read_run(path).videos[0].refined_prompt
    assert len(roles.generator.denoised) == 1
    assert read_run(path).record.status == "interrupted"
    with RunDir.resume(path) as run:
        set_next_prompt(run, OWN)
    with pytest.raises(RunPausedError):
        go_on(path, stop_after="rewrite")
    assert prompts_of(path) == [PROMPT, OWN]
    result = go_on(path, stop_after="rewrite")
    assert len(result.rounds) == 3, "after the last video there is no rewrite to wait for"
    with RunDir.resume(path) as run, pytest.raises(UsageError, match="it is complete"):
        set_next_prompt(run, OWN)


def test_a_prompt_for_a_video_that_has_begun_is_refused(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", make_config(2)) as run:
        with pytest.raises(UsageError, match="No rewritten prompt waits"):
            set_next_prompt(run, OWN)
        assert not list(run.path.glob("round*"))


def test_an_extended_run_keeps_its_videos_and_is_the_same_run(tmp_path: Path) -> None:
    path, config = tmp_path / "run", make_config(2)
    run_through(path, config)
    before = {file.name: file.read_bytes() for file in path.glob("*.mp4")}
    with RunDir.resume(path) as run:
        assert extend(run, 2) == 5
    assert not is_complete(path, config.refinement)
    roles = FakeRoles()
    result = go_on(path, roles)
    # Drafts like its last one, then a final.
    assert [(one.steps, one.purpose) for one in result.rounds] == [
        (3, "draft"),
        (4, "draft"),
        (6, "final"),
        (4, "draft"),
        (6, "final"),
    ]
    assert result.video == path / "output5.mp4"
    assert result.rounds[2].refined_prompt == result.rounds[3].prompt
    assert roles.generator.denoised == [
        (one.prompt, 0, one.steps) for one in (result.rounds[3], result.rounds[4])
    ]
    assert {name: (path / name).read_bytes() for name in before} == before
    # The command that began it finds it complete, and does not plan it back.
    again = FakeRoles()
    assert run_through(path, config, again).video == result.video
    assert not again.worked()


def test_rounds_that_are_added_end_no_sooner_for_what_had_ended_the_run(tmp_path: Path) -> None:
    path = tmp_path / "run"
    config = make_config(4, early_stop=True, stop_score=0.0)
    assert len(run_through(path, config).rounds) == 2
    with RunDir.resume(path) as run:
        extend(run, 1)
    result = go_on(path)
    assert [one.purpose for one in result.rounds] == ["draft", "final", "final"]
    assert result.stop_reason is None


def test_a_search_is_extended_with_its_candidates(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, searching(1, candidates=2, finals=2, vary="seeds"))
    with RunDir.resume(path) as run:
        extend(run, 2)
    go_on(path)
    ids = [video.id.name for video in read_run(path).videos]
    assert ids == [f"round{number}{letter}" for number in (1, 2, 3, 4) for letter in ("", ".b")]


def test_only_a_complete_run_is_extended_and_to_a_number_only_once(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with open_run(path, make_config(1)) as run:
        with pytest.raises(RunDirError, match="is not complete: its status is running"):
            extend(run, 1)
        refine(run, FakeRoles().roles(), emit=lambda _: None, cancelled=lambda: False)
        for wrong in (0, 10_000):
            with pytest.raises(UsageError, match="further rounds: a run has from 1 to"):
                extend(run, wrong)
        with pytest.raises(UsageError, match="has 1 refinement already"):
            extend_to(run, 0)
        assert extend_to(run, 1) == 2
        assert run.record.status == "complete"
        for _ in range(2):  # the second call is that of a script that was stopped
            assert extend_to(run, 3) == 4
            assert len(run.record.plan) == 4
        assert extend(run, 2) == 4, "the same two rounds, which are not done yet"
