"""View of one run as text and as JSON, from its records. Their content is only shown, never acted on."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from phyt2v_cli.cli import console
from phyt2v_cli.cli.progress.run import scores_text
from phyt2v_cli.quantities import count
from phyt2v_cli.report.as_json.rounds import (
    arms_as_json,
    candidates_as_json,
    rerenders_as_json,
    round_as_json,
)
from phyt2v_cli.report.verdict import verdict_on
from phyt2v_cli.runs.outcome.arms import arms_of_run
from phyt2v_cli.runs.outcome.candidates import chosen_rounds
from phyt2v_cli.runs.records import MAX_REASONS
from phyt2v_cli.runs.stored import storable_text
from phyt2v_cli.video_id import CONTROL

if TYPE_CHECKING:
    from phyt2v_cli.runs.reader import ShownRun
    from phyt2v_cli.runs.records import VideoRecord

_MAX_LABEL_CHARS = 100


def run_text(run: "ShownRun") -> Group:
    """Text of a run: its facts, then one block for each video, planned or there."""
    record = run.record
    parts: list[RenderableType] = [
        Text.assemble(console.safe(str(run.path), "bold"), f": {record.status}, seed {record.seed}"),
        _labelled("prompt", record.prompt),
    ]
    parts += [_labelled("replanned", words) for words in record.replanned[-MAX_REASONS:]]
    if record.analysis is not None:
        parts.append(_labelled("main object", record.analysis.main_object))
        parts.append(_labelled("physical law", record.analysis.physical_law))
    by_id = {video.id: video for video in run.videos}
    missing = "not begun" if record.stop_reason is None else "left out, for the run stopped early"
    for planned in record.planned_rounds:
        id = planned.id
        video = by_id.pop(id, None)
        if video is None:
            parts += [
                Text(),
                Text(f"{id.label}: {count(planned.steps, 'step')}, {planned.purpose}; {missing}"),
            ]
        else:
            parts += _video(video)
        for candidate in planned.ids[1:]:
            if (video := by_id.pop(candidate, None)) is not None:
                parts += _video(video)
    # The controls, and rounds that are not in the plan.
    for video in by_id.values():
        parts += _video(video)
    if record.result is not None and (video_path := run.result_video()) is not None:
        parts += [Text(), console.safe(f"Result: {video_path}", "bold green")]
        parts.append(_labelled("selected by", record.result.selected_by))
    for name in run.broken:
        parts.append(console.safe(f"Could not be read: {name}", "yellow"))
    return Group(*parts)


def run_as_json(run: "ShownRun") -> dict[str, object]:
    """Run as JSON, without its config."""
    kept = {"status", "prompt", "seed", "plan", "analysis", "stop_reason", "usage", "result"}
    kept |= {"replanned", "versions", "later_versions", "attempts"}
    control = next((video for video in run.videos if video.id == CONTROL), None)
    result = run.result_video()
    return {
        "schema": "phyt2v.run-shown/1",
        "run_dir": str(run.path),
        **run.record.model_dump(mode="json", include=kept),
        "video": str(result) if result is not None else None,
        "rounds": [round_as_json(video) for video in chosen_rounds(run.videos)],
        "candidates": candidates_as_json(run.videos),
        "rerenders": rerenders_as_json(run.videos),
        "control": round_as_json(control) if control is not None else None,
        "controls": arms_as_json(arms_of_run(run)),
        "broken": list(run.broken),
    }


def _video(video: "VideoRecord") -> list[RenderableType]:
    scores = scores_text(video.all_scores()) if video.scores is not None else "not scored yet"
    parts: list[RenderableType] = [
        Text(),
        Text(
            f"{video.id.label}: {count(video.steps, 'step')}, {video.purpose}, {video.video}; {scores}"
            f"{'; chosen' if video.is_chosen else ''}",
            style="bold",
        ),
        _labelled("prompt", video.prompt),
    ]
    if video.caption is not None:
        parts.append(_labelled("caption", video.caption))
    for name, scorer in video.scorers.items():
        if len(video.scorers) > 1:
            parts.append(_labelled(name, scores_text(scorer.to_scores())))
        parts += [_labelled(name, reason) for reason in scorer.reasons[:MAX_REASONS]]
    if video.mismatch is not None and video.mismatch.found:
        parts.append(_labelled("mismatch", video.mismatch.text))
    if video.flags:
        parts.append(_labelled("flags", ", ".join(video.flags)))
    if why := verdict_on(video):
        parts.append(_labelled("next prompt", why))
    return parts


def _labelled(label: str, text: str) -> Padding:
    flat = " ".join(storable_text(text).split())
    shown = Text.assemble(console.safe(f"{label[:_MAX_LABEL_CHARS]}: ", "dim"), console.safe(flat))
    return Padding(shown, (0, 0, 0, 2), expand=False)
