"""HTML page of a prompt set: its figures, the largest changes side by side, and links to its runs.

The set may be anybody's, as may its runs; see `template.py`. The figures are those of `summary.json`, the
markup is in `set_page.html.j2`. Knows no model, no loop and no terminal.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from phyt2v_cli.errors import FilesError
from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.report import contact_sheet, page, template
from phyt2v_cli.report.plot import Interval, Point, plot_of
from phyt2v_cli.report.strip import strip
from phyt2v_cli.runs.reader import ShownRun, read_run
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.video_id import CONTROL, RoundId, VideoId

NAME = page.NAME
MAX_PROMPTS = 2000
"""Prompts in the list of the page; `summary.csv` has all."""
_STRIP_FRAMES = 5
_MAX_POINTS = 40
_MAX_CATEGORIES, _MAX_VALUES = 12, 60

_SHORT = {"original": "original", "blind": "blind", "best-of-n": "seeds"}
"""Controls below the plot."""

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class ListedPrompt:
    """Prompt in the list of the page. Scores are SA and PC, None if missing."""

    folder: str
    prompt: str
    status: str
    first: tuple[float | None, float | None] | None
    result: tuple[float | None, float | None] | None


@dataclass(frozen=True)
class Change:
    """Prompt whose result differs much from its first round."""

    folder: str
    gain: float
    """Mean of the gains in SA and in PC."""


def write_set_page(
    batch_dir: Path, figures: Figures, prompts: Sequence[ListedPrompt], changes: Sequence[Change]
) -> Path:
    """Write `report.html` into the folder of a set and return its path.

    `changes` are shown in their order, best first. Raises FilesError if the disk refuses.
    """
    path = batch_dir / NAME
    text = template.render(
        "set_page.html.j2",
        figures=figures,
        statuses=[
            (name, number) for name, number in figures["prompts"].items() if number and name != "total"
        ],
        facts=list(_facts(figures)),
        plot=plot_of(list(_points(figures))[:_MAX_POINTS], ("round", "steps")),
        changes=list(_changes(batch_dir, changes)),
        prompts=[(prompt, link_of(batch_dir, prompt.folder)) for prompt in prompts[:MAX_PROMPTS]],
        num_left_out=max(0, len(prompts) - MAX_PROMPTS),
        max_categories=_MAX_CATEGORIES,
        max_values=_MAX_VALUES,
    )
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def link_of(batch_dir: Path, folder: str) -> str:
    """Relative URL of what shows a run: its page, else its contact sheet; empty if it has neither."""
    for name in (page.NAME, contact_sheet.NAME):
        if (batch_dir / folder / name).exists():
            return f"./{quote(folder)}/{name}"
    return ""


def _facts(figures: Figures) -> Iterator[tuple[str, str]]:
    if figures["in_words"]:
        yield "In short", figures["in_words"]
    for role, label in (
        ("generator", "Model"),
        ("llm", "LLM"),
        ("captioner", "Captioner"),
        ("scorer", "Scorer"),
    ):
        if names := figures["roles"].get(role):
            yield label, ", ".join(names)
    judging, intervals = figures["judging"], figures["intervals"]
    if judging["judges"]:
        yield "Judged by", ", ".join(judging["judges"])
    yield "Scored text", "the original prompt; physical commonsense is judged without it"
    yield "Threshold", f"{judging['threshold']}; joint: both scores at or above it"
    yield (
        "Intervals",
        f"{intervals['level']:.0%}, {intervals['method']}, {intervals['resamples']:,} resamples; "
        f"the normal interval from {intervals['normal_from_prompts']:,} prompts on",
    )
    if figures["llm_tokens"]:
        yield "LLM tokens", f"{figures['llm_tokens']:,}"
    if versions := figures["versions"]:
        yield "Versions", ", ".join(f"{name} {' / '.join(found)}" for name, found in versions.items())


def _points(figures: Figures) -> Iterator[Point]:
    """Points of the plot: each group of rounds, then the controls apart. Curves join the largest groups."""
    groups = figures["rounds"]
    largest = {group["round"]: group for group in sorted(groups, key=lambda group: group["videos"])}
    for group in groups:
        yield _point(str(group["round"]), group, is_joined=largest[group["round"]] is group)
    for name, groups in figures["controls"].items():
        for group in groups:
            yield _point(_SHORT[name], group, is_joined=False)


def _point(label: str, group: Figures, *, is_joined: bool) -> Point:
    sa, pc = group["semantic_adherence"], group["physical_commonsense"]
    return Point(
        f"{label}\n{group['steps']}",
        group["purpose"],
        sa=sa["mean"],
        pc=pc["mean"],
        sa_interval=_interval(sa),
        pc_interval=_interval(pc),
        is_joined=is_joined,
    )


def _interval(mean: Figures) -> Interval | None:
    return None if mean["low"] is None else (mean["low"], mean["high"])


@dataclass(frozen=True)
class _Side:
    """One video of a change."""

    title: str
    record: VideoRecord
    strip: str | None


@dataclass(frozen=True)
class _Shown:
    """Change with what is shown of it."""

    change: Change
    prompt: str
    link: str
    sides: list[_Side]
    control: VideoRecord | None


def _changes(batch_dir: Path, changes: Sequence[Change]) -> Iterator[_Shown]:
    for change in changes:
        path = batch_dir / change.folder
        with suppress(FilesError):  # it was there when its figures were taken
            run = read_run(path)
            result = run.record.result
            ids: list[VideoId] = [RoundId(1), *([result.id] if result is not None else [])]
            records = [record for id in ids if (record := _find(run, id)) is not None]
            yield _Shown(
                change,
                run.record.prompt,
                link_of(batch_dir, change.folder),
                [
                    _Side(record.id.label, record, strip(path / record.video, _STRIP_FRAMES))
                    for record in records
                ],
                _find(run, CONTROL),
            )


def _find(run: ShownRun, id: VideoId) -> VideoRecord | None:
    return next((record for record in run.videos if record.id == id and record.sha256 is not None), None)
