"""Display of the rendering commands while they work: the plan, and the listeners of a run's events.

Knows the config and the terminal; knows no backend, run directory or prompt.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli.cli import console
from phyt2v_cli.cli.wording import worded

if TYPE_CHECKING:
    from phyt2v_cli.cli.progress.run import RunProgress
    from phyt2v_cli.config.layers import LoadedConfig
    from phyt2v_cli.config.schema import Config
    from phyt2v_cli.events import Emit, Event
    from phyt2v_cli.schedule import PlannedControl, PlannedRound
    from phyt2v_cli.timing.meter import Meter
    from phyt2v_cli.timing.trace import Timeline


def plan_loop(loaded: "LoadedConfig", *, will_ask: bool = True) -> "tuple[Config, Sequence[PlannedRound]]":
    """Complete the config and plan its rounds; raise ConfigError if a role has no usable backend.

    Without `will_ask` no judge will be asked, so keys and local judges may be missing.
    """
    from phyt2v_cli.calibration.use import apply_calibration
    from phyt2v_cli.checks.judges import check_judges
    from phyt2v_cli.checks.notices import find_notices_of_run
    from phyt2v_cli.checks.preflight import complete, complete_judges

    check_judges(loaded.config, will_ask=will_ask)
    loaded = apply_calibration(complete(complete_judges(loaded)))
    planned = plan_rounds(loaded)
    for notice in find_notices_of_run(loaded.config, planned):
        console.warn(notice)
    return loaded.config, planned


def plan_rounds(loaded: "LoadedConfig") -> "Sequence[PlannedRound]":
    """Plan the rounds; print the notes about the settings, and one if the steps were changed."""
    from phyt2v_cli.schedule import plan_run, steps_notice

    say_notices(loaded)
    planned = plan_run(loaded.config)
    if notice := steps_notice(loaded):
        console.warn(notice)
    return planned


def say_notices(loaded: "LoadedConfig") -> None:
    """Print the notes about where the settings come from."""
    for notice in loaded.notices:
        console.warn(notice)


def show_plan(config: "Config", planned: "Sequence[PlannedRound]") -> None:
    """Show the plan as a table, with times if this machine has measured the model."""
    from phyt2v_cli.cli.views.plan import plan_table
    from phyt2v_cli.schedule import plan_controls
    from phyt2v_cli.timing import speeds

    err = console.stderr()
    speed = speeds.find(config.generator)
    controls = plan_controls(config.refinement, planned)
    console.say(plan_table(planned, err.width, speed, controls, ascii_only=err.options.ascii_only))


def expected_seconds(config: "Config", planned: "Sequence[PlannedRound]", num_runs: int) -> float | None:
    """Seconds of rendering of so many whole runs; None if this machine has not measured the model yet."""
    from phyt2v_cli.schedule import plan_controls
    from phyt2v_cli.timing import speeds

    speed = speeds.find(config.generator)
    controls = plan_controls(config.refinement, planned)
    return None if speed is None else num_runs * speed.total_s(planned, controls)


@contextmanager
def profiling(path: Path | None) -> "Iterator[Timeline | None]":
    """Yield a timeline that is written to `path` at the end, even after an error; None without a path.

    If it cannot be written, that is only a note: the run is worth more than its profile.
    """
    if path is None:
        yield None
        return
    from phyt2v_cli.errors import Phyt2vError, message_of
    from phyt2v_cli.timing.trace import Timeline

    timeline = Timeline()
    try:
        yield timeline
    finally:
        try:
            if not timeline.is_empty:  # else nothing was done, and an earlier profile may be there
                timeline.write(path)
        except Phyt2vError as error:
            console.warn(*worded(error))
        except Exception as error:
            console.warn(f"no profile: {message_of(error)}")


@dataclass(frozen=True)
class Listeners:
    """Emit of a run: passes each event to all listeners."""

    progress: "RunProgress"
    listeners: "Sequence[Emit]"

    def __call__(self, event: "Event") -> None:
        """Pass on one event."""
        for listener in self.listeners:
            listener(event)


@contextmanager
def watching(
    config: "Config",
    planned: "Sequence[PlannedRound]",
    controls: "Sequence[PlannedControl]" = (),
    *,
    timeline: "Timeline | None" = None,
    also: "Sequence[Emit]" = (),
) -> "Iterator[Listeners]":
    """Yield the `emit` of a run: it passes events to the console, the meter, the timeline and `also`."""
    from phyt2v_cli.cli.progress.run import RunProgress

    measured = meter(config, planned, controls)
    with RunProgress(measured.seconds_left, measured.share_done) as progress:
        of_timeline = [] if timeline is None else [timeline]
        yield Listeners(progress, [*also, measured, *of_timeline, progress])


def meter(
    config: "Config", planned: "Sequence[PlannedRound]", controls: "Sequence[PlannedControl]" = ()
) -> "Meter":
    """Meter of one run, which keeps what it measures for later estimates."""
    from phyt2v_cli.timing import speeds
    from phyt2v_cli.timing.meter import Meter

    return Meter(
        planned,
        controls=controls,
        expected=speeds.find(config.generator),
        judges=speeds.find_judges(config),
        keep=partial(speeds.keep, config.generator),
        keep_judges=partial(speeds.keep_judges, config),
    )
