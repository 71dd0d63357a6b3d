"""`phyt2v preview-schedule`: the plan as a table, with no model, no run and no torch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from phyt2v_cli.cli import console, options, watch
from phyt2v_cli.cli.views.plan import (
    control_as_json,
    controls_as_json,
    plan_table,
    round_plan_as_json,
    totals,
)
from phyt2v_cli.errors import UsageError

if TYPE_CHECKING:
    from phyt2v_cli.schedule import PlannedControl, PlannedRound
    from phyt2v_cli.timing.speeds import Speed

EXAMPLES = """
[bold]Examples[/]

phyt2v preview-schedule --rounds 4 --min 20 --max 50

phyt2v preview-schedule --schedule final-only --seconds-per-step 3.6

phyt2v preview-schedule --steps 10,10,20,50 --json
"""


_MAX_SECONDS_PER_STEP = 86_400
"""One day. Nobody waits longer, and a sum of huge values would be infinite."""


def preview_schedule(
    rounds: options.Rounds = None,
    min_steps: options.MinSteps = None,
    max_steps: options.MaxSteps = None,
    schedule: options.Schedule = None,
    steps: options.StepsList = None,
    seconds_per_step: Annotated[
        float | None,
        typer.Option(
            "--seconds-per-step",
            metavar="S",
            help=f"Times at this speed: 0 to {_MAX_SECONDS_PER_STEP:,}.",
            rich_help_panel="Output",
        ),
    ] = None,
    preset: options.Preset = None,
    config: options.ConfigPath = None,
    assignments: options.Assignments = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
    round_num: options.RoundNum = None,
    min_steps_underscore: options.MinStepsUnderscore = None,
    max_steps_underscore: options.MaxStepsUnderscore = None,
) -> None:
    """Show how the denoising steps are spread over the rounds; nothing is loaded.

    Times are shown where this machine has measured the model before, or as --seconds-per-step says.
    """
    from phyt2v_cli.schedule import plan_controls, schedule_name, steps_notice
    from phyt2v_cli.timing import speeds

    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    # Not checked by the option's range, which would accept nan.
    if seconds_per_step is not None and not 0 <= seconds_per_step <= _MAX_SECONDS_PER_STEP:
        raise UsageError(
            f"--seconds-per-step {seconds_per_step:g}: give a number from 0 to {_MAX_SECONDS_PER_STEP:,}"
        )
    loaded = options.load(
        preset,
        config,
        assignments,
        {
            "rounds": options.first(rounds, round_num),
            "min_steps": options.first(min_steps, min_steps_underscore),
            "max_steps": options.first(max_steps, max_steps_underscore),
            "schedule": schedule,
            "steps": steps,
        },
    )
    planned = watch.plan_rounds(loaded)
    given = None if seconds_per_step is None else speeds.Speed(seconds_per_step, seconds_per_step)
    speed = given or speeds.find(loaded.config.generator)
    controls = plan_controls(loaded.config.refinement, planned)
    if as_json:
        kind = schedule_name(loaded.config.schedule)
        console.json_object(_as_json(kind, planned, controls, speed, steps_notice(loaded)))
    else:
        out = console.stdout()
        ascii_only = out.options.ascii_only
        console.data(plan_table(planned, out.width, speed, controls, ascii_only=ascii_only))


def _as_json(
    kind: str,
    planned: "Sequence[PlannedRound]",
    controls: "Sequence[PlannedControl]",
    speed: "Speed | None",
    notice: str | None,
) -> dict[str, object]:
    total_steps, fixed_steps = totals(planned)
    expected = {} if speed is None else {"expected_seconds": round(speed.total_s(planned, controls), 1)}
    noticed = {} if notice is None else {"notice": notice}
    return {
        "schema": "phyt2v.schedule/1",
        "kind": kind,
        "rounds": len(planned) - 1,
        "videos": [{"video": entry.id.video_name, **round_plan_as_json(entry)} for entry in planned],
        "total_steps": total_steps,
        "fixed_steps": fixed_steps,
        "saved_fraction": round(1 - total_steps / fixed_steps, 3),
        **({"control": first} if (first := control_as_json(controls)) else {}),
        **({"controls": controls_as_json(controls)} if controls else {}),
        **expected,
        **noticed,
    }
