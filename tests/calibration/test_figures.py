"""Figures of a calibration, beside values worked out by hand."""

import math

import pytest

from phyt2v_cli.calibration.figures import (
    Judged,
    Setting,
    draft_of,
    judge_of,
    judge_pair_of,
    recommend,
    spread_of,
)
from phyt2v_cli.calibration.record import DraftRecord, SpreadRecord
from phyt2v_cli.roles import Scores
from phyt2v_cli.schedule import look_steps

FINAL, DRAFT = Setting(50, is_final=True), Setting(20)


def judged(
    rewrite: int,
    pc: float | None,
    setting: Setting = FINAL,
    *,
    request: str = "a",
    seed: int = 0,
    sa: float = 1.0,
    seconds: float | None = None,
) -> Judged:
    scores = {"judge": Scores(sa, pc)}
    return Judged(request, rewrite, seed, setting, scores, seconds=seconds)


def draft(videos: list[Judged], noise_floor: float | None = 0.0) -> DraftRecord:
    return draft_of(videos, "judge", DRAFT, noise_floor=noise_floor, stop_score=0.9)


def test_the_spread_is_pooled_over_groups() -> None:
    # Deviations from the mean: 0.1 twice, and 0.2, 0, 0.2; 1 + 2 degrees of freedom.
    values = [(0, 0.2), (0, 0.4), (1, 0.1), (1, 0.3), (1, 0.5), (2, 0.9)]
    videos = [judged(rewrite, pc, seed=seed) for seed, (rewrite, pc) in enumerate(values)]
    spread = spread_of(videos, "judge")
    assert (spread.num_groups, spread.num_videos) == (2, 5)
    assert spread.physical_commonsense == spread.total == round(math.sqrt(0.1 / 3), 4)
    assert spread.noise_floor == round(math.sqrt(2) * round(math.sqrt(0.1 / 3), 4), 4)
    assert spread.semantic_adherence == 0


def test_without_two_seeds_there_is_no_spread() -> None:
    alone = [judged(0, 0.2), judged(0, None, seed=1), judged(0, 0.3, DRAFT, seed=2)]
    spread = spread_of(alone, "judge")
    assert (spread.num_groups, spread.noise_floor) == (0, None)
    assert spread_of([*alone, judged(0, 0.4, seed=3)], "other").num_groups == 0


def test_ranks_over_prompts_and_within_one_request() -> None:
    # Over prompts the drafts follow the finals nearly; within each request they have it the wrong way round.
    finals = {("a", 0): 0.1, ("a", 1): 0.2, ("a", 2): 0.3, ("b", 0): 0.7, ("b", 1): 0.8, ("b", 2): 0.9}
    drafts = {("a", 0): 0.3, ("a", 1): 0.2, ("a", 2): 0.1, ("b", 0): 0.9, ("b", 1): 0.8, ("b", 2): 0.7}
    videos = [judged(rewrite, pc, request=request) for (request, rewrite), pc in finals.items()]
    videos += [judged(rewrite, pc, DRAFT, request=request) for (request, rewrite), pc in drafts.items()]
    found = draft(videos)
    # Spearman: 1 - 6 * (4 + 0 + 4 + 4 + 0 + 4) / (6 * 35)
    assert found.rank_over_prompts == round(1 - 96 / 210, 4)
    assert (found.rank_within_requests, found.num_requests) == (-1, 2)
    assert (found.order_kept, found.num_ordered) == (0, 6)


def test_ties_have_mean_ranks_and_half_a_credit() -> None:
    videos = [judged(n, pc) for n, pc in enumerate([0.1, 0.2, 0.3])]
    videos += [judged(n, pc, DRAFT) for n, pc in enumerate([0.5, 0.5, 0.6])]
    found = draft(videos)
    # Ranks 1, 2, 3 and 1.5, 1.5, 3: Pearson's correlation of them is 1.5 / sqrt(2 * 1.5).
    assert found.rank_within_requests == round(1.5 / math.sqrt(3), 4)
    assert (found.order_kept, found.num_ordered) == (round(2.5 / 3, 4), 3)


def test_finals_that_differ_by_less_than_the_noise_are_no_order() -> None:
    videos = [judged(n, pc) for n, pc in enumerate([0.1, 0.2, 0.6])]
    videos += [judged(n, pc, DRAFT) for n, pc in enumerate([0.3, 0.1, 0.6])]
    assert draft(videos, noise_floor=0.25).num_ordered == 2
    assert draft(videos, noise_floor=0.25).order_kept == 1
    assert draft(videos, noise_floor=None).num_ordered == 3


def test_a_draft_is_compared_with_the_final_of_its_seed_only() -> None:
    videos = [judged(0, 0.4, seed=1), judged(0, 0.5, DRAFT)]
    assert draft(videos).num_pairs == 0
    assert draft([*videos, judged(0, 0.4)]).num_pairs == 1


def test_agreement_and_the_drafts_that_reach_the_stop_score() -> None:
    pairs = [(0.95, 0.95), (0.95, 0.2), (0.1, 0.95), (0.1, 0.1)]  # draft, final
    videos = [judged(n, final) for n, (_, final) in enumerate(pairs)]
    videos += [judged(n, of_draft, DRAFT) for n, (of_draft, _) in enumerate(pairs)]
    found = draft(videos)
    assert (found.agreement, found.num_reached, found.num_confirmed) == (0.5, 2, 1)


def test_what_a_judge_abstains_from_is_counted_and_left_out() -> None:
    videos = [judged(0, 0.5), judged(1, None), judged(2, 0.6), judged(0, 0.5, DRAFT), judged(1, 0.5, DRAFT)]
    found = draft([*videos, judged(2, None, DRAFT)])
    assert (found.num_pairs, found.num_left_out) == (1, 2)
    assert judge_of(videos, "judge").num_abstained == 1
    assert judge_of(videos, "other").num_videos == 0


def test_the_cost_is_the_median_share_of_the_final() -> None:
    videos = [judged(n, 0.5, seconds=seconds) for n, seconds in enumerate([10.0, 10.0, 10.0, None])]
    videos += [judged(n, 0.5, DRAFT, seconds=seconds) for n, seconds in enumerate([4.0, 30.0, 5.0, 1.0])]
    found = draft(videos)
    assert (found.cost, found.seconds) == (0.5, 4.5)


def test_a_judge_that_says_something_else_the_second_time() -> None:
    videos = [
        Judged("a", n, 0, FINAL, {"judge": Scores(1.0, before)}, {"judge": Scores(1.0, again)})
        for n, (before, again) in enumerate([(0.5, 0.5), (0.5, 0.7), (0.5, None)])
    ]
    found = judge_of(videos, "judge")
    assert found.num_retests == 2
    assert found.mean_retest_difference == pytest.approx(0.1)
    assert found.largest_retest_difference == pytest.approx(0.2)


def test_two_judges() -> None:
    values = [(0.1, 0.2), (0.5, 0.4), (0.95, 0.3), (0.99, 0.97)]
    videos = [
        Judged("a", n, 0, FINAL, {"one": Scores(1.0, a), "other": Scores(1.0, b)})
        for n, (a, b) in enumerate(values)
    ]
    videos.append(Judged("a", 9, 0, FINAL, {"one": Scores(1.0, 0.0), "other": Scores(None, 0.99)}))
    found = judge_pair_of(videos, "one", "other", stop_score=0.9)
    assert (found.num_videos, found.num_compared, found.agreement) == (5, 4, 0.75)
    # Ranks of PC: 2 3 4 5 1 and 1 3 2 4 5: 1 - 6 * (1 + 0 + 4 + 1 + 16) / (5 * 24)
    assert found.rank_physical_commonsense == round(1 - 132 / 120, 4)
    assert found.rank_semantic_adherence is None, "one of them gives the same score to all"


def measured(steps: int, order_kept: float, num_ordered: int, **other: object) -> DraftRecord:
    return DraftRecord.model_validate(
        {
            "name": f"{steps} steps",
            "steps": steps,
            "num_pairs": 20,
            "num_left_out": 0,
            "num_requests": 5,
            "num_reached": 0,
            "num_confirmed": 0,
            "order_kept": order_kept,
            "num_ordered": num_ordered,
            "keeps_order": None if num_ordered < 10 else order_kept >= 0.8,
            "cost": steps / 50,
            **other,
        }
    )


def spread(noise_floor: float | None, num_groups: int = 6, num_videos: int = 12) -> SpreadRecord:
    return SpreadRecord(num_groups=num_groups, num_videos=num_videos, noise_floor=noise_floor)


def test_the_fewest_steps_and_the_cheapest_cache_that_keep_the_order_are_recommended() -> None:
    drafts = [
        measured(10, 0.7, 20),
        measured(20, 0.8, 20),
        measured(35, 1.0, 20),
        measured(10, 0.9, 20, cache="pab", cost=0.18),
        measured(10, 0.9, 20, cache="taylor", cost=0.12),
        measured(10, 0.5, 20, cache="first-block", cost=0.1),
        measured(7, 0.9, 20, is_look=True),
        measured(5, 0.7, 20, is_look=True),
    ]
    found = recommend(spread(0.12), drafts, final_steps=50)
    assert (found.tie, found.min_steps, found.draft_cache) == (0.12, 20, "taylor")
    assert len(found.reasons) == 4
    assert found.look_at is not None
    assert look_steps(found.look_at, 50) == 7, "what floats make of 7 / 50 is no eighth step"


def test_a_cache_that_saves_nothing_is_not_recommended() -> None:
    drafts = [measured(10, 0.9, 20), measured(10, 1.0, 20, cache="pab", cost=0.195)]
    found = recommend(spread(0.12), drafts, final_steps=50)
    assert found.draft_cache is None
    assert "generator.draft_cache: none saves 5 % of the same steps without one" in found.reasons


def test_a_judge_that_tells_no_seeds_apart_has_no_noise_to_allow_for() -> None:
    found = recommend(spread(0.0), [measured(20, 1.0, 20)], final_steps=50)
    assert found.tie is None
    assert "search.tie: the judge gave equal scores to all seeds of each prompt" in found.reasons


@pytest.mark.parametrize(
    ("of_spread", "num_ordered"), [(spread(None, 0, 0), 9), (spread(0.3, 4, 8), 9)], ids=["none", "few"]
)
def test_nothing_is_recommended_from_too_little(of_spread: SpreadRecord, num_ordered: int) -> None:
    drafts = [measured(20, 1.0, num_ordered), measured(20, 1.0, num_ordered, cache="pab", cost=0.2)]
    found = recommend(of_spread, drafts, final_steps=50)
    assert (found.tie, found.min_steps, found.draft_cache) == (None, None, None)
    assert "9 pairs differ by more than the noise floor; 10 are needed" in " ".join(found.reasons)
