"""Arms of a run: the ways to spend its compute that its result is compared with, and the video of each.

Knows records; reads no file and draws nothing.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue, ValidationError

from phyt2v_cli.config.schema import Control, RefinementConfig
from phyt2v_cli.quantities import count
from phyt2v_cli.runs.candidates import best_of
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.video_id import BLIND, CONTROL, ControlId


@dataclass(frozen=True)
class Arm:
    """One way to spend compute."""

    name: Control
    video: VideoRecord
    """Video that counts; of several seeds the one that the deciding scorer likes best."""
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


def wanted_controls(config: Mapping[str, JsonValue]) -> tuple[Control, ...]:
    """Controls that the config of a record asks for; none if it cannot be understood."""
    try:
        return RefinementConfig.model_validate(config.get("refinement", {})).all_controls
    except ValidationError:
        return ()


def arms_of(videos: Iterable[VideoRecord], wanted: Collection[Control] = ()) -> tuple[Arm, ...]:
    """Arms that have a video, among all videos of a run.

    `best-of-n` is there if several seeds were rendered or if it is `wanted`. A seed that has no score ranks
    last; equal seeds count in their order.
    """
    by_id = {video.id: video for video in videos if isinstance(video.id, ControlId)}
    seeds = [video for id, video in by_id.items() if isinstance(id, ControlId) and id.kind == CONTROL.kind]
    arms = []
    if CONTROL in by_id:
        arms.append(Arm("original", by_id[CONTROL]))
    if BLIND in by_id:
        arms.append(Arm("blind", by_id[BLIND]))
    if seeds and (len(seeds) > 1 or "best-of-n" in wanted):
        arms.append(Arm("best-of-n", best_of(seeds), len(seeds)))
    return tuple(arms)
