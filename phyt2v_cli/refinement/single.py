"""Single video: rendered and verified, without judges and without rounds.

It knows the generator's role and events, and no run directory.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import FaultyFramesError, FilesError, RunInterruptedError
from phyt2v_cli.events import (
    Emit,
    GeneratorReady,
    LatentsFound,
    LoadStarted,
    Notice,
    Stage,
    StageDone,
    StageStarted,
)
from phyt2v_cli.files.atomic import sweep
from phyt2v_cli.refinement.render import Target, check_prompt_length, render_or_reseed, tell_differences
from phyt2v_cli.refinement.steps import drop_preview, tell_step
from phyt2v_cli.roles import Cancelled, DenoisingStep, VideoGenerator
from phyt2v_cli.runs.identity import Recipe
from phyt2v_cli.runs.latents import drop_latents
from phyt2v_cli.runs.outcome.result import VideoResult
from phyt2v_cli.video_id import RoundId

VIDEO = RoundId(1)
"""Id of the video in events, as if it were the only round."""


def render_single(
    load_generator: Callable[[], VideoGenerator],
    prompt: str,
    config: Config,
    *,
    steps: int,
    out: Path,
    may_replace: bool,
    emit: Emit,
    cancelled: Cancelled,
) -> VideoResult:
    """Render `prompt` to the mp4 `out`. A file that is there by the end is replaced if `may_replace`.

    Latents are kept beside it until it is verified, so that the same call can resume from there. Raises
    RunInterruptedError once `cancelled()` is true, PromptError if the prompt is longer than the text encoder
    reads, BackendError if the model fails, FilesError if something cannot be written or may not be replaced.
    """
    seconds: dict[str, float] = {}
    latents_path = out.with_name(f"{out.name}.phyt2v-latents")
    preview_path = out.with_name(f"{out.name}.phyt2v-preview.png")

    @contextmanager
    def stage(name: Stage) -> Iterator[None]:
        if cancelled():
            raise RunInterruptedError("The rendering was stopped.")
        if name == "decode" and "denoise" not in seconds:
            emit(LatentsFound(VIDEO, latents_path))
        emit(StageStarted(VIDEO, name))
        start = time.monotonic()
        yield
        seconds[name] = round(time.monotonic() - start, 3)
        emit(StageDone(VIDEO, name, seconds[name]))

    def on_step(step: DenoisingStep) -> None:
        emit(GeneratorReady(dict(step.how)))
        tell_step(step, emit, VIDEO, preview_path)

    def on_reseed(error: FaultyFramesError, seed: int) -> None:
        emit(Notice(f"{error.message}; trying once with another seed, {seed}"))

    sweep(out.parent, out.name)
    emit(LoadStarted())
    generator = load_generator()
    emit(GeneratorReady(dict(generator.settings)))
    notice = check_prompt_length(generator, prompt, allow_truncation=config.generator.allow_truncation)
    if notice is not None:
        emit(Notice(notice))
    recipe = Recipe(prompt, config.run.seed, steps, "final", config.generator)
    target = Target(
        out,
        latents_path,
        on_step=on_step,
        cancelled=cancelled,
        stage=stage,
        on_how=tell_differences(emit),
        may_replace=may_replace,
    )
    try:
        rendered = render_or_reseed(generator, recipe, target, on_reseed=on_reseed)
    finally:
        drop_preview(preview_path)
    try:
        drop_latents(latents_path)
    except FilesError as error:  # the video is there all the same
        emit(Notice(error.message, error.hint))
    return VideoResult(out, prompt, steps, rendered.recipe.seed, rendered.sha256, seconds)
