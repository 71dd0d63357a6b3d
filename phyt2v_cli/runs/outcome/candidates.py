"""Choice among videos that were made for the same purpose. Knows records; reads no file."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from phyt2v_cli.config.judges import Decide
from phyt2v_cli.config.schema import EQUAL
from phyt2v_cli.runs.records import STILLED, ScoresRecord, VideoRecord
from phyt2v_cli.video_id import RoundId


class _Merit(NamedTuple):
    """What a video is worth: first the number of its scores, since an abstention ranks last."""

    num_scores: int
    total: float


def best_of(candidates: Sequence[VideoRecord], decide: Decide = "first", tie: float = EQUAL) -> VideoRecord:
    """Best of at least one candidate: the one with the largest sum of SA and PC, or with the best mean rank.

    Those within `tie` of the largest sum, or with the same mean rank, are as good; of them the first that is
    not stilled is taken. One that lacks a score which others have ranks last.
    """
    merits = _merits(candidates, decide)
    most = max(merit.num_scores for merit in merits)
    largest = max(merit.total for merit in merits if merit.num_scores == most)
    least = largest - (tie if decide == "first" else EQUAL)
    equal = [
        candidate
        for candidate, merit in zip(candidates, merits, strict=True)
        if merit.num_scores == most and merit.total >= least
    ]
    return next((one for one in equal if not is_stilled(one)), equal[0])


def are_comparable(videos: Sequence[VideoRecord], decide: Decide = "first") -> bool:
    """Check if all videos have the same scores by each scorer that decides, and at least one."""
    if decide == "first":
        kinds = [{_kinds(video.scores) for video in videos}]
    else:
        names = dict.fromkeys(name for video in videos for name in video.scorers)
        kinds = [{_kinds(video.scorers.get(name)) for video in videos} for name in names]
    given = [of_scorer for of_scorer in kinds if of_scorer != {()}]
    return bool(given) and all(len(of_scorer) == 1 for of_scorer in given)


def is_stilled(video: VideoRecord) -> bool:
    """Check if a video hardly moves beside the first round's."""
    return STILLED in video.flags


def chosen_rounds(videos: Iterable[VideoRecord]) -> list[VideoRecord]:
    """Video of each round in order; of several candidates the chosen one, or the first if none is yet."""
    by_round: dict[int, VideoRecord] = {}
    for video in videos:
        if isinstance(video.id, RoundId):
            before = by_round.get(video.id.number)
            if before is None or (video.is_chosen and not before.is_chosen):
                by_round[video.id.number] = video
    return [by_round[number] for number in sorted(by_round)]


def steps_of_rounds(videos: Iterable[VideoRecord], num_rounds: int) -> int:
    """Denoising steps of all videos of the first rounds, those included that were not chosen."""
    return sum(
        video.computed_steps
        for video in videos
        if isinstance(video.id, RoundId) and video.id.number <= num_rounds
    )


def _merits(candidates: Sequence[VideoRecord], decide: Decide) -> list[_Merit]:
    if decide == "first":
        return [_merit(video.scores) for video in candidates]
    names = dict.fromkeys(name for video in candidates for name in video.scorers)
    ranks = [_ranks([_merit(video.scorers.get(name)) for video in candidates]) for name in names]
    return [_Merit(0, sum(of_video) / len(names)) for of_video in zip(*ranks, strict=True)] or [
        _Merit(0, 0.0) for _ in candidates
    ]


def _merit(scores: ScoresRecord | None) -> _Merit:
    pair = (None, None) if scores is None else (scores.semantic_adherence, scores.physical_commonsense)
    given = [score for score in pair if score is not None]
    return _Merit(len(given), round(sum(given), 6))


def _kinds(scores: ScoresRecord | None) -> tuple[bool, bool] | tuple[()]:
    """Which of SA and PC were given; empty if neither was."""
    if scores is None:
        return ()
    kinds = scores.semantic_adherence is not None, scores.physical_commonsense is not None
    return kinds if any(kinds) else ()


def _ranks(merits: Sequence[_Merit]) -> list[float]:
    """Rank of each merit, 0 for the worst; equal ones share the mean of their ranks."""
    return [
        sum(other < merit for other in merits) + (sum(other == merit for other in merits) - 1) / 2
        for merit in merits
    ]
