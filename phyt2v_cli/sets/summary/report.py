"""Report of a whole set: the summary of all its shards, and its page, made from its folder alone.

Knows no loop and no terminal.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from phyt2v_cli.errors import FilesError, UsageError
from phyt2v_cli.report import page
from phyt2v_cli.report.set_page import Change, ListedPrompt, write_set_page
from phyt2v_cli.sets.manifest import read_manifests
from phyt2v_cli.sets.summary.figures import Numbered
from phyt2v_cli.sets.summary.numbers import PromptNumbers, Video
from phyt2v_cli.sets.summary.writer import SummaryWriter

_MAX_CHANGES = 3
"""Best changes that are shown, and worst ones."""


@dataclass(frozen=True)
class SetReport:
    """Files of a set's report, and what they say in short."""

    page: Path
    csv: Path
    json: Path
    in_words: str
    """What the figures say about refinement; empty without controls."""


def write_set_report(
    batch_dir: Path, *, category_columns: Sequence[str] = (), each: bool = False
) -> SetReport:
    """Write summary.csv, summary.json and report.html of a set.

    The pages are those of `write_pages`. Raises FilesError if there is no set, if its manifest is damaged or
    if the disk refuses, and UsageError for a column that the set does not have.
    """
    entries = read_manifests(batch_dir)
    known = dict.fromkeys(name for entry in entries for name in entry.columns)
    for column in category_columns:
        if column not in known:
            raise UsageError(f"the set has no column {column!r}", f"It has: {', '.join(known) or 'none'}.")
    return write_pages(
        batch_dir, SummaryWriter(batch_dir, entries, category_columns=category_columns), each=each
    )


def write_pages(batch_dir: Path, writer: SummaryWriter, *, each: bool = False) -> SetReport:
    """Write the summary of the whole set, and report.html.

    The runs with the largest changes get a page of their own; with `each`, every run that can be shown.
    Raises FilesError if the disk refuses.
    """
    figures = writer.write()
    numbered = writer.numbered()
    changes = _largest_changes(numbered)
    shown = [entry.folder for entry, _ in numbered] if each else [change.folder for change in changes]
    for folder in shown:
        with suppress(FilesError):  # what cannot be shown has no link
            page.update_report(batch_dir / folder)
    path = write_set_page(
        batch_dir,
        figures,
        [
            ListedPrompt(entry.folder, entry.prompt, one.status, _pair(one.first), _pair(one.result))
            for entry, one in numbered
        ],
        changes,
    )
    return SetReport(path, writer.csv_path, writer.json_path, str(figures["in_words"]))


def _largest_changes(numbered: Numbered) -> list[Change]:
    """Best changes, then worst ones, the largest first. A prompt without both scores has none."""
    changes = [
        Change(entry.folder, gain) for entry, one in numbered if (gain := _gain(one)) is not None and gain
    ]
    changes.sort(key=lambda change: -change.gain)
    best = [change for change in changes[:_MAX_CHANGES] if change.gain > 0]
    worst = [change for change in reversed(changes[-_MAX_CHANGES:]) if change.gain < 0]
    return best + worst


def _gain(one: PromptNumbers) -> float | None:
    before, after = (None if video is None else video.mean for video in (one.first, one.result))
    return None if before is None or after is None else after - before


def _pair(video: Video | None) -> tuple[float | None, float | None] | None:
    return None if video is None else (video.semantic_adherence, video.physical_commonsense)
