"""Arms of a run: the ways to spend its compute that its result is compared with, and the video of each.

Knows records; reads no file and draws nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from phyt2v_cli.config.schema import Config, Control
from phyt2v_cli.quantities import count
from phyt2v_cli.runs.outcome.candidates import best_of
from phyt2v_cli.runs.reader import ShownRun
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.video_id import BLIND, CONTROL, ControlId


@dataclass(frozen=True)
class Arm:
    """One way to spend compute."""

    name: Control
    video: VideoRecord
    """Video that counts; of several seeds the one that the scorers like best."""
    num_videos: int = 1

    @property
    def label(self) -> str:
        """Arm in words for people, as in ``best of 3 seeds``."""
        match self.name:
            case "original":
                return "original prompt"
            case "blind":
                return "blind rewrite"
            case _:
                return f"best of {count(self.num_videos, 'seed')}"


def arms_of_run(run: ShownRun) -> tuple[Arm, ...]:
    """Arms of a run that was read; if its config cannot be understood, as the defaults have it."""
    try:
        config = Config.model_validate(run.record.config)
    except ValidationError:
        config = Config()
    return arms_of(run.videos, config)


def arms_of(videos: Iterable[VideoRecord], config: Config) -> tuple[Arm, ...]:
    """Arms that have a video, among all videos of a run.

    `best-of-n` is there if several seeds were rendered or if it is wanted. A seed that has no score ranks
    last; equal seeds count in their order.
    """
    by_id = {video.id: video for video in videos if isinstance(video.id, ControlId)}
    seeds = [video for id, video in by_id.items() if isinstance(id, ControlId) and id.kind == CONTROL.kind]
    arms = []
    if CONTROL in by_id:
        arms.append(Arm("original", by_id[CONTROL]))
    if BLIND in by_id:
        arms.append(Arm("blind", by_id[BLIND]))
    if seeds and (len(seeds) > 1 or "best-of-n" in config.refinement.all_controls):
        arms.append(Arm("best-of-n", best_of(seeds, config.scorer.decide), len(seeds)))
    return tuple(arms)
