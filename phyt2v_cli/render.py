"""One prompt to one verified video file: denoise, decode, encode. Knows no run and no loop."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from phyt2v_cli.events import Stage
from phyt2v_cli.interfaces import OnStep, VideoGenerator

TimeStage = Callable[[Stage], AbstractContextManager[None]]
"""Wraps each stage: it may refuse to begin, time it, and save what is done when it ends."""


def render_video(
    generator: VideoGenerator,
    prompt: str,
    *,
    seed: int,
    num_inference_steps: int,
    video_path: Path,
    round_number: int | None = None,
    latents_path: Path | None = None,
    on_step: OnStep,
    stage: TimeStage,
) -> str:
    """Render `prompt` to `video_path` and return the sha256 of the verified file.

    With `latents_path` the latents are kept there from the denoising until the video is verified, and taken
    from there where an earlier call left them. Raises VideoError where the video cannot be written or read
    back, and whatever `generator`, `on_step` and `stage` raise.
    """
    raise NotImplementedError
