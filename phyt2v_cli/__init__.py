"""phyt2v: make text-to-video models obey physics, refining prompts over a schedule of steps.

    import phyt2v_cli

    result = phyt2v_cli.refine("a red ball drops", rounds=2)
    print(result.video, result.scores)

The public names are those of `__all__`. Each is imported on first access. docs/python.md shows how to use
them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phyt2v_cli.api import RunSettings, Studio
    from phyt2v_cli.calls import extend, generate, refine, rerender, resume
    from phyt2v_cli.config.schema import Config
    from phyt2v_cli.errors import RunPausedError
    from phyt2v_cli.files.sound import Sound
    from phyt2v_cli.refinement.steering.review import Decision, Proposal
    from phyt2v_cli.roles import (
        ChatModel,
        ChatReply,
        ChatRequest,
        Decoded,
        Denoised,
        DenoisingStep,
        Message,
        Scores,
        VideoCaptioner,
        VideoGenerator,
        VideoScorer,
    )
    from phyt2v_cli.runs.outcome.result import RoundResult, RunResult, VideoResult, load_run
    from phyt2v_cli.video_id import ControlId, RerenderId, RoundId

__version__ = "0.2.0"

_MODULES = {
    "phyt2v_cli.api": ("RunSettings", "Studio"),
    "phyt2v_cli.calls": ("extend", "generate", "refine", "rerender", "resume"),
    "phyt2v_cli.config.schema": ("Config",),
    "phyt2v_cli.errors": ("RunPausedError",),
    "phyt2v_cli.files.sound": ("Sound",),
    "phyt2v_cli.refinement.steering.review": ("Decision", "Proposal"),
    "phyt2v_cli.roles": (
        "ChatModel",
        "ChatReply",
        "ChatRequest",
        "Decoded",
        "Denoised",
        "DenoisingStep",
        "Message",
        "Scores",
        "VideoCaptioner",
        "VideoGenerator",
        "VideoScorer",
    ),
    "phyt2v_cli.runs.outcome.result": ("RoundResult", "RunResult", "VideoResult", "load_run"),
    "phyt2v_cli.video_id": ("ControlId", "RerenderId", "RoundId"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "ChatModel",
    "ChatReply",
    "ChatRequest",
    "Config",
    "ControlId",
    "Decision",
    "Decoded",
    "Denoised",
    "DenoisingStep",
    "Message",
    "Proposal",
    "RerenderId",
    "RoundId",
    "RoundResult",
    "RunPausedError",
    "RunResult",
    "RunSettings",
    "Scores",
    "Sound",
    "Studio",
    "VideoCaptioner",
    "VideoGenerator",
    "VideoResult",
    "VideoScorer",
    "extend",
    "generate",
    "load_run",
    "refine",
    "rerender",
    "resume",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
