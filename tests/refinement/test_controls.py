"""Controls at equal compute: the original prompt, a blind rewrite, and the best of several seeds."""

import json
from pathlib import Path

import pytest

from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import RunInterruptedError
from phyt2v_cli.events import ControlStarted, StepDone
from phyt2v_cli.roles import Scores
from phyt2v_cli.runs.identity import candidate_seed
from phyt2v_cli.runs.opening import find_run
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.testing.fakes import FakeChat, FakeRoles, FakeScorer
from phyt2v_cli.video_id import BLIND, CONTROL, ControlId
from tests.fake_runs import PROMPT, made_from, make_config, run_through

ALL = ("original", "blind", "best-of-n")
# 3 + 4 + 6 = 13 steps pay for two seeds at 6.
CONFIG = make_config(2, controls=ALL)
SECOND_SEED = ControlId(candidate="b")


def blind_prompt(roles: FakeRoles) -> str:
    return next(prompt for prompt, seed, _ in reversed(roles.generator.denoised) if seed == 0)


def test_each_control_is_rendered_judged_and_recorded(tmp_path: Path) -> None:
    roles = FakeRoles()
    result = run_through(tmp_path / "run", CONFIG, roles)
    first, second, blind = roles.generator.denoised[3:]
    assert first == (PROMPT, 0, 6)
    assert second == (PROMPT, candidate_seed(0, "b"), 6)
    assert blind[1:] == (0, 6)
    assert blind[0] != PROMPT
    assert [event.video for event in roles.events if isinstance(event, ControlStarted)] == [
        CONTROL,
        SECOND_SEED,
        BLIND,
    ]
    assert set(result.controls) == set(ALL)
    for id, prompt, seed in ((CONTROL, PROMPT, 0), (SECOND_SEED, PROMPT, second[1]), (BLIND, blind[0], 0)):
        video = next(video for video in read_run(tmp_path / "run").videos if video.id == id)
        assert (video.prompt, video.seed, video.steps, video.purpose) == (prompt, seed, 6, "final")
        assert video.caption
        assert video.score_pair() == (0.5, 0.5)
        metadata = made_from(tmp_path / "run" / id.video_name)
        assert metadata is not None
        assert (metadata.prompt, metadata.seed, metadata.round) == (prompt, seed, None)
    # Whatever made a video, it is judged by what was asked for.
    assert {asked for _, asked in roles.scorer.calls} == {PROMPT}
    assert not any((tmp_path / "run").glob("latents*"))
    again = FakeRoles()
    assert run_through(tmp_path / "run", CONFIG, again) == result
    assert not again.worked()


def test_the_blind_rewrite_comes_from_the_analysis_alone(tmp_path: Path) -> None:
    roles = FakeRoles()
    run_through(tmp_path / "run", make_config(1, controls=["blind"]), roles)
    request = roles.llm.requests[-1]
    assert request.task == "refinement"
    assert (request.data["caption"], request.data["mismatch"]) == ("", "")
    assert "feedback" not in request.data
    assert request.data["prompt"] == PROMPT
    assert "No video has been made yet" in request.messages[1].content
    seen = next(asked for asked in roles.llm.requests if asked.task == "refinement")
    assert "No video has been made yet" not in seen.messages[1].content


@pytest.mark.parametrize(
    ("rounds", "seeds"),
    [(0, 1), (1, 1), (2, 2), (4, 3), pytest.param(100, 26, marks=pytest.mark.slow)],
    ids=lambda value: str(value),
)
def test_the_steps_of_the_rounds_pay_for_the_seeds(rounds: int, seeds: int, tmp_path: Path) -> None:
    roles = FakeRoles()
    config = make_config(rounds, controls=["best-of-n"])
    result = run_through(tmp_path / "run", config, roles)
    originals = {denoised for denoised in roles.generator.denoised if denoised[::2] == (PROMPT, 6)}
    paid = sum(video.steps for video in result.rounds) // 6
    assert len(originals) == seeds == min(max(paid, 1), 26)
    assert set(result.controls) == {"original", "best-of-n"}


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ({"control.mp4": (0.9, 0.2), "control.b.mp4": (0.6, 0.6)}, "control.b"),
        ({"control.mp4": (0.6, 0.6), "control.b.mp4": (0.9, 0.3)}, "control"),
        ({"control.mp4": (None, 1.0), "control.b.mp4": (0.0, 0.0)}, "control.b"),
        ({"control.mp4": (0.6, 0.6), "control.b.mp4": (0.6, 0.6)}, "control"),
    ],
    ids=["better", "worse", "abstained", "tie"],
)
def test_the_best_seed_counts(
    scores: dict[str, tuple[float | None, float]], best: str, tmp_path: Path
) -> None:
    roles = FakeRoles(scorer=FakeScorer(by_video={name: Scores(*pair) for name, pair in scores.items()}))
    result = run_through(tmp_path / "run", CONFIG, roles)
    assert result.controls["best-of-n"].id.name == best
    assert result.controls["original"].id == CONTROL


@pytest.mark.parametrize("winner", ["output3.mp4", "control.b.mp4", "blind.mp4"])
def test_the_best_of_all_finals_is_selected(winner: str, tmp_path: Path) -> None:
    roles = FakeRoles(scorer=FakeScorer(by_video={winner: Scores(0.9, 0.9), "output1.mp4": Scores(1.0, 1.0)}))
    result = run_through(tmp_path / "run", make_config(2, controls=ALL, select="best"), roles)
    assert (result.video.name, result.selected_by) == (winner, "best")


def test_an_unusable_blind_rewrite_is_the_original_and_said(tmp_path: Path) -> None:
    unchanged = json.dumps({"step_back": "s", "prompt": PROMPT})
    roles = FakeRoles(llm=FakeChat({"refinement": [unchanged, unchanged]}))
    config = make_config(0, controls=["blind"])
    result = run_through(tmp_path / "run", config, roles)
    assert result.controls["blind"].prompt == PROMPT
    assert "refinement_unusable" in result.controls["blind"].flags


def test_a_control_may_be_wanted_later_and_no_longer(tmp_path: Path) -> None:
    path, plain = tmp_path / "run", make_config(2)
    run_through(path, plain)
    assert find_run(path, PROMPT, plain).is_complete
    assert not find_run(path, PROMPT, CONFIG).is_complete
    later = FakeRoles()
    result = run_through(path, CONFIG, later)
    assert len(later.generator.denoised) == 3
    assert find_run(path, PROMPT, CONFIG).is_complete
    assert find_run(path, PROMPT, plain).is_complete
    run_through(path, plain)
    assert set(result.controls) == set(ALL)


def test_early_stop_pays_for_fewer_seeds(tmp_path: Path) -> None:
    config = make_config(4, controls=["best-of-n"], early_stop=True)
    nothing_found = json.dumps({"found": False, "text": ""})
    roles = FakeRoles(llm=FakeChat({"mismatch": [nothing_found]}))
    result = run_through(tmp_path / "run", config, roles)
    # 3 + 6 steps instead of 3 + 3 + 4 + 5 + 6
    assert len(result.rounds) == 2
    assert len(roles.generator.denoised) == 2, "one seed, which is the video of round 2"
    assert find_run(tmp_path / "run", PROMPT, config).is_complete


@pytest.mark.parametrize("video", [CONTROL, SECOND_SEED, BLIND], ids=lambda id: id.name)
def test_a_stopped_control_goes_on(video: ControlId, tmp_path: Path) -> None:
    stopped, whole = FakeRoles(), tmp_path / "whole"
    run_through(whole, CONFIG)

    def cancelled() -> bool:
        return any(isinstance(event, StepDone) and event.video == video for event in stopped.events)

    with pytest.raises(RunInterruptedError):
        run_through(tmp_path / "run", CONFIG, stopped, cancelled=cancelled)
    run_through(tmp_path / "run", CONFIG)
    for id in (CONTROL, SECOND_SEED, BLIND):
        assert (tmp_path / "run" / id.video_name).read_bytes() == (whole / id.video_name).read_bytes()


def test_a_wrong_control_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'original', 'blind' or 'best-of-n'"):
        Config.model_validate({"refinement": {"controls": ["orignal"]}})
