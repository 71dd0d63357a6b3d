"""Completion of one run on the terminal: its plan, its display, and its result on stdout. Knows no option."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli.cli import console, signals, watch
from phyt2v_cli.cli.journal.process import result as print_result
from phyt2v_cli.cli.journal.run import of_run
from phyt2v_cli.cli.running import approval, host
from phyt2v_cli.cli.wording import path_in_command
from phyt2v_cli.errors import RunPausedError

if TYPE_CHECKING:
    from phyt2v_cli.cli.signals import StopRequest
    from phyt2v_cli.refinement.loop import StopAfter
    from phyt2v_cli.runs.directory import RunDir
    from phyt2v_cli.runs.journal.run import RunJournal
    from phyt2v_cli.runs.outcome.result import RunResult
    from phyt2v_cli.schedule import PlannedRound
    from phyt2v_cli.timing.trace import Timeline


@dataclass(frozen=True)
class Going:
    """Options of how a run continues, and what is printed of it."""

    profile: Path | None = None
    as_json: bool = False
    approve: bool = False
    stop_after: "StopAfter | None" = None


def complete(run: "RunDir", going: Going) -> None:
    """Do what is left of an open run, with the terminal's display, and print its result."""
    from phyt2v_cli.cli.running.closing import close_run, result_as_shown, show_page

    planned = run.record.planned_rounds
    stop = signals.stop_request(
        "The run was stopped.",
        "The same command resumes it, or:\n  phyt2v refine --resume " + path_in_command(run.path),
    )
    with of_run(run) as journal:
        try:
            with stop, watch.profiling(going.profile) as timeline, console.stdout_kept_for_data():
                host.prepare_for_models()  # whose imports take a while
                result = _refine(run, planned, stop, timeline, going, journal)
        except RunPausedError as pause:
            _show_pause(run, pause, as_json=going.as_json)
            return
        except BaseException:
            show_page(run)
            raise
        shown = result_as_shown(run, result)
        journal.data = shown

    close_run(run, result, shown, as_json=going.as_json)


def _refine(
    run: "RunDir",
    planned: "Sequence[PlannedRound]",
    stop: "StopRequest",
    timeline: "Timeline | None",
    going: Going,
    journal: "RunJournal",
) -> "RunResult":
    from phyt2v_cli.api import Studio
    from phyt2v_cli.schedule import plan_controls

    if run.record.status == "complete":
        console.say(f"{run.path} is complete; --force runs it again.")
    else:
        watch.show_plan(run.config, planned)
    console.say(f"Run directory: {run.path}")
    # Not closed: its memory is freed with the process, and closing it would delay the exit.
    studio = Studio(config=run.config, on_span=None if timeline is None else timeline.span)
    controls = plan_controls(run.config.refinement, planned)
    with watch.watching(run.config, planned, controls, timeline=timeline) as emit:
        return studio.complete(
            run,
            emit=emit,
            cancelled=stop.cancelled,
            review=partial(approval.ask, emit, stop) if going.approve else None,
            stop_after=going.stop_after,
            journal=journal,
        )


def _show_pause(run: "RunDir", pause: RunPausedError, *, as_json: bool) -> None:
    """Show where the run waits; its next prompt is the data."""
    from phyt2v_cli.cli.running.closing import show_page
    from phyt2v_cli.cli.views.rounds import rounds_table
    from phyt2v_cli.report.as_json.result import pause_as_json

    console.say(rounds_table(run, console.stderr().width))
    show_page(run)
    console.say(
        f"{pause.message} The next prompt is on standard output. To continue, with another if you like:"
    )
    console.say(f"  phyt2v refine --resume {path_in_command(run.path)} [--prompt-file FILE]")
    if as_json:
        console.json_object(pause_as_json(run, pause))
    else:
        print_result(pause.next_prompt)
