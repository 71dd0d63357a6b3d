"""Choice among the candidates of a round. Knows records; reads no file."""

from collections.abc import Iterable, Sequence

from phyt2v_cli.runs.records import STILLED, VideoRecord
from phyt2v_cli.video_id import RoundId

_SAME = 1e-6
"""Sums of scores that are not further apart are equal."""


def best_of(candidates: Sequence[VideoRecord]) -> VideoRecord:
    """Candidate with the largest sum of SA and PC by the deciding scorer.

    Of equal ones the first that is not stilled; one that has no score ranks last. There is at least one
    candidate.
    """
    best, *others = candidates
    for other in others:
        gain = _rank(other) - _rank(best)
        if gain > _SAME or (abs(gain) <= _SAME and is_stilled(best) and not is_stilled(other)):
            best = other
    return best


def is_stilled(video: VideoRecord) -> bool:
    """Check if a video hardly moves beside the first round's."""
    return STILLED in video.flags


def chosen_rounds(videos: Iterable[VideoRecord]) -> list[VideoRecord]:
    """Video of each round in order; of several candidates the chosen one, or the first if none is yet."""
    by_round: dict[int, VideoRecord] = {}
    for video in videos:
        if isinstance(video.id, RoundId) and (video.is_chosen or video.id.number not in by_round):
            by_round[video.id.number] = video
    return [by_round[number] for number in sorted(by_round)]


def steps_of_rounds(videos: Iterable[VideoRecord], num_rounds: int) -> int:
    """Denoising steps of all videos of the first rounds, those included that were not chosen."""
    return sum(
        video.steps for video in videos if isinstance(video.id, RoundId) and video.id.number <= num_rounds
    )


def _rank(video: VideoRecord) -> float:
    pair = video.score_pair()
    return -1.0 if pair is None else sum(pair)
