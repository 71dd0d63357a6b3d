"""Numbers of one prompt of a set: what of its run goes into the figures of the set, and nothing else.

A set may have many thousands of prompts, so texts are shared and records are not kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from sys import intern
from types import MappingProxyType
from typing import Literal

from phyt2v_cli.config.schema import Control
from phyt2v_cli.events import Purpose
from phyt2v_cli.files.untrusted import visible
from phyt2v_cli.runs.outcome.arms import Arm, arms_of_run
from phyt2v_cli.runs.outcome.candidates import chosen_rounds
from phyt2v_cli.runs.reader import ShownRun
from phyt2v_cli.runs.records import RunRecord, VideoRecord
from phyt2v_cli.video_id import RoundId

Status = Literal["complete", "failed", "interrupted", "running", "unreadable", "not_begun"]

ROLES = ("generator", "llm", "captioner", "scorer")
_MAX_NAME_CHARS = 200
_MAX_VERSIONS = 20
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Video:
    """Scores of a video, and what they may be compared with."""

    round: int
    """0 for a control."""
    purpose: Purpose
    steps: int
    semantic_adherence: float | None
    """None if the scorer gave none."""
    physical_commonsense: float | None
    judge: str
    """Name of the scorer that decides; empty if the video is not scored."""

    @property
    def mean(self) -> float | None:
        """Mean of both scores; None if one is missing."""
        if self.semantic_adherence is None or self.physical_commonsense is None:
            return None
        return (self.semantic_adherence + self.physical_commonsense) / 2

    @property
    def lower(self) -> float | None:
        """Lower of both scores; None if one is missing."""
        if self.semantic_adherence is None or self.physical_commonsense is None:
            return None
        return min(self.semantic_adherence, self.physical_commonsense)


@dataclass(frozen=True, slots=True)
class PromptNumbers:
    """Numbers of one prompt. What has no video yet has none."""

    status: Status
    rounds: tuple[Video, ...] = ()
    """The rounds that have a video, in their order; of several candidates the one that was chosen."""
    controls: tuple[tuple[Control, Video], ...] = ()
    """Videos that the result is compared with."""
    result: Video | None = None
    refined: Video | None = None
    """Result of the rounds, also if a control was selected in its place."""
    first_candidate: Video | None = None
    """First video of the first round, which is made from the original prompt, if another one was chosen."""
    roles: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Backend and model of each role."""
    versions: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Versions of the first start, by name."""
    llm_tokens: int = 0
    seconds: float = 0.0
    """Duration of all stages of all videos, in s."""

    def control(self, name: Control) -> Video | None:
        """Video of a control; None if there is none."""
        return next((video for kind, video in self.controls if kind == name), None)

    @property
    def first(self) -> Video | None:
        """First video of the first round."""
        if self.first_candidate is not None:
            return self.first_candidate
        return self.rounds[0] if self.rounds and self.rounds[0].round == 1 else None


def numbers_of(run: ShownRun, status: Status) -> PromptNumbers:
    """Numbers of a run that was read."""
    rendered = [record for record in run.videos if record.sha256 is not None]
    videos = {record.id: _video(record) for record in rendered}
    result = run.record.result
    chosen = [record.id for record in chosen_rounds(rendered)]
    of_rounds = chosen[-1] if chosen else None
    if result is not None and isinstance(result.id, RoundId):
        of_rounds = result.id
    usage = run.record.usage
    return PromptNumbers(
        status=status,
        rounds=tuple(videos[id] for id in chosen),
        controls=tuple(
            (arm.name, videos[arm.video.id]) for arm in _arms(run) if arm.video.sha256 is not None
        ),
        result=videos.get(result.id) if result is not None else None,
        refined=videos.get(of_rounds) if result is not None and of_rounds is not None else None,
        first_candidate=videos.get(RoundId(1)) if RoundId(1) not in chosen else None,
        roles=_shared(tuple(_roles(run.record))),
        versions=_shared(tuple(_short(run.record.versions))),
        llm_tokens=usage.prompt_tokens + usage.completion_tokens,
        seconds=sum(sum(record.seconds.values()) for record in rendered),
    )


def _arms(run: ShownRun) -> list[Arm]:
    """Arms of a run; the best of several seeds only once all of them are there."""
    is_complete = run.record.status == "complete"
    return [arm for arm in arms_of_run(run) if is_complete or arm.name != "best-of-n"]


def _video(record: VideoRecord) -> Video:
    scores = record.all_scores()
    return Video(
        round=record.id.number if isinstance(record.id, RoundId) else 0,
        purpose=record.purpose,
        steps=record.steps,
        semantic_adherence=scores.semantic_adherence,
        physical_commonsense=scores.physical_commonsense,
        judge=intern(_name(next(iter(record.scorers), ""))),
    )


def _roles(record: RunRecord) -> list[tuple[str, str]]:
    sections = [(role, record.config.get(role)) for role in ROLES]
    return [
        (role, _name(" ".join(str(section[key]) for key in ("backend", "model") if section.get(key))))
        for role, section in sections
        if isinstance(section, dict)
    ]


def _short(versions: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(_name(name), _name(version)) for name, version in list(versions.items())[:_MAX_VERSIONS]]


def _name(text: str) -> str:
    """Short and harmless form of a name from a record."""
    return visible(text[:_MAX_NAME_CHARS])


@lru_cache(maxsize=256)
def _shared(pairs: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """One mapping for all prompts with the same content."""
    return dict(pairs)
