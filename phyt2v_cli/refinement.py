"""The PhyT2V loop: straight-line code for one prompt over the four roles.

It knows no backend, no terminal and no torch. Every stage is saved before the next one starts, so a killed
run redoes at most the stage it was in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from phyt2v_cli.events import Emit
from phyt2v_cli.interfaces import ChatModel, VideoCaptioner, VideoGenerator, VideoScorer
from phyt2v_cli.run_dir import RunDir


@dataclass(frozen=True)
class Roles:
    """Who plays the four roles."""

    load_generator: Callable[[], VideoGenerator]
    """Called at most once, after the physics analysis is there, and not at all where no video is missing."""
    llm: ChatModel
    captioner: VideoCaptioner
    scorer: VideoScorer


@dataclass(frozen=True)
class RunResult:
    """The video that a run hands back."""

    round: int | None
    """None where the control won."""
    video: Path
    prompt: str
    selected_by: str
    """``last``; ``best``; or ``last_unscored`` where `best` was asked for and a scorer abstained."""
    stop_reason: str | None


def refine(run: RunDir, roles: Roles, *, emit: Emit, cancelled: Callable[[], bool]) -> RunResult:
    """Do what is left of `run` and return its result.

    Raises RunInterruptedError once `cancelled()` is true, between stages and between denoising steps; the
    run can go on later. Raises PromptError where the original prompt is longer than the text encoder reads,
    BackendError where a role fails, FilesError where something cannot be written.
    """
    raise NotImplementedError
