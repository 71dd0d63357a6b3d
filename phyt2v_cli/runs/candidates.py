"""Choice among the candidates of a round. Knows records; reads no file."""

import math
from collections.abc import Iterable, Sequence

from phyt2v_cli.config.schema import EQUAL
from phyt2v_cli.runs.records import STILLED, VideoRecord
from phyt2v_cli.video_id import RoundId


def best_of(candidates: Sequence[VideoRecord], tie: float = EQUAL) -> VideoRecord:
    """Candidate with the largest sum of SA and PC by the deciding scorer.

    Those within `tie` of it are as good; of them the first that is not stilled is taken. One that has no
    score ranks last. There is at least one candidate.
    """
    least = max(map(_rank, candidates)) - tie
    equal = [candidate for candidate in candidates if _rank(candidate) >= least]
    return next((one for one in equal if not is_stilled(one)), equal[0])


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
    return -math.inf if pair is None else sum(pair)
