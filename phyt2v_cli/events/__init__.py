"""Events of a run: facts that the loop reports to a listener, without wording and without a terminal.

The loop calls one ``emit(event)``. The console draws the event, a batch forwards it, a test collects it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from phyt2v_cli.roles import Scores
from phyt2v_cli.video_id import ControlId, RerenderId, RoundId, VideoId

Purpose = Literal["draft", "final"]
Stage = Literal["denoise", "decode", "encode", "caption", "score", "mismatch", "refine"]


@dataclass(frozen=True)
class AnalysisDone:
    """The physics analysis of the original prompt is available."""

    main_object: str
    physical_law: str


@dataclass(frozen=True)
class LoadStarted:
    """The loop waits for the generator to load."""


@dataclass(frozen=True)
class GeneratorReady:
    """The generator is loaded, or its settings changed, as after it ran out of memory."""

    settings: Mapping[str, str]
    """Settings that it runs with (offload, compile, device)."""


@dataclass(frozen=True)
class RoundStarted:
    """A round begins, or continues in a resumed run."""

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
class PreviewMade:
    """A preview of the video that is being denoised has been written."""

    video: VideoId
    step: int
    steps: int
    path: Path


@dataclass(frozen=True)
class LatentsFound:
    """Latents of an earlier start were found, so nothing is denoised."""

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
class CandidateDone:
    """One of several candidates of a round is rendered and scored."""

    video: RoundId
    purpose: Purpose
    seconds: float
    scores: Scores


@dataclass(frozen=True)
class RoundDone:
    """A round is done and saved; of several candidates one is chosen, and this is what is known of it."""

    video: RoundId
    purpose: Purpose
    seconds: float
    scores: Scores
    mismatch: str | None
    refined_prompt: str | None
    flags: tuple[str, ...]
    scorers: Mapping[str, Scores] = field(default_factory=dict)
    """Scores by the name of the scorer, the deciding scorer first."""
    review: str | None = None
    """Decision of the user about the refined prompt: ``accepted``, ``edited`` or ``kept``; None: no one was
    asked."""


@dataclass(frozen=True)
class ControlStarted:
    """A control begins: a video at full steps that no round has led to, for comparison."""

    video: ControlId
    steps: int


@dataclass(frozen=True)
class RerenderStarted:
    """A round's prompt begins to be rendered again."""

    video: RerenderId
    steps: int
    purpose: Purpose


@dataclass(frozen=True)
class Notice:
    """Note for the user about something that does not stop the run."""

    text: str
    hint: str = ""
    """What to do about it, worded like the hint of an error."""


Event = (
    AnalysisDone
    | LoadStarted
    | GeneratorReady
    | RoundStarted
    | StepDone
    | PreviewMade
    | LatentsFound
    | StageStarted
    | StageDone
    | CandidateDone
    | RoundDone
    | ControlStarted
    | RerenderStarted
    | Notice
)
Emit = Callable[[Event], None]
