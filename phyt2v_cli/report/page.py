"""HTML page of a run: each round's prompt and its changes, video, caption and scores.

The run may be anybody's. Every text is cut and escaped. The page may load only its own style, its own
pictures and the run's videos, and only `report.html` is written. The markup is in `page.html.j2`. Knows no
model, no loop and no terminal.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.quantities import count
from phyt2v_cli.report import template
from phyt2v_cli.report.clips.of_run import COMPARE, ROUNDS, compared
from phyt2v_cli.report.learned import how_to_compare, learned
from phyt2v_cli.report.plot import Point, plot_of
from phyt2v_cli.report.strip import strip
from phyt2v_cli.report.verdict import changes_of, verdict_on
from phyt2v_cli.runs.history.reproduction import command_of, settings_named
from phyt2v_cli.runs.outcome.candidates import chosen_rounds
from phyt2v_cli.runs.reader import ShownRun, read_run
from phyt2v_cli.runs.records import ScorerRecord, VideoRecord
from phyt2v_cli.video_id import RoundId

NAME = "report.html"
MAX_FLAGS, MAX_SCORERS, MAX_REASONS = 10, 10, 20
"""Limits for one video; that of reasons is for one scorer."""
MAX_VERSIONS, MAX_UPGRADES = 20, 5
_CLIPS = ((COMPARE, "both side by side, in step"), (ROUNDS, "all rounds, in step"))
MAX_DOTS = 100
"""Maximum number of rounds in the plot of scores."""


def write_report(run_path: Path, *, embed: bool = False) -> Path:
    """Write `report.html` into a run directory and return its path.

    With `embed` its videos are in the page, which may then be sent as one file. Raises RunDirError if there
    is no run that can be shown, FilesError if the disk refuses.
    """
    path = run_path / NAME
    page = make_page(read_run(run_path), embed=embed)
    with replace_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def make_page(run: ShownRun, *, embed: bool = False) -> str:
    """HTML of the whole page."""
    rendered = [record for record in run.videos if record.sha256 is not None]
    return template.render(
        "page.html.j2",
        run=run.record,
        embeds=embed,
        source_of=partial(_source_of, run.path, embed),
        missing=[record.video for record in rendered if not (run.path / record.video).is_file()],
        command=command_of(run.record),
        settings=[(key, json.dumps(value)) for key, value in settings_named(run.record).items()],
        num_videos=sum(record.sha256 is not None for record in run.videos),
        facts=list(_facts(run)),
        plot=plot_of(_points(run)),
        learned=[_with_flags(sentence) for sentence in learned(run)],
        how_to_compare=_with_flags(how_to_compare(run) or ""),
        beside=compared(run),
        clips=[(name, what) for name, what in _CLIPS if (run.path / name).is_file()],
        cards=list(_cards(run)),
        max_flags=MAX_FLAGS,
        max_reasons=MAX_REASONS,
        broken=run.broken,
        made_with=_made_with(run),
    )


def _with_flags(sentence: str) -> str:
    """Sentence with flags in place of keywords in backticks: who reads a page has used the command line."""
    parts = sentence.split("`")
    return "".join(f"--{part.replace('_', '-')}" if n % 2 else part for n, part in enumerate(parts))


def _source_of(run_path: Path, embed: bool, name: str) -> str:
    """Source of a video on the page: its file name, or its content as a data URI."""
    if not embed:
        return name
    try:
        content = base64.b64encode((run_path / name).read_bytes()).decode("ascii")
    except OSError:
        return name
    return f"data:video/mp4;base64,{content}"


def _facts(run: ShownRun) -> Iterator[tuple[str, str]]:
    """Names and values of facts about the run as a whole."""
    analysis, result, usage = run.record.analysis, run.record.result, run.record.usage
    if analysis is not None:
        yield "Main object", analysis.main_object
        yield "Physical law", analysis.physical_law
    if result is not None:
        yield "Result", f"{result.video}, chosen by the rule “{result.selected_by.replace('_', ' ')}”"
    if usage.requests:
        tokens = count(usage.prompt_tokens + usage.completion_tokens, "token")
        cost = "" if usage.cost is None else f", cost {usage.cost:.4g}"
        yield "LLM", f"{count(usage.requests, 'request')}, {tokens}{cost}"


def _made_with(run: ShownRun) -> str:
    generator = run.record.config.get("generator") or {}
    facts = [f"model {generator.get('model', 'unknown')}"] if isinstance(generator, dict) else []
    before: dict[str, str] = {}
    for versions in (run.record.versions, *run.record.later_versions[-MAX_UPGRADES:]):
        changed = [f"{name} {version}" for name, version in versions.items() if before.get(name) != version]
        facts += [f"{'then ' if before else ''}{name}" for name in changed[:MAX_VERSIONS]]
        before = versions
    return ", ".join(facts)


def _points(run: ShownRun) -> list[Point]:
    """Points of the plot, one for each video of a round. Curves join the chosen ones."""
    chosen = {record.id for record in chosen_rounds(run.videos)}
    rounds = [(record.id, record) for record in run.videos if isinstance(record.id, RoundId)][:MAX_DOTS]
    return [
        Point(
            f"{id.number}{id.candidate}" if place % max(1, len(rounds) // 12) == 0 else "",
            record.purpose,
            sa=None if record.scores is None else record.scores.semantic_adherence,
            pc=None if record.scores is None else record.scores.physical_commonsense,
            is_joined=id in chosen,
        )
        for place, (id, record) in enumerate(rounds)
    ]


@dataclass(frozen=True)
class _Card:
    """One video, and what is shown beside it."""

    title: str
    record: VideoRecord
    is_result: bool
    prompt: list[tuple[str, str]]
    """Words of the prompt in order, in parts. A part is `same`, or has the element that marks it: `ins` or
    `del`."""
    is_unchanged: bool
    """Whether the prompt is that of the round before."""
    scorers: list[tuple[str, ScorerRecord]]
    """Scorers that say more than the bars show, by name."""
    verdict: str
    """Why the next round's prompt is another one, or the same."""
    seconds: float
    strip: str | None
    """Frames of the video, as a data URI; None if there is no whole video."""


def _cards(run: ShownRun) -> Iterator[_Card]:
    result = run.record.result
    prompts = {
        record.id.number: record.prompt
        for record in chosen_rounds(run.videos)
        if isinstance(record.id, RoundId)
    }
    for record in run.videos:
        before = prompts.get(record.id.number - 1) if isinstance(record.id, RoundId) else None
        scorers = [pair for pair in record.scorers.items() if pair[1].reasons or len(record.scorers) > 1]
        yield _Card(
            title=record.id.label,
            record=record,
            is_result=result is not None and result.video == record.video,
            prompt=changes_of(before, record.prompt),
            is_unchanged=record.prompt == before,
            scorers=scorers[:MAX_SCORERS],
            verdict=verdict_on(record),
            seconds=sum(record.seconds.values()),
            strip=None if record.sha256 is None else strip(run.path / record.video),
        )
