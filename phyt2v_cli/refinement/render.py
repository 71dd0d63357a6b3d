"""Rendering of one prompt to one verified video file: denoise, decode, encode. Knows no run and no loop."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import FaultyFramesError, LatentsError, PromptError
from phyt2v_cli.events import Emit, Notice, Stage
from phyt2v_cli.files.untrusted import refusals_as
from phyt2v_cli.files.video import Frames, VideoMetadata, keep_video, sha256_of, write_video
from phyt2v_cli.quantities import count
from phyt2v_cli.roles import Cancelled, Denoised, HowItRan, Latents, OnStep, Trajectory, VideoGenerator
from phyt2v_cli.runs.identity import Recipe
from phyt2v_cli.runs.latents import drop_latents, read_latents, write_latents

FLAT = 1.0
"""Threshold for a flat frame: standard deviation of its colours, of 255. Film grain has more."""

_DIFFERENCES = {
    "num_frames": "frames of the video",
    "sound": "the model's sound",
    "not_taken": "settings that the server does not take",
}
"""Settings that a generator names only where the video is not what was asked for, in words."""

TimeStage = Callable[[Stage], AbstractContextManager[None]]
"""Context manager around each stage. It may refuse to begin, time the stage, and save its result."""


@dataclass(frozen=True)
class Target:
    """Files that a video is rendered to, and the callbacks of the rendering."""

    video_path: Path
    latents_path: Path
    """File of the latents, from the denoising on. Deleted by the caller that records the video."""
    on_step: OnStep
    cancelled: Cancelled
    stage: TimeStage
    on_how: Callable[[HowItRan], None] = lambda _: None
    """Callback with the settings that the model ran with, before the end of the stage."""
    trajectory_path: Path | None = None
    """File of what the denoising has computed, if the video shares it with others."""
    round_number: int | None = None
    """Stored in the video, if it belongs to a round."""
    may_replace: bool = True
    """Whether a file at `video_path` is replaced; else FilesError is raised once it is there."""


@dataclass(frozen=True)
class Rendered:
    """Verified video file: what it was made from, and its checksum."""

    recipe: Recipe
    sha256: str


def render_video(generator: VideoGenerator, recipe: Recipe, target: Target) -> Rendered:
    """Render a video; latents that an earlier call left for the same pixels are reused if they decode.

    Raises FaultyFramesError if latents or frames are no picture, VideoError if the video cannot be written or
    read back, FilesError if the disk refuses, RunInterruptedError once `target.cancelled()` is true, and
    whatever the generator, `on_step` and `stage` raise.
    """
    import numpy as np

    made_from = {"prompt": recipe.prompt, "seed": str(recipe.seed), "steps": str(recipe.steps)}
    kept = read_latents(target.latents_path, pixels_key=recipe.pixels_key, version_1=made_from)
    if kept is not None:
        try:
            return _write_video(generator, recipe, target, kept)
        except LatentsError:  # whatever the file says, this model has not made them
            drop_latents(target.latents_path)
    with target.stage("denoise"):
        fresh = generator.denoise(
            recipe.prompt,
            seed=recipe.seed,
            num_inference_steps=recipe.steps,
            on_step=target.on_step,
            cancelled=target.cancelled,
            draft=recipe.purpose == "draft",
            image=_picture(recipe.generator),
            **_shared(recipe, target.trajectory_path),
        )
        # Contiguous, as if read from a file: models return transposed ones; layout may change rounding.
        denoised = Denoised(np.ascontiguousarray(fresh.latents), fresh.how)
        _check_latents(denoised.latents)
        write_latents(target.latents_path, denoised, pixels_key=recipe.pixels_key)
        target.on_how(denoised.how)
    return _write_video(generator, recipe, target, denoised)


def _shared(recipe: Recipe, path: Path | None) -> dict[str, Trajectory]:
    """Argument for a video that shares its denoising with others."""
    if recipe.trajectory_steps is None:
        return {}
    return {"trajectory": Trajectory(recipe.trajectory_steps, recipe.trajectory_key, path)}


def _picture(config: GeneratorConfig) -> Path | None:
    """Picture that the videos of a run begin with; raises PromptError if it is not what it was."""
    if config.image is None:
        return None
    path = Path(config.image)
    with refusals_as(PromptError, path):
        if not path.is_file():
            raise PromptError(f"there is no file {path}", "The video begins with this picture.")
        if config.source_sha256 not in (None, sha256_of(path)):
            raise PromptError(
                f"{path} has changed since the run began", "Put the old file back, or start another run."
            )
    return path


def _write_video(generator: VideoGenerator, recipe: Recipe, target: Target, denoised: Denoised) -> Rendered:
    with target.stage("decode"):
        decoded = generator.decode(denoised.latents)
        _check_frames(decoded.frames)
        target.on_how({**denoised.how, **decoded.how})
    with target.stage("encode"):
        metadata = VideoMetadata(
            recipe.prompt, recipe.seed, recipe.steps, target.round_number, recipe.pixels_key
        )
        must_be_new = not target.may_replace
        if decoded.encoded is not None:
            sha256 = keep_video(
                target.video_path,
                decoded.encoded,
                metadata=metadata,
                how={**denoised.how, **decoded.how},
                must_be_new=must_be_new,
            )
        else:
            sha256 = write_video(
                target.video_path,
                decoded.frames,
                fps=generator.fps,
                metadata=metadata,
                must_be_new=must_be_new,
                sound=decoded.sound,
            )
    return Rendered(recipe, sha256)


def render_or_reseed(
    generator: VideoGenerator,
    recipe: Recipe,
    target: Target,
    *,
    on_reseed: Callable[[FaultyFramesError, int], None],
    may_reseed: bool = True,
) -> Rendered:
    """Render a video; if that gives no picture, retry once with another seed.

    `on_reseed` is called before the retry. Without `may_reseed` there is no retry. Raises as `render_video`
    does.
    """
    try:
        return render_video(generator, recipe, target)
    except FaultyFramesError as error:
        drop_latents(target.latents_path)  # they would give no picture the next time either
        if not may_reseed:
            raise
        again = replace(recipe, seed=another_seed(recipe.seed))
        on_reseed(error, again.seed)
    return render_or_reseed(generator, again, target, on_reseed=on_reseed, may_reseed=False)


def another_seed(seed: int) -> int:
    """Seed for the retry after `seed` gave no picture: always the same one, and unlikely to be in use."""
    return int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:7])


def tell_differences(emit: Emit) -> Callable[[HowItRan], None]:
    """Return a callback that emits a note once for each way in which videos are not what was asked for."""
    told: set[str] = set()

    def tell(how: HowItRan) -> None:
        for name, what in _DIFFERENCES.items():
            if name in how and (note := f"{what}: {how[name]}") not in told:
                told.add(note)
                emit(Notice(note))

    return tell


def check_prompt_length(generator: VideoGenerator, prompt: str, *, allow_truncation: bool) -> str | None:
    """Check if a prompt fits the text encoder: a note for the user if it will be cut, None if it fits.

    Raises PromptError if it is too long and `allow_truncation` is off.
    """
    excess = generator.count_excess_tokens(prompt)
    if not excess:
        return None
    if not allow_truncation:
        raise PromptError(
            f"The prompt is {count(excess, 'token')} longer than the video model reads.",
            "Shorten it, or let it be cut with `allow_truncation`.",
        )
    return f"the prompt is {count(excess, 'token')} longer than the video model reads, and is cut short"


def _check_latents(latents: Latents) -> None:
    import numpy as np

    if not np.isfinite(latents).all():
        raise FaultyFramesError("The latents hold NaN or infinity")


def _check_frames(frames: Frames) -> None:
    """Raise FaultyFramesError if no frame shows a picture. No motion is no fault: it may be asked for."""
    if all(frame.std(axis=(0, 1)).max() < FLAT for frame in frames):
        colour = ", ".join(f"{value:.0f}" for value in frames.mean(axis=(0, 1, 2)))
        raise FaultyFramesError(f"Every frame is one flat colour (red, green, blue: {colour})")
