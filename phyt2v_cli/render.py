"""One prompt to one verified video file: denoise, decode, encode. Knows no run and no loop."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from phyt2v_cli.events import Stage
from phyt2v_cli.interfaces import OnStep, VideoGenerator
from phyt2v_cli.latents import read_latents, write_latents
from phyt2v_cli.video import VideoMetadata, write_video

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
    draft: bool = False,
    on_step: OnStep,
    stage: TimeStage,
) -> str:
    """Render `prompt` to `video_path` and return the sha256 of the verified file.

    With `latents_path` the latents are kept there from the denoising on, and taken from there where an
    earlier call left them; whoever records the video deletes them. Raises VideoError where the video cannot
    be written or read back, and whatever `generator`, `on_step` and `stage` raise.
    """
    latents = None
    if latents_path is not None:
        latents = read_latents(latents_path, prompt=prompt, seed=seed, steps=num_inference_steps)
    if latents is None:
        with stage("denoise"):
            latents = generator.denoise(
                prompt, seed=seed, num_inference_steps=num_inference_steps, on_step=on_step, draft=draft
            )
            if latents_path is not None:
                write_latents(latents_path, latents, prompt=prompt, seed=seed, steps=num_inference_steps)
    with stage("decode"):
        frames = generator.decode(latents)
    with stage("encode"):
        metadata = VideoMetadata(prompt, seed, num_inference_steps, round_number)
        return write_video(video_path, frames, fps=generator.fps, metadata=metadata)
