"""What the rendering commands share: the plan, who plays the roles, who listens, what a signal does.

Knows the config, the backends and the terminal; knows no run directory and no prompt.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli.cli import console

if TYPE_CHECKING:
    from phyt2v_cli.cli.signals import StopRequest
    from phyt2v_cli.cli.timeline import Timeline
    from phyt2v_cli.config import LoadedConfig
    from phyt2v_cli.events import Emit, Event
    from phyt2v_cli.interfaces import Roles, VideoGenerator
    from phyt2v_cli.schedule import PlannedRound
    from phyt2v_cli.settings import Config


def plan_loop(loaded: "LoadedConfig", *, will_ask: bool = True) -> "tuple[Config, Sequence[PlannedRound]]":
    """Return the completed config and its plan; raise ConfigError where a role cannot be played.

    Without `will_ask` nobody will be asked, so that keys and local judges may be missing.
    """
    from phyt2v_cli.cli.preflight import check_judges, complete

    check_judges(loaded.config, will_ask=will_ask)
    loaded = complete(loaded)
    return loaded.config, plan_rounds(loaded)


def plan_rounds(loaded: "LoadedConfig") -> "Sequence[PlannedRound]":
    """Return the plan; say where the steps are others than the user may think."""
    from phyt2v_cli.schedule import plan, steps_notice

    planned = plan(loaded.config.schedule, loaded.config.refinement.rounds)
    if notice := steps_notice(loaded):
        console.warn(notice)
    return planned


def show_plan(config: "Config", planned: "Sequence[PlannedRound]") -> None:
    """Show the plan as a table, with times where this machine has measured the model before."""
    from phyt2v_cli.cli import speeds
    from phyt2v_cli.cli.plan_table import duration, plan_table

    err = console.stderr()
    speed = speeds.find(config.generator)
    console.say(plan_table(planned, err.width, speed, ascii_only=err.options.ascii_only))
    if steps := control_steps(config, planned):
        time = "" if speed is None else f", {duration(speed.total_s([], steps))}"
        console.say(f"The control adds {steps} denoising steps{time}.")


def control_steps(config: "Config", planned: "Sequence[PlannedRound]") -> int:
    """Return the denoising steps that the control adds; none where round 1 is the same video anyway."""
    is_first_video = planned[0].steps == planned[-1].steps
    return planned[-1].steps if config.refinement.control and not is_first_video else 0


def make_roles(
    config: "Config",
    *,
    num_planned_steps: int,
    timeline: "Timeline | None" = None,
    load_now: bool = False,
) -> "Roles":
    """Return who plays the four roles; the generator is loaded once for all runs.

    That is on its first use, or with `load_now` from now on, beside what the loop does before it needs it.
    """
    from phyt2v_cli import backends
    from phyt2v_cli.backends import ahead
    from phyt2v_cli.interfaces import Roles

    def load_generator() -> "VideoGenerator":
        with timeline.bar("load the generator") if timeline is not None else nullcontext():
            return backends.load_generator(config, num_planned_steps=num_planned_steps)

    # Before the generator, whose thread would otherwise import the same libraries at the same time.
    llm, captioner = backends.make_chat_model(config), backends.make_captioner(config)
    scorers = backends.make_scorers(config)
    # A local LLM is loaded by then too, and two loads at once are slower than one after the other.
    load_now = load_now and config.llm.backend != "transformers"
    return Roles(
        load_generator=ahead.begin(load_generator, name="load") if load_now else cache(load_generator),
        llm=llm,
        captioner=captioner,
        scorers=scorers,
    )


def check_profile(path: Path | None) -> None:
    """Raise FilesError where a profile that is asked for would be lost, or replace something else."""
    if path is not None:
        from phyt2v_cli.cli.timeline import check_target

        check_target(path)


@contextmanager
def profiling(path: Path | None) -> "Iterator[Timeline | None]":
    """Yield a timeline that is written to `path` afterwards, whatever happened; None where nobody asked.

    A profile that cannot be written then is a note: what was profiled is worth more.
    """
    if path is None:
        yield None
        return
    from phyt2v_cli.cli.timeline import Timeline
    from phyt2v_cli.errors import FilesError

    timeline = Timeline()
    try:
        yield timeline
    finally:
        try:
            if not timeline.is_empty:  # nothing was left to do, and an earlier profile may be there
                timeline.write(path)
        except FilesError as error:
            console.warn(str(error))


@contextmanager
def watching(
    config: "Config", planned: "Sequence[PlannedRound]", *, control: bool, timeline: "Timeline | None" = None
) -> "Iterator[Emit]":
    """Yield what a run's events are told to: the console, the clock of what is left, the timeline."""
    from phyt2v_cli.cli import speeds
    from phyt2v_cli.cli.meter import Meter
    from phyt2v_cli.cli.progress import RunProgress

    meter = Meter(
        planned,
        control=control and bool(control_steps(config, planned)),
        expected=speeds.find(config.generator),
        keep=partial(speeds.keep, config.generator),
    )
    with RunProgress(meter.seconds_left) as progress:
        listeners: list[Emit] = [meter, progress] if timeline is None else [meter, timeline, progress]

        def emit(event: "Event") -> None:
            for listener in listeners:
                listener(event)

        yield emit


def stop_request(message: str) -> "StopRequest":
    """Return what turns a signal into a stop; `message` says how to go on."""
    from phyt2v_cli.cli.signals import StopRequest

    return StopRequest(
        message,
        on_first=lambda: console.say_from_signal_handler("stopping soon; once more to stop at once"),
        on_second=console.show_cursor,
    )
