"""Calibration as a table and as lines for people. Knows its record only; prints nothing."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from phyt2v_cli.cli import console
from phyt2v_cli.quantities import count, duration, score

if TYPE_CHECKING:
    from phyt2v_cli.calibration.record import CalibrationRecord, DraftRecord
    from phyt2v_cli.sets.study.running import VideoDone

_VERDICTS = {True: "yes", False: "no", None: "too few"}


def line_of_video(done: "VideoDone", seconds: float) -> str:
    """Line about a video that was rendered and judged just now, so many seconds after the beginning."""
    video = done.video
    which = f"rewrite {video.rewrite}" if video.rewrite else "the prompt"
    scores = "no picture"
    for judgings in video.scorers.values():
        sa, pc = judgings[0].semantic_adherence, judgings[0].physical_commonsense
        scores = f"SA {score(sa)}, PC {score(pc)}"
        break
    return (
        f"{done.number:,} of {done.total:,} after {duration(seconds)}: {done.request}, {which}, "
        f"seed {video.seed}, {video.setting.name}: {scores}"
    )


def calibration_table(record: "CalibrationRecord", *, ascii_only: bool = False) -> Table:
    """Table with a row for each draft setting.

    Rank correlation over prompts and within one request, order kept of how many pairs, agreement with the
    final, and the verdict whether it keeps the order.
    """
    table = Table(
        title=f"Drafts beside finals of {count(record.final_steps, 'step')}",
        title_justify="left",
        box=box.ASCII2 if ascii_only else box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("draft", no_wrap=True)
    for heading in ("cost", "rank", "within", "order", "agrees", "keeps"):
        table.add_column(heading, justify="right")
    for draft in record.drafts:
        table.add_row(
            console.safe(draft.name),
            _number(draft.cost),
            _number(draft.rank_over_prompts),
            _number(draft.rank_within_requests),
            _of(draft.order_kept, draft.num_ordered),
            _number(draft.agreement),
            _VERDICTS[draft.keeps_order],
        )
    return table


def lines_of(record: "CalibrationRecord") -> Iterator[str]:
    """Yield what is beside the table: spread, judges and recommendations."""
    spread = record.spread
    if spread.total is None:
        yield "Noise: not measured, which takes two seeds of one prompt with scores."
    else:
        groups = count(spread.num_groups, "prompt or rewrite", "prompts and rewrites")
        yield (
            f"Noise over seeds, of {groups}: standard deviation {_number(spread.semantic_adherence)} of "
            f"SA, {_number(spread.physical_commonsense)} of PC, {_number(spread.total)} of their sum; noise "
            f"floor {_number(spread.noise_floor)}."
        )
    for judge in record.judges:
        again = (
            "no retest"
            if judge.largest_retest_difference is None
            else f"a second judging differs by {_number(judge.mean_retest_difference)} on average and "
            f"{_number(judge.largest_retest_difference)} at most, over {count(judge.num_retests, 'video')}"
        )
        abstained = f"abstained from {judge.num_abstained:,} of {count(judge.num_videos, 'video')}"
        yield f"Judge {judge.name}: {abstained}; {again}."
    for pair in record.judge_pairs:
        yield (
            f"Judges {pair.first} and {pair.second}: rank correlation "
            f"{_number(pair.rank_semantic_adherence)} of SA and {_number(pair.rank_physical_commonsense)} of "
            f"PC, {_of(pair.agreement, pair.num_compared)} on the same side of {record.stop_score:g}."
        )
    for line in map(_about_stop_score, record.drafts):
        if line:
            yield f"{line} (stop score {record.stop_score:g})."
    recommended = record.recommended
    values = {
        "search.tie": recommended.tie,
        "schedule.min_steps": recommended.min_steps,
        "generator.draft_cache": recommended.draft_cache,
        "search.look_at": None if recommended.look_at is None else f"{recommended.look_at:.3g}",
    }
    told = [f"{key}={value}" for key, value in values.items() if value is not None]
    yield f"Recommended: {', '.join(told) if told else 'nothing yet'}."
    for reason in recommended.reasons:
        yield f"  {reason}"


def _about_stop_score(draft: "DraftRecord") -> str:
    if draft.is_look and draft.num_suspected:
        return (
            f"{draft.name}: of {count(draft.num_suspected, 'suspect')} {draft.num_cleared:,} had a good final"
        )
    if draft.is_look or draft.cache is not None or not draft.num_reached:
        return ""
    return (
        f"{draft.name}: of {count(draft.num_reached, 'good draft')} {draft.num_confirmed:,} had a good final"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _of(value: float | None, number: int) -> str:
    return "-" if value is None else f"{value:.2f} of {number:,}"
