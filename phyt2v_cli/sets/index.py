"""Index page of a folder of runs and sets: the newest first, each with frames and a link to its own page.

They may be anybody's; see `report/template.py`. The markup is in `index_page.html.j2`. Knows no loop and no
terminal.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from phyt2v_cli.errors import FilesError, Phyt2vError
from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.quantities import count, score
from phyt2v_cli.report import page, template
from phyt2v_cli.report.strip import strip
from phyt2v_cli.runs.history.distinctions import distinctions, in_short
from phyt2v_cli.runs.history.listing import last_start
from phyt2v_cli.runs.reader import ShownRun, find_runs, read_run
from phyt2v_cli.sets.history import ShownSet, find_sets_and_runs, read_set
from phyt2v_cli.sets.summary.report import write_set_report

NAME = "index.html"
MAX_SHOWN = 300
"""Limit of runs and sets on the page; the newest are shown."""
_STRIP_FRAMES = 5
_MAX_LOOKED_AT = 5
"""Runs of a set among which one is looked for that has frames to show."""

Found = ShownRun | ShownSet | FilesError
"""What a folder holds, or why it cannot be read."""


@dataclass(frozen=True)
class _Entry:
    """Run or set on the page."""

    kind: Literal["run", "set"]
    name: str
    """Path from the folder of the page on."""
    title: str
    status: str
    facts: list[str]
    started: str = ""
    link: str = ""
    strip: str | None = None
    differences: str = ""
    """What tells a run from others of its prompt."""


def has_runs(folder: Path) -> bool:
    """Check if a folder holds runs and is none itself; raises nothing."""
    try:
        return next(find_runs(folder), folder) != folder
    except FilesError:
        return False


def write_index(folder: Path) -> Path:
    """Write `index.html` into a folder of runs and sets, and those of their pages that are not current.

    Returns its path. Raises FilesError if the folder cannot be listed, if it has an index.html of somebody
    else, or if the disk refuses the index.
    """
    path = folder / NAME
    if os.path.lexists(path) and not template.head_of(path):
        raise FilesError(f"{path} is no page of phyt2v", "Move it away, or give another folder.")
    set_paths, run_paths = find_sets_and_runs(folder)
    found: list[tuple[Path, Found]] = [
        *((path, _read(read_set, path)) for path in set_paths),
        *((path, _read(read_run, path)) for path in run_paths),
    ]
    found.sort(key=lambda pair: _start_of(pair[1]), reverse=True)
    shown = found[:MAX_SHOWN]
    apart = distinctions(one for _, one in shown if isinstance(one, ShownRun))
    entries = [_entry(folder, where, one, in_short(apart.get(where, {}))) for where, one in shown]
    text = template.render(
        "index_page.html.j2",
        folder=folder.absolute().name,
        counts=((len(run_paths), "run"), (len(set_paths), "prompt set")),
        statuses=Counter(entry.status for entry in entries if entry.kind == "run").most_common(),
        entries=entries,
        num_left_out=len(found) - len(shown),
    )
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _read(read: Callable[[Path], ShownRun | ShownSet], path: Path) -> Found:
    try:
        return read(path)
    except FilesError as error:
        return error


def _start_of(found: Found) -> str:
    return found.last_start if isinstance(found, ShownSet) else last_start(found)


def _entry(folder: Path, path: Path, found: Found, differences: str) -> _Entry:
    name = path.relative_to(folder).as_posix()
    started = "" if isinstance(found, FilesError) else f"{_start_of(found)[:16].replace('T', ' ')} UTC"
    if isinstance(found, ShownRun):
        with suppress(Phyt2vError):  # what cannot be shown has no link
            page.update_report(path)
        return _Entry(
            "run",
            name,
            found.record.prompt,
            found.record.status,
            list(_facts(found)),
            started,
            _link(folder, path),
            _frames(found),
            differences,
        )
    if isinstance(found, ShownSet):
        if not (path / page.NAME).exists():
            with suppress(Phyt2vError):
                write_set_report(path)
        facts = [count(len(found.entries), "prompt"), f"{found.statuses.get('complete', 0)} complete"]
        runs = (_read(read_run, path / entry.folder) for entry in found.entries[:_MAX_LOOKED_AT])
        frames = (_frames(run) for run in runs if isinstance(run, ShownRun))
        first = next(filter(None, frames), None)
        return _Entry("set", name, name, found.status, facts, started, _link(folder, path), first)
    return _Entry("run", name, found.message, "unreadable", [])


def _link(folder: Path, path: Path) -> str:
    """Relative URL of the page of a run or a set; empty if it has none."""
    shown = path / page.NAME
    return f"./{quote(shown.relative_to(folder).as_posix())}" if shown.exists() else ""


def _frames(run: ShownRun) -> str | None:
    """Strip of the video that is shown of a run."""
    video = run.shown_video()
    return None if video is None else strip(run.path / video.video, _STRIP_FRAMES)


def _facts(run: ShownRun) -> Iterator[str]:
    video = run.shown_video()
    yield f"{run.rounds_done()} of {count(len(run.record.plan), 'round')}"
    if video is not None:
        scores = video.all_scores()
        yield f"{count(video.steps, 'step')}, {video.purpose}"
        yield f"SA {score(scores.semantic_adherence)}"
        yield f"PC {score(scores.physical_commonsense)}"
