"""What a run has learned, in at most three sentences, from its records alone. Draws nothing.

Scores are compared between finals of the same number of steps only. Of drafts only one thing is said: that no
later one, which has at least as many steps, has higher scores than the first.
"""

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from phyt2v_cli.config.schema import Config
from phyt2v_cli.quantities import count, score
from phyt2v_cli.runs.outcome.arms import Arm, arms_of
from phyt2v_cli.runs.outcome.candidates import are_comparable, chosen_rounds, is_stilled
from phyt2v_cli.runs.reader import ShownRun
from phyt2v_cli.runs.records import RunRecord, VideoRecord
from phyt2v_cli.video_id import CONTROL, VideoId

_MAX_SENTENCES = 3
_SAME = 1e-6
"""Sums of scores that are not further apart are equal."""


def learned(run: ShownRun) -> list[str]:
    """Zero to three sentences about a complete run; none about another, or if its config is not understood.

    What can be set is named in backticks by its keyword, as in the hint of an error.
    """
    try:
        config = Config.model_validate(run.record.config)
    except ValidationError:
        return []
    rounds = chosen_rounds(run.videos)
    if run.record.status != "complete" or run.record.result is None or not rounds:
        return []
    arms = [arm for arm in arms_of(run.videos, config) if arm.video.sha256 is not None]
    sentences = [
        *(_on_controls(arms, rounds[-1], run.record.result.id) if arms else [_on_finals(rounds)]),
        _on_repeats(run.record, rounds, config),
        _on_drafts(rounds),
    ]
    return [sentence for sentence in sentences if sentence][:_MAX_SENTENCES]


def how_to_compare(run: ShownRun) -> str | None:
    """Sentence on how to render the original beside the result of a complete run; None if it is there.

    Also if the run has only one video, which is that of the original prompt.
    """
    record = run.record
    if record.status != "complete" or len(chosen_rounds(run.videos)) < 2:
        return None
    if any(video.id == CONTROL and video.sha256 is not None for video in run.videos):
        return None
    steps = count(record.plan[-1].steps, "step")
    return f"The same command with `control` adds the original prompt at {steps}, to compare."


def _on_controls(arms: Sequence[Arm], last: VideoRecord, result: VideoId) -> Iterator[str]:
    """The last round beside the original, then beside the best other control if that is as good.

    All of them are finals of as many steps.
    """
    comparable = [
        arm
        for arm in arms
        if arm.video.steps == last.steps and last.purpose == "final" and are_comparable([arm.video, last])
    ]
    at = f"both at {count(last.steps, 'step')}"
    for arm in comparable:
        if arm.name != "original":
            continue
        gain = _total(last) - _total(arm.video)
        if gain > _SAME:
            yield f"The rounds helped: the last one has {_gains(arm.video, last)} over the original, {at}."
        elif gain >= -_SAME:
            yield f"Nothing improved: the original scores as high as the last round, {at}."
        else:
            kept = "" if result == arm.video.id else "; with `select` best it would be the result"
            over = f"{_gains(last, arm.video)} over the last round"
            yield f"The control won: the original has {over}, {at}{kept}."
    others = [arm for arm in comparable if arm.name != "original" and arm.video.id != CONTROL]
    best = max(others, key=lambda arm: _total(arm.video), default=None)  # the first of equal ones
    if best is not None and _total(best.video) > _total(last) + _SAME:
        yield f"The {best.label} has {_gains(last, best.video)} over the last round, {at}."
    elif best is not None and _total(best.video) >= _total(last) - _SAME:
        yield f"The {best.label} scores as high as the last round, {at}."


def _gains(before: VideoRecord, after: VideoRecord) -> str:
    """Differences in SA and PC, without one that is zero, as in ``PC +0.60``."""
    pairs = zip(("SA", "PC"), _pair(before), _pair(after), strict=True)
    return " and ".join(
        f"{name} {there - here:+.2f}"
        for name, here, there in pairs
        if here is not None and there is not None and abs(there - here) > _SAME
    )


def _on_finals(rounds: Sequence[VideoRecord]) -> str:
    """The first of several finals of as many steps, if no later one has higher scores."""
    finals = [video for video in rounds if video.purpose == "final" and video.steps == rounds[-1].steps]
    if len(finals) < 2 or not are_comparable(finals):
        return ""
    first, *later = finals
    if max(map(_total, later)) > _total(first) + _SAME:
        return ""
    return f"Nothing improved: no later final has higher scores than {_named(first)}, {_scores(first)}."


def _on_drafts(rounds: Sequence[VideoRecord]) -> str:
    """The first draft, if no later one has higher scores though it has at least as many steps."""
    drafts = [video for video in rounds if video.purpose == "draft"]
    if len(drafts) < 2 or not are_comparable(drafts):
        return ""
    first, *later = drafts
    is_fair = all(video.steps >= first.steps for video in later)
    if not is_fair or max(map(_total, later)) > _total(first) + _SAME:
        return ""
    return f"No later draft has higher scores than that of {_named(first)}, {_scores(first)}."


def _on_repeats(run: RunRecord, rounds: Sequence[VideoRecord], config: Config) -> str:
    """The last rounds, if several drafts among them have the prompt of the final."""
    same = len(rounds)
    while same > 1 and rounds[same - 2].prompt == rounds[-1].prompt:
        same -= 1
    first, last = same, len(rounds)
    is_as_planned = len(rounds) == len(run.plan) and not run.replanned and not run.extended_after
    if last - first < 2 or config.refinement.early_stop or not is_as_planned:
        return ""
    fact = f"Rounds {first} to {last} rendered the same prompt"
    stop = next((n for n, video in enumerate(rounds, 1) if _would_stop(video, config)), last)
    planned = run.planned_rounds
    left_out = planned[stop:] if rounds[stop - 1].purpose == "final" else planned[stop:-1]
    saved = sum(entry.total_steps for entry in left_out)
    is_steered = any(video.review is not None for video in rounds)
    if config.schedule.share_trajectory or is_steered or stop >= last or not saved:
        return f"{fact}."
    final = "" if stop >= first else f", with the prompt of round {stop} for its final"
    return f"{fact}: `early_stop` would have saved {count(saved, 'step')}{final}."


def _would_stop(video: VideoRecord, config: Config) -> bool:
    """Whether `early_stop` would have ended the run after this round, as the loop decides it."""
    if is_stilled(video):
        return False
    if video.mismatch is not None and not video.mismatch.found:
        return True
    pair = video.score_pair()
    return pair is not None and min(pair) >= config.refinement.stop_score


def _pair(video: VideoRecord) -> tuple[float | None, float | None]:
    scores = video.all_scores()
    return scores.semantic_adherence, scores.physical_commonsense


def _total(video: VideoRecord) -> float:
    return sum(value or 0.0 for value in _pair(video))


def _scores(video: VideoRecord) -> str:
    scores = video.all_scores()
    return f"SA {score(scores.semantic_adherence)} and PC {score(scores.physical_commonsense)}"


def _named(video: VideoRecord) -> str:
    return video.id.label.partition(",")[0].lower()
