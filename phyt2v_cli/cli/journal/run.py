"""Journal of a run for this process: what `--events`, `--log-file` and the console have of it too.

Knows the process and run directories; knows no option and no display.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from phyt2v_cli.cli import console
from phyt2v_cli.cli.journal.process import command_line, current, set_data
from phyt2v_cli.cli.wording import worded
from phyt2v_cli.runs.journal import run as journals
from phyt2v_cli.runs.journal.run import Host, RunJournal

if TYPE_CHECKING:
    from phyt2v_cli.runs.directory import RunDir


def of_command() -> RunJournal:
    """Journal of a command without a run directory."""
    return RunJournal(_host())


@contextmanager
def of_run(run: "RunDir", *, is_of_set: bool = False, has_work: bool | None = None) -> Iterator[RunJournal]:
    """Journal of the work on an open run, in its directory and for the process, until an error.

    In the stream of a set each line has the name of its run; see `journals.of_run`.
    """
    with journals.of_run(run, _host(run.path.name if is_of_set else ""), has_work=has_work) as journal:
        yield journal
    if not is_of_set and journal.data is not None:
        set_data(journal.data)


def _host(run_name: str = "") -> Host:
    process = current()
    return Host(
        on_failure=console.warn,
        streams=[process.events] if process.events is not None else [],
        run_name=run_name,
        logs=[process.log] if process.log is not None else [],
        level=process.level,
        header=command_line(),
        early=process.early,
        logs_notices=False,  # the console tells those
        worded=worded,
        listening=process.listening,
    )
