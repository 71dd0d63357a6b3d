"""`phyt2v watch`: the live view of runs that another process does, from another terminal or machine."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phyt2v_cli.cli import completion, console, options
from phyt2v_cli.errors import FilesError, RunDirError
from phyt2v_cli.quantities import count

if TYPE_CHECKING:
    from phyt2v_cli.cli.journal.following import RunFollower
    from phyt2v_cli.cli.progress.run import RunProgress
    from phyt2v_cli.timing.meter import Meter

EXAMPLES = """
[bold]Examples[/]

phyt2v watch runs/a-red-ball-drops-1a2b3c4d

phyt2v watch batches/physics-1a2b3c4d

phyt2v watch runs/cube --json | jq -r .type
"""

SECONDS_BETWEEN_LOOKS = 0.5
LOOKS_AT_OTHERS = 10
"""Of so many looks at the runs at work, one is at the others too, of which a set may have thousands."""


def watch(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|DIR",
            autocompletion=completion.sets_and_runs,
            readable=False,  # checked later, with another exit code
            help="A run directory, or a folder with several, such as that of a prompt set.",
            show_default=False,
        ),
    ],
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Pass on the lines of the events, as in a pipe; or print one JSON object if nothing runs.",
            rich_help_panel=options.OUTPUT,
            metavar="",
        ),
    ] = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_color: options.NoColor = False,
) -> None:
    """Show what a run elsewhere does, until it ends; of several runs one line each.

    It reads RUN/events.ndjson again and again, so that a network drive will do. With --json, and in a pipe,
    it passes on the lines of that file. Exit code 0: complete, or nothing was running; 1: a run failed or was
    interrupted.
    """
    console.configure(quiet=quiet, verbose=verbose, no_color=no_color)
    passes_on = as_json or not console.stdout().is_terminal
    if (folder / "run.json").exists():
        code = _watch_run(folder, passes_on=passes_on)
    else:
        code = _watch_folder(folder, passes_on=passes_on)
    if code:
        raise typer.Exit(code)


def _watch_run(path: Path, *, passes_on: bool) -> int:
    from phyt2v_cli.cli.journal.following import RunFollower
    from phyt2v_cli.runs.reader import read_run

    read_run(path)  # raises what is wrong with it
    follower = RunFollower(path)
    lines = follower.read()
    if not follower.is_running:
        _show_state(path, passes_on=passes_on)
        return 0
    if passes_on:
        _pass_on(lines)
        while follower.is_running:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            _pass_on(follower.read())
    else:
        console.say(f"Watching {path}; Ctrl-C ends that, and not the run.")
        draw(follower, lines)
    return tell_end(follower)


def draw(follower: "RunFollower", lines: list[dict[str, Any]]) -> None:
    """Draw the run as `refine` does, first what has happened, then what happens."""
    from phyt2v_cli.events.lines import event_of, time_of

    clock = _Clock()
    clock.at = time_of(lines[0]) if lines else None  # when the attempt began
    with _progress(follower.path, clock) as (meter, progress):
        while True:
            for line in lines:
                if (event := event_of(line)) is not None:
                    # At a first look, and after a pause of the drive, lines are older than now.
                    clock.at = time_of(line)
                    meter(event)
                    progress(event)
            clock.at = None
            if not follower.is_running:
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)
            lines = follower.read()


class _Clock:
    """Clock that tells the time of a line while that is read, and else the present time, in s."""

    def __init__(self) -> None:
        self.at: float | None = None

    def __call__(self) -> float:
        return time.time() if self.at is None else min(self.at, time.time())


@contextmanager
def _progress(path: Path, clock: _Clock) -> "Iterator[tuple[Meter, RunProgress]]":
    from pydantic import ValidationError

    from phyt2v_cli.cli.progress.run import RunProgress
    from phyt2v_cli.config.schema import Config
    from phyt2v_cli.runs.reader import read_run
    from phyt2v_cli.schedule import plan_controls
    from phyt2v_cli.timing import speeds
    from phyt2v_cli.timing.meter import Meter

    record = read_run(path).record
    known: dict[str, Any] = {}
    try:
        config = Config.model_validate(record.config)
    except ValidationError:  # of another phyt2v: there are estimates once something is measured
        pass
    else:
        known["controls"] = plan_controls(config.refinement, record.planned_rounds)
        known["expected"] = speeds.find(config.generator)
        known["judges"] = speeds.find_judges(config)
    meter = Meter(record.planned_rounds, clock=clock, hears_each_step=False, **known)
    with RunProgress(meter.seconds_left, meter.share_done, clock) as progress:
        yield meter, progress


def _show_state(path: Path, *, passes_on: bool) -> None:
    """Show a run that is not running."""
    from phyt2v_cli.cli.views.run import run_as_json, run_text
    from phyt2v_cli.runs.reader import read_run

    run = read_run(path)
    console.say(f"{path} is not running; it is {run.record.status}.")
    if passes_on:
        console.data(json.dumps(run_as_json(run)))
    else:
        console.data(run_text(run), is_whole_in_pipes=True)


def tell_end(follower: "RunFollower") -> int:
    """Say how a run ended; returns the exit code."""
    from phyt2v_cli.runs.reader import read_run

    state = follower.state()
    error = _error_of(follower.end)
    if error is not None and state != "complete":
        console.error(f"{follower.path}: {error['message']}", error["hint"])
        return 1
    try:
        video = read_run(follower.path).result_video()
    except RunDirError:
        video = None
    if state == "complete":
        console.say(f"Complete: {video or follower.path}")
        return 0
    if follower.end is not None and follower.end.get("ok") is True:
        console.say(f"{follower.path} waits, as it was asked to.")
        return 0
    console.say(f"{follower.path} was interrupted: its process is gone.")
    return 1


def _error_of(end: Mapping[str, Any] | None) -> dict[str, str] | None:
    error = None if end is None else end.get("error")
    if not isinstance(error, dict):
        return None
    return {key: str(error.get(key) or "") for key in ("code", "message", "hint")}


def _pass_on(lines: list[dict[str, Any]], run: str | None = None) -> None:
    for line in lines:
        console.data(json.dumps(line if run is None else {**line, "run": run}))


# Several runs


def _watch_folder(folder: Path, *, passes_on: bool) -> int:
    from phyt2v_cli.cli.journal.following import RunFollower
    from phyt2v_cli.cli.progress.runs import RunsProgress
    from phyt2v_cli.runs.reader import find_runs

    followers: dict[Path, RunFollower] = {}
    open_ones: set[Path] = set()
    ended: dict[Path, int] = {}
    progress = None if passes_on else RunsProgress()
    with ExitStack() as stack:
        is_first, num_looks = True, 0
        while True:
            num_looks += 1
            is_set_open = _is_set_locked(folder)  # asked first, since its last runs end before it
            for path in find_runs(folder):
                if path in followers and path not in open_ones and num_looks % LOOKS_AT_OTHERS:
                    continue
                follower = followers.setdefault(path, RunFollower(path))
                lines = follower.read()
                name = str(path.relative_to(folder))
                if not follower.is_running and path not in open_ones:
                    if lines and not is_first:  # it has begun and ended between two looks
                        open_ones.add(path)
                    else:
                        continue
                open_ones.add(path)
                if progress is None:
                    _pass_on(lines, name)
                else:
                    progress.hear(name, lines)
                if not follower.is_running:
                    open_ones.discard(path)
                    if progress is not None:
                        progress.end(name)
                    ended[path] = tell_end(follower)
            if is_first and not open_ones and not is_set_open:
                return _show_folder(folder, [*followers], passes_on=passes_on)
            if is_first and progress is not None:
                console.say(f"Watching {folder}; Ctrl-C ends that, and not the runs.")
                stack.enter_context(progress)
            is_first = False
            if not open_ones and not is_set_open:
                break
            time.sleep(SECONDS_BETWEEN_LOOKS)
    return max(ended.values(), default=0)


def _is_set_locked(folder: Path) -> bool:
    from phyt2v_cli.files.lock import is_locked

    try:
        return any(is_locked(folder, lock.name) for lock in folder.glob(".phyt2v-batch*.lock"))
    except OSError:
        return False


def _show_folder(folder: Path, paths: list[Path], *, passes_on: bool) -> int:
    """Show that nothing is running in a folder, and the states of its runs."""
    from phyt2v_cli.cli.journal.following import RunFollower
    from phyt2v_cli.cli.views.history import list_as_json, read_run_in_list

    if not paths:
        raise FilesError(f"There is no run below {folder}.", "Name a run directory; `find_runs` lists them.")
    states: dict[str, int] = {}
    for path in paths:
        follower = RunFollower(path)
        follower.read()
        states[follower.state()] = states.get(follower.state(), 0) + 1
    told = ", ".join(f"{number:,} {state}" for state, number in sorted(states.items()))
    console.say(f"Nothing is running in {folder}: {count(len(paths), 'run')}, {told}.")
    if passes_on:
        listed = [(path, read_run_in_list(path)) for path in paths]
        console.data(json.dumps(list_as_json(str(folder), listed)))
    return 0
