"""A run directory as one page: what each round was asked, what came out, and what was changed for the next.

The run may be anybody's. Every text is escaped, the page may load its own style, its own pictures and the
run's videos and nothing else, and only `report.html` is written. Knows no model, no loop and no terminal.
"""

import base64
import hashlib
import html
import io
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import cast

from phyt2v_cli import __version__
from phyt2v_cli.errors import VideoError
from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.files.untrusted import visible
from phyt2v_cli.files.video import sample_frames
from phyt2v_cli.runs.reader import ShownRun, read_run
from phyt2v_cli.runs.records import ScorerRecord, VideoRecord
from phyt2v_cli.video_id import RoundId

NAME = "report.html"
MAX_CHARS = 20_000
"""Of one text on the page; what phyt2v itself records is shorter."""
MAX_DIFF_WORDS = 2000
"""Beyond it two prompts are shown without their difference, which takes quadratic time."""

_STRIP_FRAMES, _STRIP_HEIGHT, _STRIP_GAP = 8, 120, 2
_LONG_PROMPT = 90


def write_report(run_path: Path) -> Path:
    """Write `report.html` into a run directory and return its path.

    Raises RunDirError where there is no run that can be shown, FilesError where the disk refuses.
    """
    path = run_path / NAME
    page = make_page(read_run(run_path))
    with replace_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def make_page(run: ShownRun) -> str:
    """Return the whole page."""
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; media-src 'self'; "
        "base-uri 'none'; form-action 'none'"
    )
    body = "\n".join([_header(run), "<main>", _overview(run), *_cards(run), "</main>", _footer(run)])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_escape(run.record.prompt[:80])}</title>\n<style>{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _escape(text: str) -> str:
    shown = text if len(text) <= MAX_CHARS else text[:MAX_CHARS] + " …"
    return html.escape(visible(shown), quote=True)


def _foreign(text: str, tag: str = "p") -> str:
    return f'<{tag} class="foreign" dir="auto">{_escape(text)}</{tag}>'


def _chip(text: str, kind: str = "") -> str:
    return f'<span class="chip {kind}">{_escape(text)}</span>'


def _header(run: ShownRun) -> str:
    record = run.record
    size = ' class="long foreign"' if len(record.prompt) > _LONG_PROMPT else ' class="foreign"'
    chips = [
        _chip(record.status, record.status),
        _chip(f"{len(run.videos)} videos"),
        _chip(f"seed {record.seed}"),
    ]
    if record.stop_reason is not None:
        chips.append(_chip(f"stopped early: {record.stop_reason.replace('_', ' ')}"))
    return (
        '<header>\n<p class="eyebrow">phyt2v refine</p>\n'
        f'<h1{size} dir="auto">{_escape(record.prompt)}</h1>\n'
        f'<div class="chips">{"".join(chips)}</div>\n</header>'
    )


def _overview(run: ShownRun) -> str:
    """Return the physics of the prompt and the course of the scores, side by side."""
    analysis, usage = run.record.analysis, run.record.usage
    facts = []
    if analysis is not None:
        facts += [("Main object", analysis.main_object), ("Physical law", analysis.physical_law)]
    if run.record.result is not None:
        result = run.record.result
        facts.append(
            ("Result", f"{result.video}, chosen by the rule “{result.selected_by.replace('_', ' ')}”")
        )
    if usage.requests:
        tokens = usage.prompt_tokens + usage.completion_tokens
        cost = "" if usage.cost is None else f", cost {usage.cost:.4g}"
        facts.append(("LLM", f"{usage.requests} requests, {tokens:,} tokens{cost}"))
    rows = "".join(f"<dt>{name}</dt>{_foreign(text, 'dd')}" for name, text in facts)
    return f'<section class="card overview">\n<dl>{rows}</dl>\n{_curves(run.videos)}\n</section>'


def _curves(videos: Sequence[VideoRecord]) -> str:
    """Return SA and PC over the rounds as a small plot; a draft's dot is open, a final's is filled."""
    rounds = [(record.id.number, record) for record in videos if isinstance(record.id, RoundId)][:100]
    if not rounds:
        return ""
    width, height, left, bottom = 440, 190, 34, 158
    gap = (width - left - 40) / max(len(rounds) - 1, 1)
    parts = [
        f'<line class="grid" x1="{left}" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
        for label, y in (("1", 18.0), ("0.5", (bottom + 18) / 2), ("0", float(bottom)))
    ]
    # The first is drawn thicker, so that it is seen where both are equal.
    for name, key, radius in (("SA", "semantic_adherence", 6.5), ("PC", "physical_commonsense", 4)):
        dots = [
            (left + 16 + n * gap, bottom - (bottom - 18) * value, record.purpose)
            for n, (_, record) in enumerate(rounds)
            if (value := getattr(record.scores, key, None)) is not None
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in dots)
        parts.append(f'<polyline class="{name.lower()} curve" points="{line}"/>')
        for x, y, purpose in dots:
            kind = "open" if purpose == "draft" else ""
            parts.append(f'<circle class="{name.lower()} {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>')
    every = max(1, len(rounds) // 12)
    for n, (number, _) in list(enumerate(rounds))[::every]:
        x = left + 16 + n * gap
        parts.append(f'<text x="{x:.1f}" y="{bottom + 22}" text-anchor="middle">{number}</text>')
    return (
        f'<div><svg viewBox="0 0 {width} {height}" role="img" aria-label="scores by round">'
        f"{''.join(parts)}</svg>"
        f'<svg viewBox="0 0 {width} 20" aria-hidden="true"><circle class="sa" cx="44" cy="9" r="4.5"/>'
        '<text x="54" y="13">semantic adherence</text><circle class="pc" cx="204" cy="9" r="4.5"/>'
        '<text x="214" y="13">physical commonsense</text><text x="372" y="13">○ draft</text></svg></div>'
    )


def _cards(run: ShownRun) -> Iterator[str]:
    before: str | None = None
    for record in run.videos:
        yield _card(run, record, before)
        if isinstance(record.id, RoundId):
            before = record.prompt


def _card(run: ShownRun, record: VideoRecord, before: str | None) -> str:
    title = record.id.label
    is_result = run.record.result is not None and run.record.result.video == record.video
    chips = [
        f"<h2>{title}</h2>",
        _chip(f"{record.steps} steps"),
        _chip(record.purpose, record.purpose),
        *([_chip("the result", "final")] if is_result else []),
        *(_chip(flag.replace("_", " "), "flag") for flag in record.flags[:10]),
        *([_chip(f"seed {record.seed}")] if record.seed != run.record.seed else []),
    ]
    right = [f"<h3>Prompt</h3>{_prompt(record.prompt, before)}"]
    if record.caption is not None:
        right.append(f"<h3>What was seen</h3>{_foreign(record.caption)}")
    if record.mismatch is not None:
        found = record.mismatch.text if record.mismatch.found else "none found"
        right.append(f"<h3>Mismatch</h3>{_foreign(found)}")
    right += _reasons(record.scorers)
    video, strip = _video(run.path, record)
    seconds = sum(record.seconds.values())
    took = f'<p class="quiet">{seconds:,.1f} s in all</p>' if seconds else ""
    return (
        f'<article class="card{" result" if is_result else ""}">\n<div class="chips">{"".join(chips)}</div>\n'
        f'<div class="round">\n<div>{video}{_bars(record)}{took}</div>\n<div>{"".join(right)}</div>\n</div>\n'
        f"{strip}</article>"
    )


def _prompt(prompt: str, before: str | None) -> str:
    """Return a prompt with the words that came and went since the round before."""
    if before is None:
        return _foreign(prompt)
    if prompt == before:
        return _foreign(prompt) + '<p class="quiet">unchanged</p>'
    old, new = before.split(), prompt.split()
    if len(old) + len(new) > MAX_DIFF_WORDS:
        return _foreign(prompt)
    parts = []
    for kind, a, b, c, d in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        gone, come = " ".join(old[a:b]), " ".join(new[c:d])
        if kind == "equal":
            parts.append(_escape(come))
            continue
        parts += [f"<del>{_escape(gone)}</del>"] * bool(gone) + [f"<ins>{_escape(come)}</ins>"] * bool(come)
    return f'<p class="foreign" dir="auto">{" ".join(parts)}</p>'


def _reasons(scorers: dict[str, ScorerRecord]) -> Iterator[str]:
    for name, scorer in list(scorers.items())[:10]:
        if scorer.reasons or len(scorers) > 1:
            pair = f"SA {_show(scorer.semantic_adherence)}, PC {_show(scorer.physical_commonsense)}"
            reasons = "".join(_foreign(reason, "li") for reason in scorer.reasons[:20])
            yield f"<h3>Scored by {_escape(name)}: {pair}</h3><ul>{reasons}</ul>"


def _bars(record: VideoRecord) -> str:
    if record.scores is None:
        return ""
    rows = []
    for n, (name, value) in enumerate(
        (("SA", record.scores.semantic_adherence), ("PC", record.scores.physical_commonsense))
    ):
        y = 4 + 22 * n
        bar = (
            "" if value is None else f'<rect class="{name.lower()}" x="34" y="{y}" width="{218 * value:.1f}"'
        )
        rows.append(
            f'<text x="0" y="{y + 10}">{name}</text>'
            f'<rect class="track" x="34" y="{y}" width="218" height="10" rx="5"/>'
            + (f'{bar} height="10" rx="5"/>' if bar else "")
            + f'<text class="value" x="300" y="{y + 10}" text-anchor="end">{_show(value)}</text>'
        )
    return f'<svg class="scores" viewBox="0 0 304 46" role="img" aria-label="scores">{"".join(rows)}</svg>'


def _video(run_path: Path, record: VideoRecord) -> tuple[str, str]:
    """Return the player and the strip of frames; a video that is not whole is not offered."""
    if record.sha256 is None:
        return '<div class="missing">not rendered yet</div>', ""
    try:
        strip = _strip(run_path / record.video)
    except VideoError:
        return '<div class="missing">the video is missing or broken</div>', ""
    player = (
        f'<video src="{_escape(record.video)}" controls loop muted playsinline preload="metadata"></video>'
    )
    return player, f'<img class="strip" alt="{_STRIP_FRAMES} frames of the video" src="{strip}">\n'


def _strip(video_path: Path) -> str:
    """Return evenly sampled frames as one JPEG in a data URI."""
    from PIL import Image

    frames = sample_frames(video_path, _STRIP_FRAMES)
    width = max(1, round(_STRIP_HEIGHT * frames.shape[2] / frames.shape[1]))
    strip = Image.new("RGB", (_STRIP_FRAMES * (width + _STRIP_GAP) - _STRIP_GAP, _STRIP_HEIGHT), "#808080")
    for number, frame in enumerate(frames):
        picture = Image.fromarray(frame).resize((width, _STRIP_HEIGHT), Image.Resampling.LANCZOS)
        strip.paste(picture, (number * (width + _STRIP_GAP), 0))
    content = io.BytesIO()
    strip.save(content, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def _footer(run: ShownRun) -> str:
    generator = cast("dict[str, object]", run.record.config.get("generator") or {})
    facts = [("model", str(generator.get("model", "unknown")))] if isinstance(generator, dict) else []
    facts += list(run.record.versions.items())[:20]
    listed = ", ".join(f"{name} {value}" for name, value in facts)
    broken = f"<p>Could not be read: {_escape(', '.join(run.broken))}.</p>" if run.broken else ""
    return (
        f"<footer>{broken}<p>A draft's scores say nothing about a final's: compare dots of one kind only.</p>"
        f"{_foreign(listed)}"
        f"<p>Written by phyt2v {__version__}. This page loads nothing from elsewhere.</p></footer>"
    )


def _show(score: float | None) -> str:
    return "-" if score is None else f"{score:.2f}"
