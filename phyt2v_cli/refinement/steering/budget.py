"""Budget of a run: time and money, kept by fewer steps for later drafts, and then by fewer drafts.

The final is reserved first, with the controls. What a draft takes is measured in this run, before that by
earlier runs on this machine. Knows plans and records; it does not know prompts.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from phyt2v_cli.quantities import count, duration
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.reader import read_videos
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.schedule import MIN_DRAFT_STEPS, PlannedRound, plan_controls
from phyt2v_cli.timing import speeds

_SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Pace:
    """What rendering takes, in seconds or in money."""

    draft_step: float
    final_step: float
    video: float
    """What a video takes besides its denoising: decoding, encoding and the judges."""
    rewrite: float = 0.0
    """What a mismatch and a rewritten prompt take besides that."""

    def draft(self, planned: PlannedRound, steps: int | None = None) -> float:
        """What a round of drafts takes."""
        whole = with_steps(planned, planned.steps if steps is None else steps)
        return whole.total_steps * self.draft_step + self._fixed(planned)

    def final(self, planned: PlannedRound) -> float:
        """What the last round takes, which no rewrite follows."""
        return planned.total_steps * self.final_step + planned.num_candidates * self.video

    def _fixed(self, planned: PlannedRound) -> float:
        return planned.num_candidates * self.video + self.rewrite

    def share_of_steps(self, drafts: Sequence[PlannedRound], available: float) -> float:
        """Share of their steps that all drafts can take of what is available."""
        fixed = sum(self._fixed(draft) for draft in drafts)
        steps = sum(draft.total_steps for draft in drafts) * self.draft_step
        return (available - fixed) / steps if steps else float(available >= fixed)


def with_steps(planned: PlannedRound, steps: int) -> PlannedRound:
    """Round with other steps, and a look after the same share of them."""
    look = planned.look_steps
    return replace(
        planned, steps=steps, look_steps=None if look is None else math.ceil(look * steps / planned.steps)
    )


def drafts_that_fit(drafts: Sequence[PlannedRound], available: float, pace: Pace) -> list[PlannedRound]:
    """Drafts that fit into what is available: all of them, maybe with fewer steps, or the first of them."""
    for number in range(len(drafts), 0, -1):
        kept = drafts[:number]
        share = pace.share_of_steps(kept, available)
        if share >= 1:
            return list(kept)
        shrunk = [int(draft.steps * share) for draft in kept]
        if all(steps >= min(MIN_DRAFT_STEPS, draft.steps) for steps, draft in zip(shrunk, kept, strict=True)):
            return [
                replace(with_steps(draft, steps), purpose="draft")
                for draft, steps in zip(kept, shrunk, strict=True)
            ]
    return []


class Budget:
    """Budget of one call that completes a run, from now on."""

    def __init__(self, run: RunDir, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to count; without `run.max_seconds` and `run.max_cost` everything fits."""
        self._run, self._config, self._clock = run, run.config, clock
        self._begun = clock()

    def fit(
        self, left: Sequence[PlannedRound], done: Sequence[VideoRecord]
    ) -> tuple[list[PlannedRound], str]:
        """Fit the rounds that are left, the final among them, and say in words what changed.

        `done` are the chosen videos of the rounds before. The words are empty if all is as it was planned, or
        if nothing is known yet of what a round takes.
        """
        *drafts, final = left
        fitting = list(drafts)
        reasons = []
        for available, pace, words in self._limits(final, done):
            before = fitting
            fitting = drafts_that_fit(fitting, available, pace)
            if fitting != before or (available < 0 and not drafts):
                reasons.append(words)
        if not reasons:
            return list(left), ""
        *_, words = reasons
        return [*fitting, replace(final, round=final.round - len(drafts) + len(fitting))], (
            f"{words}: {_change(drafts, fitting)}"
        )

    def _limits(self, final: PlannedRound, done: Sequence[VideoRecord]) -> Iterator[tuple[float, Pace, str]]:
        """What is available for drafts, what they take, and in words what is left; for each limit."""
        run = self._config.run
        pace = self._pace(done)
        if run.max_seconds is not None and pace is not None:
            known = speeds.find(self._config.generator)
            spent = self._clock() - self._begun
            loading = max(known.load_s - spent, 0.0) if known is not None and not done else 0.0
            left = run.max_seconds - spent - loading
            yield (
                left - self._reserved(final, pace),
                pace,
                f"about {duration(max(left, 0))} of run.max_seconds are left",
            )
        if run.max_cost is not None and (of_money := self._pace_of_money(pace, done)) is not None:
            left = run.max_cost - self._cost()
            yield (
                left - self._reserved(final, of_money),
                of_money,
                f"{max(left, 0):.4g} of run.max_cost are left",
            )

    def _reserved(self, final: PlannedRound, pace: Pace) -> float:
        """What the final takes, and the controls that are not there yet."""
        controls = plan_controls(self._config.refinement, self._run.record.planned_rounds)
        of_controls = [control.steps * pace.final_step + pace.video for control in controls if control.steps]
        return pace.final(final) + sum(of_controls)

    def _pace(self, done: Sequence[VideoRecord]) -> Pace | None:
        """Seconds, by the latest videos of this run, or else as this machine has measured them."""
        known = speeds.find(self._config.generator)
        drafts = _step_seconds(video for video in done if video.purpose == "draft")
        finals = _step_seconds(video for video in done if video.purpose == "final")
        if known is None and not drafts and not finals:
            return None
        draft = drafts or (known.draft_step_s if known is not None else finals)
        final = finals or max(draft, known.final_step_s if known is not None else 0.0)
        if not done:
            judges = speeds.find_judges(self._config)
            rewrite = judges.get("mismatch", 0.0) + judges.get("refine", 0.0)
            decoding = known.video_s if known is not None else 0.0
            return Pace(draft, final, decoding + sum(judges.values()) - rewrite, rewrite)
        rewrites = {"mismatch", "refine"}
        last = done[-1].seconds
        return Pace(
            draft,
            final,
            sum(s for stage, s in last.items() if stage not in {"denoise", *rewrites}),
            sum(s for stage, s in last.items() if stage in rewrites),
        )

    def _pace_of_money(self, pace: Pace | None, done: Sequence[VideoRecord]) -> Pace | None:
        """The same in money: GPU time by its price, and what the LLM has cost for each round so far."""
        a_second = (self._config.run.price_per_hour or 0.0) / _SECONDS_PER_HOUR
        llm = (self._run.record.usage.cost or 0.0) / len(done) if done else 0.0
        if pace is None:
            return None
        return Pace(
            pace.draft_step * a_second,
            pace.final_step * a_second,
            pace.video * a_second,
            pace.rewrite * a_second + llm,
        )

    def _cost(self) -> float:
        """What the run has cost so far."""
        seconds = sum(sum(video.seconds.values()) for video in read_videos(self._run.path)[0])
        of_time = seconds * (self._config.run.price_per_hour or 0.0) / _SECONDS_PER_HOUR
        return of_time + (self._run.record.usage.cost or 0.0)


def _step_seconds(videos: Iterable[VideoRecord]) -> float:
    """Seconds of a step of the latest of some videos; 0 if none was timed."""
    timed = [video.seconds["denoise"] / video.steps for video in videos if "denoise" in video.seconds]
    return timed[-1] if timed else 0.0


def _change(before: Sequence[PlannedRound], after: Sequence[PlannedRound]) -> str:
    if after == before:
        return "too little for the final, which is rendered all the same"
    if not after:
        return "the final comes next"
    steps, planned = (", ".join(str(draft.steps) for draft in drafts) for drafts in (after, before))
    num_left_out = len(before) - len(after)
    left_out = f", {count(num_left_out, 'draft')} left out" if num_left_out else ""
    return f"drafts of {steps} in place of {planned} steps{left_out}"
