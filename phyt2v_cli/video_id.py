"""The name of one video of a run, and the files that carry it.

A video is that of a round, maybe of one candidate of it, or a control. Everything that is kept of it is named
here and nowhere else. Knows no folder and no record.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class RoundId:
    """The video of a round; with `candidate`, one of several of that round."""

    number: int
    """From 1."""
    candidate: str = ""
    """A letter from b on; empty for the first, or the only one."""

    @property
    def name(self) -> str:
        """The id as text, as in ``round2`` or ``round2.b``."""
        return f"round{self._key}"

    @property
    def label(self) -> str:
        """The id in words for people, as in ``Round 2``."""
        return f"Round {self.number}" + (f", candidate {self.candidate}" if self.candidate else "")

    @property
    def video_name(self) -> str:
        """The file name of the video, as in ``output2.mp4``."""
        return f"output{self._key}.mp4"

    @property
    def record_name(self) -> str:
        """The file name of the record, as in ``round2.json``."""
        return f"{self.name}.json"

    @property
    def latents_name(self) -> str:
        """The file name of the latents that wait for the video to be verified."""
        return f"latents{self._key}.safetensors"

    @property
    def _key(self) -> str:
        return f"{self.number}.{self.candidate}" if self.candidate else str(self.number)


@dataclass(frozen=True)
class ControlId:
    """The original prompt at full steps, for comparison."""

    name: str = "control"
    """The id as text."""

    @property
    def label(self) -> str:
        """The id in words for people."""
        return self.name.capitalize()

    @property
    def video_name(self) -> str:
        """The file name of the video."""
        return f"{self.name}.mp4"

    @property
    def record_name(self) -> str:
        """The file name of the record."""
        return f"{self.name}.json"

    @property
    def latents_name(self) -> str:
        """The file name of the latents that wait for the video to be verified."""
        return f"latents-{self.name}.safetensors"


VideoId: TypeAlias = RoundId | ControlId

CONTROL = ControlId()

MAX_ROUND = 10_000
"""No run has more; a record that somebody else made may claim anything."""

_ROUND = re.compile(r"round([1-9][0-9]{0,4})(?:\.([b-z]))?")


def parse_video_id(name: str) -> VideoId:
    """Read a `VideoId` from its name; raise ValueError if it is none."""
    if name == CONTROL.name:
        return CONTROL
    found = _ROUND.fullmatch(name)
    if found is None or int(found[1]) > MAX_ROUND:
        raise ValueError(f"{name[:40]!r} names no video of a run")
    return RoundId(int(found[1]), found[2] or "")
