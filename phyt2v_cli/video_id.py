"""Id of a video in a run, and the names of its files.

A video belongs to a round, maybe to one candidate of it, or renders a round's prompt again, or is a control.
All file names of a video are made here and nowhere else. Knows no folder and no record.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias


@dataclass(frozen=True)
class RoundId:
    """Id of the video of a round; with `candidate`, of one of several videos of that round."""

    number: int
    """From 1."""
    candidate: str = ""
    """A letter from b on; empty for the first or only candidate."""

    @property
    def name(self) -> str:
        """Id as text, as in ``round2`` or ``round2.b``."""
        return f"round{self._key}"

    @property
    def label(self) -> str:
        """Id in words for people, as in ``Round 2``."""
        return f"Round {self.number}" + (f", candidate {self.candidate}" if self.candidate else "")

    @property
    def video_name(self) -> str:
        """File name of the video, as in ``output2.mp4``."""
        return f"output{self._key}.mp4"

    @property
    def record_name(self) -> str:
        """File name of the record, as in ``round2.json``."""
        return f"{self.name}.json"

    @property
    def latents_name(self) -> str:
        """File name of the latents, which are kept until the video is verified."""
        return f"latents{self._key}.safetensors"

    @property
    def trajectory_name(self) -> str:
        """File name of what the denoising has computed, which is kept for the video that continues it."""
        return f"trajectory{self._key}.safetensors"

    @property
    def _key(self) -> str:
        return f"{self.number}.{self.candidate}" if self.candidate else str(self.number)


class _NamesItsFiles(ABC):
    """File names of a video that has the name of its id."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Id as text."""

    @property
    def video_name(self) -> str:
        """File name of the video."""
        return f"{self.name}.mp4"

    @property
    def record_name(self) -> str:
        """File name of the record."""
        return f"{self.name}.json"

    @property
    def latents_name(self) -> str:
        """File name of the latents, which are kept until the video is verified."""
        return f"latents-{self.name}.safetensors"


@dataclass(frozen=True)
class ControlId(_NamesItsFiles):
    """Id of a control: a video at full steps that no round has led to, for comparison."""

    kind: Literal["control", "blind"] = "control"
    """`control`: the original prompt. `blind`: a rewrite by an LLM that has seen no video."""
    candidate: str = ""
    """A letter from b on, if it is the original prompt with another seed."""

    @property
    def name(self) -> str:
        """Id as text, as in ``control.b``."""
        return f"{self.kind}.{self.candidate}" if self.candidate else self.kind

    @property
    def label(self) -> str:
        """Id in words for people, as in ``Control, seed b``."""
        if self.kind == "blind":
            return "Blind rewrite"
        return "Control" + (f", seed {self.candidate}" if self.candidate else "")


@dataclass(frozen=True)
class RerenderId(_NamesItsFiles):
    """Id of a video of a round's prompt that was rendered again, with other steps or another seed."""

    number: int
    """Number of the round, from 1."""
    index: int = 1
    """From 1; counts the videos of this round that were rendered again."""

    candidate: ClassVar[str] = ""

    @property
    def name(self) -> str:
        """Id as text, as in ``rerender3`` or ``rerender3-2``."""
        return f"rerender{self.number}" + (f"-{self.index}" if self.index > 1 else "")

    @property
    def label(self) -> str:
        """Id in words for people, as in ``Round 3 again``."""
        return f"Round {self.number} again" + (f", {self.index}" if self.index > 1 else "")


VideoId: TypeAlias = RoundId | ControlId | RerenderId

CONTROL = ControlId()
BLIND = ControlId("blind")

LETTERS = "bcdefghijklmnopqrstuvwxyz"
"""Names of candidates after the first, which has none."""


def ids_of_run(num_rounds: int, controls: Iterable[ControlId] = ()) -> list[VideoId]:
    """Ids of the videos of a run: its rounds in order, then its `controls`."""
    return [*map(RoundId, range(1, num_rounds + 1)), *controls]


MAX_ROUND = 10_000
"""Upper limit of a round number. A record from somebody else may claim anything."""

_ROUND = re.compile(r"round([1-9][0-9]{0,4})(?:\.([b-z]))?")
_RERENDER = re.compile(r"rerender([1-9][0-9]{0,4})(?:-([2-9]|[1-9][0-9]{1,3}))?")
_CONTROL = re.compile(r"control(?:\.([b-z]))?")


def parse_video_id(name: str) -> VideoId:
    """Parse a `VideoId` from its name; raise ValueError if the name is not one."""
    if name == BLIND.name:
        return BLIND
    if (control := _CONTROL.fullmatch(name)) is not None:
        return ControlId(candidate=control[1] or "")
    if (again := _RERENDER.fullmatch(name)) is not None and int(again[1]) <= MAX_ROUND:
        return RerenderId(int(again[1]), int(again[2] or 1))
    found = _ROUND.fullmatch(name)
    if found is None or int(found[1]) > MAX_ROUND:
        raise ValueError(f"{name[:40]!r} names no video of a run")
    return RoundId(int(found[1]), found[2] or "")
