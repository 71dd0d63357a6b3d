"""HTML page of a run: its result, the original beside it, what was learned, and each round.

The run may be anybody's. Every text is cut and escaped. The page may load only its own style, its own
pictures and the run's videos, and only `report.html` is written. The markup is in `page.html.j2`. Knows no
model, no loop and no terminal.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.quantities import count
from phyt2v_cli.report import template
from phyt2v_cli.report.clips.of_run import COMPARE, ROUNDS, Compared, compared
from phyt2v_cli.report.learned import how_to_compare, learned
from phyt2v_cli.report.plot import Point, plot_of
from phyt2v_cli.report.staleness import is_current
from phyt2v_cli.report.strip import strip
from phyt2v_cli.report.verdict import changes_of, verdict_on
from phyt2v_cli.runs.history.reproduction import command_of, missing_from_command, settings_named
from phyt2v_cli.runs.outcome.candidates import chosen_rounds
from phyt2v_cli.runs.reader import ShownRun, read_run
from phyt2v_cli.runs.records import ScorerRecord, VideoRecord
from phyt2v_cli.video_id import RoundId

NAME = "report.html"
MAX_FLAGS, MAX_SCORERS, MAX_REASONS = 10, 10, 20
"""Limits for one video; that of reasons is for one scorer."""
MAX_VERSIONS, MAX_UPGRADES = 20, 5
_CLIPS = ((COMPARE, "both side by side, in step"), (ROUNDS, "all rounds, in step"))
_ACCEPTED = "accepted by you"
MAX_DOTS = 100
"""Maximum number of rounds in the plot of scores."""


def write_report(run_path: Path, *, embed: bool = False) -> Path:
    """Write `report.html` into a run directory and return its path.

    With `embed` its videos are in the page, which may then be sent as one file. Raises RunDirError if there
    is no run that can be shown, FilesError if the disk refuses.
    """
    return _write(read_run(run_path), embed=embed)


def update_report(run_path: Path) -> Path:
    """Write `report.html` unless it is current, with the videos in it if they were; return its path.

    A page of another version of phyt2v is not current. Raises as `write_report` does.
    """
    run, path = read_run(run_path), run_path / NAME
    head = template.head_of(path)
    shown = [record.video for record in run.videos if record.sha256 is not None]
    clips = [name for name, _ in _clips(run)]
    is_ours = f'"{template.GENERATOR}"' in head
    if not (is_ours and is_current(path, [run_path / name for name in (*shown, *clips)])):
        _write(run, embed="media-src 'self' data:" in head)
    return path


def _write(run: ShownRun, *, embed: bool) -> Path:
    path = run.path / NAME
    page = make_page(run, embed=embed)
    with replace_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _clips(run: ShownRun) -> list[tuple[str, str]]:
    """Names of the clips beside the page, and what they show."""
    return [(name, what) for name, what in _CLIPS if (run.path / name).is_file()]


def make_page(run: ShownRun, *, embed: bool = False) -> str:
    """HTML of the whole page."""
    rendered = [record for record in run.videos if record.sha256 is not None]
    cards = list(_cards(run))
    shown = run.shown_video()
    top = next((card for card in cards if card.record is shown), None)
    beside = _beside(run)
    above = {one.record.video for one in beside} | ({top.record.video} if top is not None else set())
    return template.render(
        "page.html.j2",
        run=run.record,
        rounds_done=run.rounds_done(),
        embeds=embed,
        source_of=partial(_source_of, run.path, embed),
        missing=[record.video for record in rendered if not (run.path / record.video).is_file()],
        command=command_of(run.record),
        missing_from_command=list(missing_from_command(run)),
        settings=[(key, json.dumps(value)) for key, value in settings_named(run.record).items()],
        num_videos=len(rendered),
        playable={card.record.video for card in cards if card.strip is not None},
        top=top,
        top_prompt=[] if top is None else changes_of(run.record.prompt, top.record.prompt),
        facts=list(_facts(run)),
        plot=plot_of(_points(run)),
        learned=[_with_flags(sentence) for sentence in learned(run)],
        how_to_compare=_with_flags(how_to_compare(run) or ""),
        beside=beside,
        is_like_with_like=len({(one.record.steps, one.record.purpose) for one in beside}) == 1,
        clips=_clips(run),
        above=above if embed else (),  # it is not put into the page again
        groups=[(folds, list(group)) for folds, group in groupby(cards, lambda card: card.folds)],
        max_flags=MAX_FLAGS,
        max_reasons=MAX_REASONS,
        broken=run.broken,
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
    analysis, usage = run.record.analysis, run.record.usage
    if analysis is not None:
        yield "Main object", analysis.main_object
        yield "Physical law", analysis.physical_law
    if usage.requests:
        tokens = count(usage.prompt_tokens + usage.completion_tokens, "token")
        cost = "" if usage.cost is None else f", cost {usage.cost:.4g}"
        yield "LLM", f"{count(usage.requests, 'request')}, {tokens}{cost}"
    yield "Made with", _made_with(run)


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
    """Why the next round's prompt is another one, or the same, and what the user decided about it."""
    next_prompt: list[tuple[str, str]]
    """Prompt of the next round, as `prompt`, if that has not begun."""
    seconds: float
    strip: str | None
    """Frames of the video, as a data URI; None if there is no whole video."""

    @property
    def folds(self) -> bool:
        """Whether it is folded, since it has nothing new to read."""
        return self.is_unchanged and not self.is_result


def _beside(run: ShownRun) -> tuple[Compared, ...]:
    """Videos of the original prompt and the result; without a control, of the first round and the result."""
    rounds, result = chosen_rounds(run.videos), run.record.result
    if (finals := compared(run)) or result is None:
        return finals
    first, last = rounds[:1], [record for record in run.videos if record.id == result.id]
    shown = [record for record in (*first, *last) if record.sha256 is not None]
    if len(shown) < 2 or shown[0].id == shown[1].id:
        return ()
    return (
        Compared(f"{shown[0].id.label.lower()}, the original prompt", shown[0], is_result=False),
        Compared("result", shown[1], is_result=True),
    )


def _cards(run: ShownRun) -> Iterator[_Card]:
    result = run.record.result
    prompts = {
        record.id.number: record.prompt
        for record in chosen_rounds(run.videos)
        if isinstance(record.id, RoundId)
    }
    for record in run.videos:
        number = record.id.number if isinstance(record.id, RoundId) else None
        before = prompts.get(number - 1) if number is not None else None
        is_last = number is not None and number == max(prompts) < len(run.record.plan)
        scorers = [pair for pair in record.scorers.items() if pair[1].reasons or len(record.scorers) > 1]
        yield _Card(
            title=record.id.label,
            record=record,
            is_result=result is not None and result.id == record.id,
            prompt=changes_of(before, record.prompt),
            is_unchanged=record.prompt == before,
            scorers=scorers[:MAX_SCORERS],
            verdict=", ".join(filter(None, (verdict_on(record), _ACCEPTED * (record.review == "accepted")))),
            next_prompt=changes_of(record.prompt, record.refined_prompt)
            if is_last and record.refined_prompt is not None
            else [],
            seconds=sum(record.seconds.values()),
            strip=None if record.sha256 is None else strip(run.path / record.video),
        )
