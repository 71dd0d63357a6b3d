"""Candidates of a round: several videos, of which the best goes on; and several finals."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from phyt2v_cli.config.schema import Config, SearchConfig
from phyt2v_cli.errors import ReplyError, RunDirError, RunInterruptedError
from phyt2v_cli.events import CandidateDone, Notice, RoundDone, RoundStarted, StageStarted, StepDone
from phyt2v_cli.roles import Scores
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.identity import candidate_seed, run_key
from phyt2v_cli.runs.opening import find_run
from phyt2v_cli.runs.outcome.candidates import are_comparable, best_of, chosen_rounds
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.runs.records import ScorerRecord, VideoRecord
from phyt2v_cli.testing.fakes import FakeChat, FakeRoles, FakeScorer
from phyt2v_cli.video_id import RoundId
from tests.fake_runs import PROMPT, make_config, run_through

SEED_B, SEED_C = candidate_seed(0, "b"), candidate_seed(0, "c")


def searching(rounds: int = 2, *, refinement: Mapping[str, object] | None = None, **search: object) -> Config:
    config = make_config(rounds, **(refinement or {}))
    return config.model_copy(update={"search": SearchConfig.model_validate(search)})


def roles_with(**scores: float) -> FakeRoles:
    """Return roles whose scorer gives these videos their score, by the end of their name, and others 0.5."""
    by_video = {f"output{name}.mp4".replace("_", "."): Scores(each, each) for name, each in scores.items()}
    return FakeRoles(scorer=FakeScorer(by_video=by_video))


def records_of(path: Path) -> dict[str, VideoRecord]:
    return {video.id.name: video for video in read_run(path).videos}


@pytest.mark.parametrize("vary", ["seeds", "rewrites", "both"])
def test_candidates_differ_in_what_they_should(vary: str, tmp_path: Path) -> None:
    roles = FakeRoles()
    run_through(tmp_path / "run", searching(candidates=3, vary=vary), roles)
    first, second, last = (
        roles.generator.denoised[:3],
        roles.generator.denoised[3:6],
        roles.generator.denoised[6:],
    )
    assert first[0] == (PROMPT, 0, 3)
    assert len(last) == 1, "one final"
    for of_round in (first, second):
        assert len({steps for _, _, steps in of_round}) == 1
        assert [seed for _, seed, _ in of_round] == ([0, 0, 0] if vary == "rewrites" else [0, SEED_B, SEED_C])
        assert len({prompt for prompt, _, _ in of_round}) == (1 if vary == "seeds" else 3)


def test_another_rewrite_is_asked_for_by_what_was_seen_and_by_the_others(tmp_path: Path) -> None:
    roles = FakeRoles()
    run_through(tmp_path / "run", searching(1, candidates=3), roles)
    blind, blind_again = roles.llm.requests[1:3]
    assert "other_prompts" not in blind.data
    assert "No video has been made yet" in blind.messages[1].content
    assert blind_again.data["other_prompts"] == records_of(tmp_path / "run")["round1.b"].prompt
    assert "clearly different way" in blind_again.messages[1].content
    two = FakeRoles()
    run_through(tmp_path / "two", searching(2, candidates=2), two)
    seen = two.llm.requests[-3]
    chosen = records_of(tmp_path / "two")["round1"]
    assert chosen.mismatch is not None
    assert (seen.task, seen.data["mismatch"], seen.data["caption"]) == (
        "refinement",
        chosen.mismatch.text,
        chosen.caption,
    )
    assert seen.data["other_prompts"] == chosen.refined_prompt


def test_the_best_goes_on_with_its_prompt_and_its_seed(tmp_path: Path) -> None:
    path, roles = tmp_path / "run", roles_with(**{"1_c": 0.9, "2_b": 0.8})
    result = run_through(path, searching(candidates=3, vary="both"), roles)
    records = records_of(path)
    assert [name for name, record in records.items() if record.is_chosen] == ["round1.c", "round2.b"]
    assert [video.id.name for video in result.rounds] == ["round1.c", "round2.b", "round3"]
    assert {video.id.name for video in result.candidates} == {"round1", "round1.b", "round2", "round2.c"}
    second = records["round2"]
    assert (second.seed, second.prompt) == (SEED_C, records["round1.c"].refined_prompt)
    assert [records[name].seed for name in ("round2", "round2.b", "round2.c")] == [SEED_C, 0, SEED_B]
    assert (records["round3"].seed, records["round3"].prompt) == (0, records["round2.b"].refined_prompt)
    # Only what goes on is captioned, compared and rewritten.
    captioned = [name for name, record in records.items() if record.caption is not None]
    assert captioned == ["round1.c", "round2.b", "round3"]
    assert [name for name, record in records.items() if record.mismatch is not None] == captioned[:2]
    done = [event for event in roles.events if isinstance(event, RoundDone)]
    assert [event.video.name for event in done] == ["round1.c", "round2.b", "round3"]
    assert [event.video.name for event in roles.events if isinstance(event, CandidateDone)] == [
        f"round{number}{candidate}" for number in (1, 2) for candidate in ("", ".b", ".c")
    ]


def record(name: str, sa: float | None, pc: float | None) -> VideoRecord:
    return VideoRecord.model_validate(
        {
            "id": f"round1{name}",
            "video": f"output1{name}.mp4",
            "prompt": PROMPT,
            "steps": 5,
            "purpose": "draft",
            "seed": 1,
            "run_key": "",
            "scores": {"semantic_adherence": sa, "physical_commonsense": pc},
        }
    )


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([(0.5, 0.5), (0.6, 0.5)], ".b"),
        ([(0.5, 0.5), (0.5, 0.5)], ""),
        ([(0.1, 0.2), (0.2, 0.1 + 1e-9)], ""),
        ([(None, 1.0), (0.0, 0.0)], ".b"),
        ([(0.0, 0.0), (None, 1.0)], ""),
        ([(None, None), (None, None)], ""),
        ([(None, None), (0.1, None)], ".b"),
        ([(None, 0.2), (None, 0.3)], ".b"),
    ],
    ids=["better", "equal", "rounding", "first abstained", "second abstained", "all", "one", "half a judge"],
)
def test_the_choice(scores: list[tuple[float | None, float | None]], best: str) -> None:
    candidates = [record(name, *pair) for name, pair in zip(("", ".b"), scores, strict=True)]
    assert best_of(candidates).id.name == f"round1{best}"


def judged(name: str, **scores: tuple[float | None, float | None]) -> VideoRecord:
    video = record(name, *next(iter(scores.values())))
    video.scorers = {
        judge: ScorerRecord(semantic_adherence=sa, physical_commonsense=pc)
        for judge, (sa, pc) in scores.items()
    }
    return video


def test_the_mean_of_ranks_outvotes_the_first_scorer() -> None:
    first = judged("", one=(0.9, 0.9), two=(0.1, 0.1), three=(0.1, 0.1))
    second = judged(".b", one=(0.8, 0.9), two=(0.2, 0.1), three=(0.9, 0.1))
    third = judged(".c", one=(0.1, 0.1), two=(0.15, 0.1), three=(0.2, 0.1))
    assert best_of([first, second, third]) is first
    assert best_of([first, second, third], "mean-rank") is second


def test_a_scorer_that_abstains_ranks_its_video_last_and_ties_share_ranks() -> None:
    first = judged("", one=(0.5, 0.5), two=(None, None))
    second = judged(".b", one=(0.5, 0.5), two=(0.0, 0.0))
    assert best_of([first, second], "mean-rank") is second
    assert best_of([first, second]) is first
    equal = judged(".b", one=(0.4, 0.5), two=(0.9, 0.9)), judged(".c", one=(0.5, 0.4), two=(0.9, 0.9))
    assert best_of(equal, "mean-rank") is equal[0]


@pytest.mark.parametrize(
    ("one", "other", "comparable"),
    [
        ((0.5, 0.5), (0.1, 0.2), True),
        ((None, 0.5), (None, 0.2), True),
        ((None, 0.5), (0.2, 0.2), False),
        ((None, 0.5), (0.2, None), False),
        ((None, None), (None, None), False),
    ],
)
def test_finals_are_compared_by_scores_that_all_have(
    one: tuple[float | None, float | None], other: tuple[float | None, float | None], comparable: bool
) -> None:
    finals = [judged("", judge=one), judged(".b", judge=other)]
    assert are_comparable(finals) == comparable
    assert are_comparable(finals, "mean-rank") == comparable


def test_the_way_of_deciding_is_the_configs(tmp_path: Path) -> None:
    first = FakeScorer("first", by_video={"output1.b.mp4": Scores(0.1, 0.1)})
    others = [FakeScorer(name, by_video={"output1.b.mp4": Scores(0.9, 0.9)}) for name in ("second", "third")]
    config = searching(1, candidates=2, vary="seeds")
    outvoted = config.model_copy(update={"scorer": config.scorer.model_copy(update={"decide": "mean-rank"})})
    for name, one, chosen in (("first", config, "round1"), ("mean", outvoted, "round1.b")):
        roles = FakeRoles(scorer=first, other_scorers=others)
        result = run_through(tmp_path / name, one, roles)
        assert result.rounds[0].id.name == chosen


def test_the_chosen_video_of_each_round() -> None:
    first, second = record("", 0.5, 0.5), record(".b", 0.5, 0.5)
    assert chosen_rounds([first, second]) == [first], "nothing is chosen yet"
    second.is_chosen = True
    third = record(".c", 0.5, 0.5)
    third.is_chosen = True
    assert chosen_rounds([first, second, third]) == [second], "as the loop takes it"


def test_finals_are_seeds_of_the_last_prompt_and_the_best_is_the_result(tmp_path: Path) -> None:
    path, roles = tmp_path / "run", roles_with(**{"1": 1.0, "2_b": 0.8, "2_c": 0.7})
    result = run_through(path, searching(1, finals=3), roles)
    finals = roles.generator.denoised[1:]
    assert [seed for _, seed, _ in finals] == [0, SEED_B, SEED_C]
    assert {(prompt, steps) for prompt, _, steps in finals} == {(result.prompt, 6)}
    assert (result.video.name, result.selected_by) == ("output2.b.mp4", "last")
    assert result.rounds[-1].id == RoundId(2, "b"), "a draft does not compete with finals"


def test_a_run_that_stops_early_ends_with_its_finals(tmp_path: Path) -> None:
    nothing = json.dumps({"found": False, "text": ""})
    roles = FakeRoles(llm=FakeChat({"mismatch": [nothing]}))
    config = searching(4, refinement={"early_stop": True}, candidates=2, vary="seeds", finals=2)
    result = run_through(tmp_path / "run", config, roles)
    assert [steps for _, _, steps in roles.generator.denoised] == [3, 3, 6, 6]
    assert result.stop_reason == "no_mismatch"
    assert find_run(tmp_path / "run", PROMPT, config).is_complete


def test_a_candidate_without_another_prompt_is_left_out_and_said(tmp_path: Path) -> None:
    roles = FakeRoles(llm=FakeChat({"refinement": ["no", "never"]}))
    config = searching(1, candidates=3)
    result = run_through(tmp_path / "run", config, roles)
    assert set(records_of(tmp_path / "run")) == {"round1", "round1.c", "round2"}
    assert any(
        isinstance(event, Notice) and "round 1, candidate b is left out" in event.text
        for event in roles.events
    )
    assert len(result.rounds) == 2
    assert find_run(tmp_path / "run", PROMPT, config).is_complete
    again = FakeRoles()
    assert run_through(tmp_path / "run", config, again) == result
    assert not again.worked(), "it is not asked for again"


@pytest.mark.parametrize("at", ["round1.b", "round2", "round2.c", "round3"])
def test_a_stopped_search_goes_on_and_ends_the_same(at: str, tmp_path: Path) -> None:
    def cast() -> FakeRoles:
        return roles_with(**{"1_b": 0.9, "2_c": 0.9})

    config, whole, stopped = searching(2, candidates=3, vary="both"), cast(), cast()
    run_through(tmp_path / "whole", config, whole)

    def cancelled() -> bool:
        return any(isinstance(event, StepDone) and event.video.name == at for event in stopped.events)

    with pytest.raises(RunInterruptedError):
        run_through(tmp_path / "run", config, stopped, cancelled=cancelled)
    again = cast()
    run_through(tmp_path / "run", config, again)
    denoised = stopped.generator.denoised + again.generator.denoised
    assert len(denoised) == len(whole.generator.denoised) + 1, "what was being denoised is denoised anew"
    for path in sorted((tmp_path / "whole").glob("output*.mp4")):
        assert (tmp_path / "run" / path.name).read_bytes() == path.read_bytes()
    third = FakeRoles()
    run_through(tmp_path / "run", config, third)
    assert not third.worked()


def test_a_lost_candidate_is_rendered_again_and_the_choice_stays(tmp_path: Path) -> None:
    path, config = tmp_path / "run", searching(1, candidates=2, vary="seeds")
    run_through(path, config, roles_with(**{"1_b": 0.9}))
    (path / "output1.b.mp4").unlink()
    assert not find_run(path, PROMPT, config).is_complete
    again = FakeRoles()
    result = run_through(path, config, again)
    assert again.generator.denoised == [(PROMPT, SEED_B, 3)]
    assert [video.id.name for video in result.rounds] == ["round1.b", "round2"]


def test_seeds_of_the_best_of_n_control_are_paid_by_all_candidates(tmp_path: Path) -> None:
    config = searching(1, refinement={"controls": ["best-of-n"]}, candidates=3, vary="seeds", finals=2)
    roles = FakeRoles()
    result = run_through(tmp_path / "run", config, roles)
    # 3 drafts of 3 steps and 2 finals of 6 steps: 21 steps pay for three seeds at 6.
    seeds = [seed for prompt, seed, steps in roles.generator.denoised[5:] if (prompt, steps) == (PROMPT, 6)]
    assert seeds == [0, SEED_B, SEED_C]
    assert find_run(tmp_path / "run", PROMPT, config).is_complete
    assert set(result.controls) == {"original", "best-of-n"}


def test_an_exception_of_the_llm_itself_is_no_left_out_candidate(tmp_path: Path) -> None:
    roles = FakeRoles(llm=FakeChat({"refinement": [ReplyError("refused"), ConnectionError("gone")]}))
    with pytest.raises(ConnectionError):
        run_through(tmp_path / "run", searching(1, candidates=3), roles)


def test_only_search_makes_another_run() -> None:
    assert run_key(PROMPT, searching()) == run_key(PROMPT, make_config(2))
    assert run_key(PROMPT, searching(candidates=2)) != run_key(PROMPT, make_config(2))


def test_events_name_the_candidate(tmp_path: Path) -> None:
    roles = FakeRoles()
    run_through(tmp_path / "run", searching(1, candidates=2, vary="seeds"), roles)
    started = [event for event in roles.events if isinstance(event, RoundStarted)]
    assert [(event.video.name, event.steps, event.total_rounds) for event in started] == [
        ("round1", 3, 2),
        ("round1.b", 3, 2),
        ("round2", 6, 2),
    ]
    stages = [event.video.name for event in roles.events if isinstance(event, StageStarted)]
    assert stages.index("round1.b") > stages.index("round1")


def test_how_scorers_decide_is_part_of_a_run_only_if_candidates_depend_on_it() -> None:
    def key(config: Config, decide: str) -> str:
        scorer = config.scorer.model_copy(update={"decide": decide})
        return run_key(PROMPT, config.model_copy(update={"scorer": scorer}))

    assert key(make_config(2), "mean-rank") == key(make_config(2), "first")
    assert key(searching(candidates=2), "mean-rank") != key(searching(candidates=2), "first")


def test_a_plan_with_other_candidates_than_the_config_is_damaged(tmp_path: Path) -> None:
    run_through(tmp_path / "run", searching(1, candidates=2, vary="seeds"))
    path = tmp_path / "run" / "run.json"
    tree = json.loads(path.read_text())
    tree["plan"][0]["candidates"] = 26
    path.write_text(json.dumps(tree))
    with pytest.raises(RunDirError, match="other numbers of candidates"):
        RunDir.resume(tmp_path / "run")
