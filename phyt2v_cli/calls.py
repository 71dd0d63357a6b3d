"""Python API: single calls, each with a studio of its own. Knows studios and run directories; no terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from phyt2v_cli.api import OnEvent, Studio, emit_to
from phyt2v_cli.checks.resuming import open_run
from phyt2v_cli.refinement.loop import StopAfter
from phyt2v_cli.refinement.steering.rerender import rerender_of
from phyt2v_cli.refinement.steering.review import Review
from phyt2v_cli.roles import (
    Cancelled,
    ChatModel,
    VideoCaptioner,
    VideoGenerator,
    VideoScorer,
    never_cancelled,
)
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.outcome.result import RoundResult, RunResult, VideoResult, round_result_of
from phyt2v_cli.runs.steering import extend as plan_extension
from phyt2v_cli.runs.steering import set_next_prompt


class RoleObjects(TypedDict, total=False):
    """Roles that are objects, for a run that began with objects of the same classes."""

    generator: VideoGenerator
    llm: ChatModel
    captioner: VideoCaptioner
    scorer: VideoScorer | Sequence[VideoScorer]


def refine(
    prompt: str,
    *,
    out: str | Path | None = None,
    force: bool = False,
    on_event: OnEvent | None = None,
    cancelled: Cancelled = never_cancelled,
    review: Review | None = None,
    stop_after: StopAfter | None = None,
    **studio: Any,
) -> RunResult:
    """Refine one prompt in its own studio, whose arguments are `studio`; see `Studio.refine`."""
    with Studio(**studio) as opened:
        return opened.refine(
            prompt,
            out=out,
            force=force,
            on_event=on_event,
            cancelled=cancelled,
            review=review,
            stop_after=stop_after,
        )


def generate(
    prompt: str,
    *,
    out: str | Path = "output.mp4",
    steps: int | None = None,
    force: bool = False,
    on_event: OnEvent | None = None,
    cancelled: Cancelled = never_cancelled,
    **studio: Any,
) -> VideoResult:
    """Render one video in its own studio, whose arguments are `studio`; see `Studio.generate`."""
    with Studio(**studio) as opened:
        return opened.generate(
            prompt, out=out, steps=steps, force=force, on_event=on_event, cancelled=cancelled
        )


def resume(
    run_dir: str | Path,
    *,
    prompt: str | None = None,
    trust: bool = False,
    on_event: OnEvent | None = None,
    cancelled: Cancelled = never_cancelled,
    review: Review | None = None,
    stop_after: StopAfter | None = None,
    **roles: Unpack[RoleObjects],
) -> RunResult:
    """Resume a run where it stopped, with its own prompt and settings; see `Studio.refine`.

    With `prompt` the next video has that in place of the rewritten prompt that waits. A run that began with
    objects as `roles` needs them again. The config of a run
    that is not your own may start programs and reach servers: that takes `trust`. Raises RunDirError if there
    is no run, and UsageError if no rewritten prompt waits.
    """
    with open_run(Path(run_dir), trust=trust, given=roles) as run:
        if prompt is not None:
            set_next_prompt(run, prompt)
        return _complete(run, roles, on_event, cancelled, review=review, stop_after=stop_after)


def extend(
    run_dir: str | Path,
    rounds: int,
    *,
    trust: bool = False,
    on_event: OnEvent | None = None,
    cancelled: Cancelled = never_cancelled,
    **roles: Unpack[RoleObjects],
) -> RunResult:
    """Add `rounds` further rounds to a complete run: drafts, then a final. See `resume`."""
    with open_run(Path(run_dir), trust=trust, given=roles) as run:
        plan_extension(run, rounds)
        return _complete(run, roles, on_event, cancelled)


def rerender(
    run_dir: str | Path,
    number: int,
    *,
    steps: int | None = None,
    seed: int | None = None,
    trust: bool = False,
    on_event: OnEvent | None = None,
    cancelled: Cancelled = never_cancelled,
    **roles: Unpack[RoleObjects],
) -> RoundResult:
    """Render the prompt of a round again, and judge the video, as a part of the run.

    The defaults are the steps of the run's final and the seed of the round's video. A video that is there
    with the same steps and seed is returned. Raises UsageError if the run has no video of that round; see
    `resume` for the rest.
    """
    opened = open_run(Path(run_dir), trust=trust, given=roles)
    with opened as run, Studio(config=run.config, **roles) as studio:
        record = rerender_of(run, number, steps=steps, seed=seed)
        return round_result_of(
            run.path, studio.rerender(run, record, emit=emit_to(on_event), cancelled=cancelled)
        )


def _complete(
    run: RunDir, roles: RoleObjects, on_event: OnEvent | None, cancelled: Cancelled, **options: Any
) -> RunResult:
    with Studio(config=run.config, **roles) as studio:
        return studio.complete(run, emit=emit_to(on_event), cancelled=cancelled, **options)
