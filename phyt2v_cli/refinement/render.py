"""One prompt to one verified video file: denoise, decode, encode. Knows no run and no loop."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from phyt2v_cli.errors import FaultyFramesError
from phyt2v_cli.events import Stage
from phyt2v_cli.files.video import Frames, VideoMetadata, write_video
from phyt2v_cli.roles import Latents, OnStep, VideoGenerator
from phyt2v_cli.runs.latents import read_latents, write_latents

FLAT = 1.0
"""Standard deviation of a frame's colours, of 255, below which it shows nothing; film grain has more."""

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
    settings: str = "",
    draft: bool = False,
    on_step: OnStep,
    stage: TimeStage,
) -> str:
    """Render `prompt` to `video_path` and return the sha256 of the verified file.

    With `latents_path` the latents are kept there from the denoising on, and taken from there where an
    earlier call with the same `settings` left them; whoever records the video deletes them. Raises
    FaultyFramesError where latents or frames are no picture, VideoError where the video cannot be written or
    read back, and whatever `generator`, `on_step` and `stage` raise.
    """
    import numpy as np

    latents = None
    if latents_path is not None:
        latents = read_latents(
            latents_path, prompt=prompt, seed=seed, steps=num_inference_steps, settings=settings
        )
    if latents is None:
        with stage("denoise"):
            denoised = generator.denoise(
                prompt, seed=seed, num_inference_steps=num_inference_steps, on_step=on_step, draft=draft
            )
            # As they come back from a file; models hand out transposed ones, and layout may change rounding.
            latents = np.ascontiguousarray(denoised)
            _check_latents(latents)
            if latents_path is not None:
                write_latents(
                    latents_path,
                    latents,
                    prompt=prompt,
                    seed=seed,
                    steps=num_inference_steps,
                    settings=settings,
                )
    with stage("decode"):
        frames = generator.decode(latents)
        _check_frames(frames)
    with stage("encode"):
        metadata = VideoMetadata(prompt, seed, num_inference_steps, round_number)
        return write_video(video_path, frames, fps=generator.fps, metadata=metadata)


def another_seed(seed: int) -> int:
    """Return the seed to try where `seed` gave no picture: always the same one, and hardly one in use."""
    return int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:7])


def _check_latents(latents: Latents) -> None:
    import numpy as np

    if not np.isfinite(latents).all():
        raise FaultyFramesError("The latents hold NaN or infinity")


def _check_frames(frames: Frames) -> None:
    """Refuse a video without a picture in any frame; one that does not move may be what was asked for."""
    if all(frame.std(axis=(0, 1)).max() < FLAT for frame in frames):
        colour = ", ".join(f"{value:.0f}" for value in frames.mean(axis=(0, 1, 2)))
        raise FaultyFramesError(f"Every frame is one flat colour (red, green, blue: {colour})")
