"""What the loop tells whoever listens: plain facts, no wording and no terminal.

The loop calls one ``emit(event)``; the console draws it, a batch forwards it, a test collects it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from phyt2v_cli.roles import Scores
from phyt2v_cli.video_id import ControlId, RoundId, VideoId

Purpose = Literal["draft", "final"]
Stage = Literal["denoise", "decode", "encode", "caption", "score", "mismatch", "refine"]


@dataclass(frozen=True)
class AnalysisDone:
    """The original prompt's physics analysis is there."""

    main_object: str
    physical_law: str


@dataclass(frozen=True)
class LoadStarted:
    """The generator is waited for."""


@dataclass(frozen=True)
class GeneratorReady:
    """The generator is loaded, or runs in another way than before, as after memory ran out."""

    settings: Mapping[str, str]
    """How it runs (offload, compile, device)."""


@dataclass(frozen=True)
class RoundStarted:
    """A round begins (or goes on, in a resumed run)."""

    video: RoundId
    total_rounds: int
    steps: int
    purpose: Purpose
    prompt: str


@dataclass(frozen=True)
class StepDone:
    """One denoising step is done."""

    video: VideoId
    step: int
    steps: int


@dataclass(frozen=True)
class LatentsFound:
    """Latents of an earlier start are there, so that nothing is denoised."""

    video: VideoId
    path: Path


@dataclass(frozen=True)
class StageStarted:
    """A stage of a video begins."""

    video: VideoId
    stage: Stage


@dataclass(frozen=True)
class StageDone:
    """A stage of a video is done and saved."""

    video: VideoId
    stage: Stage
    seconds: float


@dataclass(frozen=True)
class RoundDone:
    """Everything of a round is done and saved."""

    video: RoundId
    purpose: Purpose
    seconds: float
    scores: Scores
    mismatch: str | None
    refined_prompt: str | None
    flags: tuple[str, ...]
    scorers: Mapping[str, Scores] = field(default_factory=dict)
    """What each scorer said, by its name, the deciding one first."""


@dataclass(frozen=True)
class ControlStarted:
    """The original prompt is rendered at full steps for comparison."""

    video: ControlId
    steps: int


@dataclass(frozen=True)
class Notice:
    """Something the user should know that stops nothing."""

    text: str
    hint: str = ""
    """What to do about it, worded as the hint of an error."""


Event = (
    AnalysisDone
    | LoadStarted
    | GeneratorReady
    | RoundStarted
    | StepDone
    | LatentsFound
    | StageStarted
    | StageDone
    | RoundDone
    | ControlStarted
    | Notice
)
Emit = Callable[[Event], None]
