"""End of a run: its table, what it has learned, its result on stdout, and the pictures and clips of it."""

from typing import TYPE_CHECKING, cast

from phyt2v_cli.cli import console
from phyt2v_cli.cli.journal.process import result as print_result
from phyt2v_cli.cli.wording import in_flags, path_in_command

if TYPE_CHECKING:
    from pathlib import Path

    from phyt2v_cli.events import Notice
    from phyt2v_cli.runs.directory import RunDir
    from phyt2v_cli.runs.outcome.result import RunResult

_STOPPED = {
    "no_mismatch": "no mismatch was left",
    "stop_score": "the scores were high enough",
    "user": "as you asked",
}


def close_run(run: "RunDir", result: "RunResult", shown_result: dict[str, object], *, as_json: bool) -> None:
    """Print the end of a complete run, with its result as `result_as_shown`, and draw its pictures and clips.

    The path of the result comes before they are drawn, for nothing that only decorates it may hide it; JSON,
    which names them, comes after, and without them if drawing is interrupted.
    """
    from phyt2v_cli.cli.views.rounds import rounds_table
    from phyt2v_cli.report import contact_sheet
    from phyt2v_cli.report.clips import of_run
    from phyt2v_cli.report.learned import how_to_compare, learned
    from phyt2v_cli.runs.reader import read_run

    shown = read_run(run.path)
    console.say(rounds_table(run, console.stderr().width))
    for line in _lines(run, result):
        console.say(line)
    for sentence in learned(shown):
        console.say(in_flags(sentence))
    if (how := how_to_compare(shown)) is not None:
        console.say(in_flags(how))
    clips = of_run.Clips()
    if not as_json:
        print_result(str(result.video))
    try:
        sheet = contact_sheet.draw_if_possible(run.path, _tell)
        clips = of_run.draw_if_possible(run.path, _tell)
        page = write_page(run)
    finally:
        if as_json:
            console.json_object(shown_result | {"clips": clips.as_json()})
    for name, path in (
        ("Contact sheet", sheet),
        ("Original beside result", clips.compare),
        ("All rounds", clips.rounds),
        ("Report", page),
    ):
        if path is not None:
            console.say(f"{name}: {path}")
    console.say(f"Next: {next_command(run)}")


def draw_comparison(run: "RunDir") -> None:
    """Draw the clip of a run's original beside its result, if it has both."""
    from phyt2v_cli.report.clips import of_run

    of_run.draw_if_possible(run.path, _tell, only_comparison=True)


def write_page(run: "RunDir") -> "Path | None":
    """Write the page of a run that has a video, unless it is current; if that fails, it is only a note."""
    from phyt2v_cli.errors import message_of
    from phyt2v_cli.report.page import update_report
    from phyt2v_cli.runs.reader import read_videos

    try:
        if not any(video.sha256 is not None for video in read_videos(run.path)[0]):
            return None
        return update_report(run.path)
    except Exception as error:  # the run, or its own error, is worth more
        console.warn(f"no page: {message_of(error)}", in_flags(getattr(error, "hint", "")))
        return None


def show_page(run: "RunDir") -> None:
    """Write the page of a run, as `write_page`, and print where it is."""
    if (path := write_page(run)) is not None:
        console.say(f"Report: {path}")


def next_command(run: "RunDir") -> str:
    """Command to continue with after a complete run."""
    return f"phyt2v report {path_in_command(run.path)} --open"


def _tell(notice: "Notice") -> None:
    console.warn(notice.text, in_flags(notice.hint))


def _lines(run: "RunDir", result: "RunResult") -> list[str]:
    """Lines below the table: an early stop, and the scores of the result beside those of its controls."""
    from phyt2v_cli.cli.views.rounds import arms_line
    from phyt2v_cli.report.as_json.rounds import find_controls
    from phyt2v_cli.runs.outcome.arms import arms_of
    from phyt2v_cli.runs.reader import read_videos

    lines = []
    videos, _ = read_videos(run.path)
    if result.stop_reason is not None and len(result.rounds) < len(run.record.plan):
        lines.append(f"Stopped early: {_STOPPED.get(result.stop_reason, result.stop_reason)}.")
    if line := arms_line(arms_of(find_controls(videos), run.config), result.scores):
        lines.append(line)
    return lines


def result_as_shown(run: "RunDir", result: "RunResult") -> dict[str, object]:
    """Result of a run as JSON in the words of the command line; its clips are not drawn yet."""
    from phyt2v_cli.report.as_json.result import result_as_json

    shown = result_as_json(run, result)
    learned = [in_flags(sentence) for sentence in cast("list[str]", shown["learned"])]
    return {**shown, "learned": learned, "next": next_command(run)}
