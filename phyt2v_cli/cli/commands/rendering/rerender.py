"""`phyt2v rerender`: a round's prompt at full steps, as a part of its run."""

from typing import TYPE_CHECKING, Annotated

import typer

from phyt2v_cli.cli import console, options, signals, watch
from phyt2v_cli.cli.journal import process as journal
from phyt2v_cli.cli.journal.run import of_run
from phyt2v_cli.cli.running import host
from phyt2v_cli.cli.running import options as running
from phyt2v_cli.cli.wording import in_flags, path_in_command

if TYPE_CHECKING:
    from phyt2v_cli.runs.directory import RunDir
    from phyt2v_cli.runs.journal.run import RunJournal
    from phyt2v_cli.runs.records import VideoRecord

EXAMPLES = """
[bold]Examples[/]

phyt2v rerender runs/cube 2

phyt2v rerender runs/cube 2 --seed 7
"""


def rerender(
    run_dir: running.RunToGoOnWith,
    number: Annotated[int, typer.Argument(metavar="N", min=1, help="The round.", show_default=False)],
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=1,
            max=1000,
            help="Denoising steps. (default: those of the run's final)",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            max=2**63 - 1,
            help="The seed. (default: that of the round's video)",
            show_default=False,
        ),
    ] = None,
    trust: running.Trust = False,
    events: running.Events = None,
    log_level: running.LogLevel = "info",
    log_file: running.LogFile = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Render the prompt of a round again, by default at full steps, and judge the video.

    It becomes a part of the run, `rerenderN.mp4`, in its table and its pages; with `--select best` it may
    become the result. Its path is printed on stdout. The same command again does nothing.
    """
    from phyt2v_cli.checks.resuming import open_run
    from phyt2v_cli.cli.running.closing import show_page
    from phyt2v_cli.cli.views.rounds import rounds_table
    from phyt2v_cli.refinement.steering.rerender import rerender_of
    from phyt2v_cli.report import contact_sheet
    from phyt2v_cli.report.as_json.result import rerender_as_json
    from phyt2v_cli.report.clips import of_run as clips
    from phyt2v_cli.runs.history.names import run_by_name

    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    journal.begin(events=events, log_file=log_file, log_level=log_level, as_json=as_json)
    with open_run(run_by_name(run_dir), trust=trust) as run:
        record = rerender_of(run, number, steps=steps, seed=seed)
        path = run.video_path(record)
        with of_run(run, has_work=record.scores is None) as own:
            record = _rerender(run, record, own)
        shown = rerender_as_json(run, record)
        console.say(rounds_table(run, console.stderr().width))
        if as_json:
            console.json_object(shown)
        else:
            journal.result(str(path))
        for draw in (contact_sheet.draw_if_possible, clips.draw_if_possible):
            draw(run.path, lambda notice: console.warn(notice.text, in_flags(notice.hint)))
        show_page(run)


def _rerender(run: "RunDir", record: "VideoRecord", own: "RunJournal") -> "VideoRecord":
    from phyt2v_cli.schedule import PlannedRound

    stop = signals.stop_request(
        "The rendering was stopped.",
        f"The same command resumes it; the run itself is as it was: {path_in_command(run.path)}",
    )
    with stop, console.stdout_kept_for_data():  # imports take a while
        host.prepare_for_models()
        from phyt2v_cli.api import Studio

        planned = [PlannedRound(1, record.steps, record.purpose)]
        studio = Studio(config=run.config)
        with watch.watching(run.config, planned) as emit:
            return studio.rerender(run, record, emit=emit, cancelled=stop.cancelled, journal=own)
