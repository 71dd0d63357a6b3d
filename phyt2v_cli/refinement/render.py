"""One prompt to one verified video file: denoise, decode, encode. Knows no run and no loop."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from phyt2v_cli.errors import FaultyFramesError, PromptError
from phyt2v_cli.events import Stage
from phyt2v_cli.files.video import Frames, VideoMetadata, write_video
from phyt2v_cli.roles import Cancelled, Denoised, HowItRan, Latents, OnStep, VideoGenerator
from phyt2v_cli.runs.identity import Recipe
from phyt2v_cli.runs.latents import drop_latents, read_latents, write_latents

FLAT = 1.0
"""Standard deviation of a frame's colours, of 255, below which it shows nothing; film grain has more."""

TimeStage = Callable[[Stage], AbstractContextManager[None]]
"""Wraps each stage: it may refuse to begin, time it, and save what is done when it ends."""


@dataclass(frozen=True)
class Target:
    """Where a video goes, and who hears of the work."""

    video_path: Path
    latents_path: Path
    """Latents are kept here from the denoising on; whoever records the video deletes them."""
    on_step: OnStep
    cancelled: Cancelled
    stage: TimeStage
    on_how: Callable[[HowItRan], None] = lambda _: None
    """Told how the model worked, before the stage that it worked in ends."""
    round_number: int | None = None
    """Stored in the video, if it is that of a round."""


@dataclass(frozen=True)
class Rendered:
    """A verified video file."""

    recipe: Recipe
    sha256: str


def render_video(generator: VideoGenerator, recipe: Recipe, target: Target) -> Rendered:
    """Render a recipe; latents that an earlier call for the same pixels left are taken.

    Raises FaultyFramesError if latents or frames are no picture, VideoError if the video cannot be written or
    read back, RunInterruptedError once `target.cancelled()` is true, and whatever the generator, `on_step`
    and `stage` raise.
    """
    import numpy as np

    made_from = {"prompt": recipe.prompt, "seed": str(recipe.seed), "steps": str(recipe.steps)}
    denoised = read_latents(target.latents_path, pixels_key=recipe.pixels_key, version_1=made_from)
    if denoised is None:
        with target.stage("denoise"):
            fresh = generator.denoise(
                recipe.prompt,
                seed=recipe.seed,
                num_inference_steps=recipe.steps,
                on_step=target.on_step,
                cancelled=target.cancelled,
                draft=recipe.purpose == "draft",
            )
            # As they come back from a file; models hand out transposed ones, and layout may change rounding.
            denoised = Denoised(np.ascontiguousarray(fresh.latents), fresh.how)
            _check_latents(denoised.latents)
            write_latents(target.latents_path, denoised, pixels_key=recipe.pixels_key)
            target.on_how(denoised.how)
    with target.stage("decode"):
        decoded = generator.decode(denoised.latents)
        _check_frames(decoded.frames)
        target.on_how({**denoised.how, **decoded.how})
    with target.stage("encode"):
        metadata = VideoMetadata(
            recipe.prompt, recipe.seed, recipe.steps, target.round_number, recipe.pixels_key
        )
        sha256 = write_video(target.video_path, decoded.frames, fps=generator.fps, metadata=metadata)
    return Rendered(recipe, sha256)


def render_or_reseed(
    generator: VideoGenerator,
    recipe: Recipe,
    target: Target,
    *,
    on_reseed: Callable[[FaultyFramesError, int], None],
    may_reseed: bool = True,
) -> Rendered:
    """Render a recipe; if that gives no picture, try once with another seed, which `on_reseed` is told
    before.

    Without `may_reseed` that was done already. Raises as `render_video` does.
    """
    try:
        return render_video(generator, recipe, target)
    except FaultyFramesError as error:
        drop_latents(target.latents_path)  # the next time they would be no picture either
        if not may_reseed:
            raise
        again = replace(recipe, seed=another_seed(recipe.seed))
        on_reseed(error, again.seed)
    return render_or_reseed(generator, again, target, on_reseed=on_reseed, may_reseed=False)


def another_seed(seed: int) -> int:
    """Return the seed to try if `seed` gave no picture: always the same one, and hardly one in use."""
    return int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:7])


def check_prompt_length(generator: VideoGenerator, prompt: str, *, allow_truncation: bool) -> str | None:
    """Return what to tell of a prompt that will be cut; None if it fits.

    Raises PromptError if it is longer than the text encoder reads and that is not allowed.
    """
    excess = generator.count_excess_tokens(prompt)
    if not excess:
        return None
    if not allow_truncation:
        raise PromptError(
            f"The prompt is {excess} tokens longer than the video model reads.",
            "Shorten it, or let it be cut with `allow_truncation`.",
        )
    return f"the last {excess} tokens of the prompt are beyond what the video model reads"


def _check_latents(latents: Latents) -> None:
    import numpy as np

    if not np.isfinite(latents).all():
        raise FaultyFramesError("The latents hold NaN or infinity")


def _check_frames(frames: Frames) -> None:
    """Refuse a video without a picture in any frame; one that does not move may be what was asked for."""
    if all(frame.std(axis=(0, 1)).max() < FLAT for frame in frames):
        colour = ", ".join(f"{value:.0f}" for value in frames.mean(axis=(0, 1, 2)))
        raise FaultyFramesError(f"Every frame is one flat colour (red, green, blue: {colour})")
