"""HTML page of a run: each round's prompt and its changes, video, caption and scores.

The run may be anybody's. Every text is cut and escaped. The page may load only its own style, its own
pictures and the run's videos, and only `report.html` is written. The markup is in `page.html.j2`. Knows no
model, no loop and no terminal.
"""

import base64
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli import __version__
from phyt2v_cli.errors import VideoError
from phyt2v_cli.events import Purpose
from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.files.untrusted import visible
from phyt2v_cli.files.video import sample_frames
from phyt2v_cli.quantities import count, score
from phyt2v_cli.report.verdict import verdict_on
from phyt2v_cli.runs.reader import ShownRun, read_run
from phyt2v_cli.runs.records import ScorerRecord, VideoRecord
from phyt2v_cli.video_id import RoundId

if TYPE_CHECKING:
    from jinja2 import Template

NAME = "report.html"
MAX_CHARS = 20_000
"""Limit of one text on the page; what phyt2v itself records is shorter."""
MAX_DIFF_WORDS = 2000
"""Limit above which two prompts are shown without their difference, which takes quadratic time."""
MAX_FLAGS, MAX_SCORERS, MAX_REASONS = 10, 10, 20
"""Limits for one video; that of reasons is for one scorer."""
MAX_VERSIONS, MAX_UPGRADES = 20, 5
MAX_DOTS = 100
"""Maximum number of rounds in the plot of scores."""

_STRIP_FRAMES, _STRIP_HEIGHT, _STRIP_GAP = 8, 120, 2


def write_report(run_path: Path) -> Path:
    """Write `report.html` into a run directory and return its path.

    Raises RunDirError if there is no run that can be shown, FilesError if the disk refuses.
    """
    path = run_path / NAME
    page = make_page(read_run(run_path))
    with replace_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def make_page(run: ShownRun) -> str:
    """HTML of the whole page."""
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    return _template().render(
        style=style,
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        run=run.record,
        num_videos=sum(record.sha256 is not None for record in run.videos),
        facts=list(_facts(run)),
        plot=_plot(
            [(record.id.number, record) for record in run.videos if isinstance(record.id, RoundId)][:MAX_DOTS]
        ),
        cards=list(_cards(run)),
        max_flags=MAX_FLAGS,
        max_reasons=MAX_REASONS,
        broken=run.broken,
        made_with=_made_with(run),
        version=__version__,
    )


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["score"] = score
    environment.globals["count"] = count
    return environment.get_template("page.html.j2")


def _shown(value: object) -> object:
    """Safe text of any value that the template prints: cut, and without controls; jinja2 then escapes it."""
    if hasattr(value, "__html__"):  # our own markup: of a macro, or marked safe by the template
        return value
    text = str(value)
    return visible(text if len(text) <= MAX_CHARS else text[:MAX_CHARS] + " …")


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


@dataclass(frozen=True)
class _Dot:
    """Score of one round, at its place in the plot."""

    x: float
    y: float
    purpose: Purpose


@dataclass(frozen=True)
class _Plot:
    """Plot of SA and PC over the rounds. Places are in units of the view box."""

    width: int
    height: int
    left: int
    """Left end of the horizontal lines."""
    levels: list[tuple[str, float]]
    """Labels of the horizontal lines, and their y."""
    numbers: list[tuple[str, float]]
    """Numbers of the rounds that are labelled below the plot, and their x."""
    sa: list[_Dot]
    pc: list[_Dot]


def _plot(rounds: Sequence[tuple[int, VideoRecord]]) -> _Plot | None:
    """Plot of the scores, from the number of each round and its record; None without rounds."""
    if not rounds:
        return None
    width, height, left, top, bottom = 440, 190, 34, 18, 158
    gap = (width - left - 40) / max(len(rounds) - 1, 1)
    places = [(round(left + 16 + n * gap, 1), *pair) for n, pair in enumerate(rounds)]

    def dots(name: str) -> list[_Dot]:
        scores = [(x, getattr(record.scores, name, None), record.purpose) for x, _, record in places]
        return [
            _Dot(x, round(bottom - (bottom - top) * score, 1), purpose)
            for x, score, purpose in scores
            if score is not None
        ]

    return _Plot(
        width,
        height,
        left,
        levels=[("1", top), ("0.5", (top + bottom) / 2), ("0", bottom)],
        numbers=[(str(number), x) for x, number, _ in places[:: max(1, len(rounds) // 12)]],
        sa=dots("semantic_adherence"),
        pc=dots("physical_commonsense"),
    )


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
    before: str | None = None
    for record in run.videos:
        scorers = [pair for pair in record.scorers.items() if pair[1].reasons or len(record.scorers) > 1]
        yield _Card(
            title=record.id.label,
            record=record,
            is_result=result is not None and result.video == record.video,
            prompt=_changes(before, record.prompt),
            is_unchanged=record.prompt == before,
            scorers=scorers[:MAX_SCORERS],
            verdict=verdict_on(record),
            seconds=sum(record.seconds.values()),
            strip=_strip(run.path, record),
        )
        if isinstance(record.id, RoundId):
            before = record.prompt


def _changes(before: str | None, prompt: str) -> list[tuple[str, str]]:
    """Diff of a prompt against that of the round before, in parts."""
    if before is None or before == prompt or max(len(before), len(prompt)) > MAX_CHARS:
        return [("same", prompt)]
    old, new = before.split(), prompt.split()
    if len(old) + len(new) > MAX_DIFF_WORDS:
        return [("same", prompt)]
    parts = []
    for kind, a, b, c, d in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        gone, come = " ".join(old[a:b]), " ".join(new[c:d])
        parts += [("same", come)] if kind == "equal" else [("del", gone), ("ins", come)]
    return [(kind, words) for kind, words in parts if words]


def _strip(run_path: Path, record: VideoRecord) -> str | None:
    """Evenly sampled frames of a video side by side, as a JPEG in a data URI."""
    from PIL import Image

    if record.sha256 is None:
        return None
    try:
        frames = sample_frames(run_path / record.video, _STRIP_FRAMES)
    except VideoError:
        return None
    width = max(1, round(_STRIP_HEIGHT * frames.shape[2] / frames.shape[1]))
    strip = Image.new("RGB", (_STRIP_FRAMES * (width + _STRIP_GAP) - _STRIP_GAP, _STRIP_HEIGHT), "#808080")
    for number, frame in enumerate(frames):
        picture = Image.fromarray(frame).resize((width, _STRIP_HEIGHT), Image.Resampling.LANCZOS)
        strip.paste(picture, (number * (width + _STRIP_GAP), 0))
    content = io.BytesIO()
    strip.save(content, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
