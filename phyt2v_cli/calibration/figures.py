"""Figures of a calibration: spread, rank correlation, agreement and recommendations. Pure arithmetic.

The rule for a draft setting: it *keeps the order* if at least `LEAST_KEPT` of at least `LEAST_ORDERED` pairs
of rewrites of one request, whose finals differ by more than the noise floor, are ordered by the drafts in the
same way. The noise floor is the standard deviation of the difference of two sums of SA and PC that differ in
their seed only.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean, median

from phyt2v_cli.calibration.record import (
    MAX_TIE,
    DraftRecord,
    JudgePairRecord,
    JudgeRecord,
    RecommendedRecord,
    SpreadRecord,
)
from phyt2v_cli.config.generator import DraftCache
from phyt2v_cli.config.schema import EQUAL
from phyt2v_cli.quantities import count
from phyt2v_cli.roles import Scores

LEAST_KEPT = 0.8
LEAST_ORDERED = 10
LEAST_SAVED = 0.05
"""Least share of the time of the same steps that a cache must save."""
LEAST_FREEDOM = 5
"""Degrees of freedom from which a spread is recommended: one for each seed beyond the first of a prompt."""
_LEAST_RANKED = 3
"""Fewest values with a rank correlation."""


@dataclass(frozen=True)
class Setting:
    """Setting that videos are rendered with."""

    steps: int
    cache: DraftCache | None = None
    is_final: bool = False
    is_look: bool = False
    """Whether the video is what the model predicts after these steps of a final."""

    @property
    def name(self) -> str:
        """Setting in words, as in ``20 steps, pab`` or ``look after 10 steps``."""
        return (
            ("look after " if self.is_look else "")
            + count(self.steps, "step")
            + (f", {self.cache}" if self.cache else "")
        )


@dataclass(frozen=True)
class Judged:
    """Judged video."""

    request: str
    """Name of the prompt that it is a video of."""
    rewrite: int
    """0: the prompt itself; rewrites from 1."""
    seed: int
    setting: Setting
    scores: Mapping[str, Scores]
    """By the name of the judge."""
    again: Mapping[str, Scores] = field(default_factory=dict)
    """Scores of a second judging of the same file."""
    seconds: float | None = None
    """Seconds of denoising; None if they are not known."""

    @property
    def _made_from(self) -> tuple[str, int, int]:
        return self.request, self.rewrite, self.seed


def total(scores: Scores | None) -> float | None:
    """Sum of SA and PC; None if one is missing."""
    if scores is None or scores.semantic_adherence is None or scores.physical_commonsense is None:
        return None
    return scores.semantic_adherence + scores.physical_commonsense


def spread_of(videos: Iterable[Judged], judge: str) -> SpreadRecord:
    """Spread over seeds: standard deviations, pooled over the prompts and rewrites with several seeds."""
    groups: dict[Hashable, list[Scores]] = defaultdict(list)
    for video in videos:
        scores = video.scores.get(judge)
        if video.setting.is_final and scores is not None and total(scores) is not None:
            groups[video.request, video.rewrite].append(scores)
    several = [group for group in groups.values() if len(group) > 1]
    of_total = _pooled_deviation([[total(one) or 0.0 for one in group] for group in several])
    return SpreadRecord(
        num_groups=len(several),
        num_videos=sum(map(len, several)),
        semantic_adherence=_pooled_deviation([[_sa(one) for one in group] for group in several]),
        physical_commonsense=_pooled_deviation([[_pc(one) for one in group] for group in several]),
        total=of_total,
        noise_floor=None if of_total is None else round(min(math.sqrt(2) * of_total, MAX_TIE), 4),
    )


def draft_of(
    videos: Iterable[Judged], judge: str, setting: Setting, *, noise_floor: float | None, stop_score: float
) -> DraftRecord:
    """What the drafts of a setting keep of their finals, each beside the final of its prompt and seed."""
    videos = list(videos)
    finals = {video._made_from: video for video in videos if video.setting.is_final}
    both = [
        (video, finals[video._made_from])
        for video in videos
        if video.setting == setting and video._made_from in finals
    ]
    pairs = [
        _Pair(draft.request, draft.scores[judge], final.scores[judge])
        for draft, final in both
        if total(draft.scores.get(judge)) is not None and total(final.scores.get(judge)) is not None
    ]
    by_request: dict[str, list[_Pair]] = defaultdict(list)
    for pair in pairs:
        by_request[pair.request].append(pair)
    ranks = [rank for group in by_request.values() if (rank := _rank_of(group)) is not None]
    credits = [
        credit
        for group in by_request.values()
        for credit in _credits(group, EQUAL if noise_floor is None else max(noise_floor, EQUAL))
    ]
    kept = fmean(credits) if credits else None
    reached = [pair for pair in pairs if _reaches(pair.draft, stop_score)]
    suspected = [pair for pair in pairs if not _reaches(pair.draft, stop_score)]
    same_side = [_reaches(pair.draft, stop_score) == _reaches(pair.final, stop_score) for pair in pairs]
    shares = [d.seconds / f.seconds for d, f in both if d.seconds is not None and f.seconds]
    seconds = [draft.seconds for draft, _ in both if draft.seconds is not None]
    return DraftRecord(
        name=setting.name,
        steps=setting.steps,
        cache=setting.cache,
        is_look=setting.is_look,
        num_pairs=len(pairs),
        num_left_out=len(both) - len(pairs),
        seconds=round(median(seconds), 3) if seconds else None,
        cost=round(median(shares), 4) if shares else None,
        rank_over_prompts=_rank_of(pairs),
        rank_within_requests=round(fmean(ranks), 4) if ranks else None,
        num_requests=len(ranks),
        order_kept=None if kept is None else round(kept, 4),
        num_ordered=len(credits),
        agreement=round(fmean(same_side), 4) if same_side else None,
        num_reached=len(reached),
        num_confirmed=sum(_reaches(pair.final, stop_score) for pair in reached),
        num_suspected=len(suspected),
        num_cleared=sum(_reaches(pair.final, stop_score) for pair in suspected),
        keeps_order=None if kept is None or len(credits) < LEAST_ORDERED else kept >= LEAST_KEPT,
    )


def judge_of(videos: Iterable[Judged], judge: str) -> JudgeRecord:
    """How often a judge abstains, and how far it is from itself when it judges a video again."""
    seen = [video for video in videos if judge in video.scores]
    differences = [
        abs(again - before)
        for video in seen
        if (before := total(video.scores[judge])) is not None
        and (again := total(video.again.get(judge))) is not None
    ]
    return JudgeRecord(
        name=judge,
        num_videos=len(seen),
        num_abstained=sum(total(video.scores[judge]) is None for video in seen),
        num_retests=len(differences),
        mean_retest_difference=round(fmean(differences), 4) if differences else None,
        largest_retest_difference=round(max(differences), 4) if differences else None,
    )


def judge_pair_of(videos: Iterable[Judged], first: str, second: str, *, stop_score: float) -> JudgePairRecord:
    """Agreement of two judges on the finals that both have judged."""
    both = [
        (video.scores[first], video.scores[second])
        for video in videos
        if video.setting.is_final and first in video.scores and second in video.scores
    ]
    whole = [pair for pair in both if None not in (total(pair[0]), total(pair[1]))]
    same_side = [_reaches(one, stop_score) == _reaches(other, stop_score) for one, other in whole]
    return JudgePairRecord(
        first=first,
        second=second,
        num_videos=len(both),
        rank_semantic_adherence=_rank_where(both, lambda scores: scores.semantic_adherence),
        rank_physical_commonsense=_rank_where(both, lambda scores: scores.physical_commonsense),
        agreement=round(fmean(same_side), 4) if same_side else None,
        num_compared=len(whole),
    )


def recommend(spread: SpreadRecord, drafts: Sequence[DraftRecord], *, final_steps: int) -> RecommendedRecord:
    """Settings that what was measured speaks for, with a reason for each, and for each that is missing."""
    looks = sorted((draft for draft in drafts if draft.is_look), key=lambda draft: draft.steps)
    drafts = [draft for draft in drafts if not draft.is_look]
    reasons = []
    freedom = spread.num_videos - spread.num_groups
    tie = None
    if spread.noise_floor is None or freedom < LEAST_FREEDOM:
        reasons.append(
            f"search.tie: {count(freedom, 'seed')} beyond the first of a prompt; {LEAST_FREEDOM} are needed"
        )
    elif not spread.noise_floor:
        reasons.append("search.tie: the judge gave equal scores to all seeds of each prompt")
    else:
        tie = max(min(spread.noise_floor, MAX_TIE - EQUAL), EQUAL)
        reasons.append(f"search.tie: two seeds of one prompt differ by {tie:.3g} (standard deviation)")
    plain = sorted((draft for draft in drafts if draft.cache is None), key=lambda draft: draft.steps)
    cached = sorted((draft for draft in drafts if draft.cache is not None), key=lambda draft: draft.cost or 0)
    costs = {draft.steps: draft.cost for draft in plain}
    steps = next((draft for draft in plain if draft.keeps_order), None)
    reasons.append(_reason("schedule.min_steps", steps, plain))
    cheaper = [one for one in cached if _saves(one.cost, costs.get(one.steps))]
    cache = next((draft for draft in cheaper if draft.keeps_order), None)
    if cached and not cheaper and any(draft.num_pairs for draft in cached):
        reasons.append("generator.draft_cache: none saves 5 % of the same steps without one")
    else:
        reasons.append(_reason("generator.draft_cache", cache, cheaper or cached))
    look = next((draft for draft in looks if draft.keeps_order), None)
    reasons.append(_reason("search.look_at", look, looks))
    return RecommendedRecord(
        tie=tie,
        look_at=None if look is None else look.steps / final_steps,
        min_steps=None if steps is None else steps.steps,
        draft_cache=None if cache is None else cache.cache,
        reasons=reasons,
    )


@dataclass(frozen=True)
class _Pair:
    request: str
    draft: Scores
    final: Scores


def _reason(key: str, found: DraftRecord | None, drafts: Sequence[DraftRecord]) -> str:
    if found is not None and found.order_kept is not None:
        ordered = count(found.num_ordered, "pair")
        return f"{key}: {found.name} keeps the order of {found.order_kept:.0%} of {ordered} of rewrites"
    known = [draft for draft in drafts if draft.keeps_order is not None]
    if known:
        return f"{key}: none of {', '.join(draft.name for draft in known)} keeps the order"
    most = max((draft.num_ordered for draft in drafts), default=None)
    if most is None:
        return f"{key}: none was measured"
    pairs = count(most, "pair differs", "pairs differ")
    return f"{key}: {pairs} by more than the noise floor; {LEAST_ORDERED} are needed"


def _saves(cost: float | None, other: float | None) -> bool:
    return cost is not None and other is not None and cost <= (1 - LEAST_SAVED) * other


def _credits(pairs: Sequence[_Pair], noise_floor: float) -> Iterable[float]:
    """Credit for each two rewrites whose finals differ: 1 if the drafts differ alike, 0.5 if they tie."""
    for one, other in combinations(pairs, 2):
        of_finals = (total(one.final) or 0.0) - (total(other.final) or 0.0)
        of_drafts = (total(one.draft) or 0.0) - (total(other.draft) or 0.0)
        if abs(of_finals) > noise_floor:
            yield 0.5 if abs(of_drafts) <= EQUAL else float((of_drafts > 0) == (of_finals > 0))


def _rank_of(pairs: Sequence[_Pair]) -> float | None:
    return _spearman(
        [total(pair.draft) or 0.0 for pair in pairs], [total(pair.final) or 0.0 for pair in pairs]
    )


def _rank_where(
    pairs: Iterable[tuple[Scores, Scores]], score: Callable[[Scores], float | None]
) -> float | None:
    """Rank correlation of one score of two judges, over the videos for which both gave it."""
    values = [
        (a, b) for one, other in pairs if (a := score(one)) is not None and (b := score(other)) is not None
    ]
    return _spearman([a for a, _ in values], [b for _, b in values])


def _spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation; None for fewer than three values, or if one side has no differences."""
    if len(first) < _LEAST_RANKED or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    from scipy import stats

    return round(float(stats.spearmanr(first, second).statistic), 4)


def _pooled_deviation(groups: Sequence[Sequence[float]]) -> float | None:
    """Pooled standard deviation within groups of at least two values; None without a group."""
    if not groups:
        return None
    squares = math.fsum((value - fmean(group)) ** 2 for group in groups for value in group)
    return round(math.sqrt(squares / sum(len(group) - 1 for group in groups)), 4)


def _reaches(scores: Scores, stop_score: float) -> bool:
    return min(_sa(scores), _pc(scores)) >= stop_score


def _sa(scores: Scores) -> float:
    return scores.semantic_adherence or 0.0


def _pc(scores: Scores) -> float:
    return scores.physical_commonsense or 0.0
