"""Schedule of the denoising steps over the rounds.

Early videos are drafts that explore prompts, the last one gets full quality. Pure arithmetic on the config;
knows no model, no run directory and no terminal.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from phyt2v_cli.config.layers import MOVED, LoadedConfig
from phyt2v_cli.config.schema import (
    MAX_REFINEMENTS,
    Config,
    RefinementConfig,
    ScheduleConfig,
    ScheduleKind,
    SearchConfig,
)
from phyt2v_cli.errors import ConfigError, UsageError
from phyt2v_cli.quantities import count
from phyt2v_cli.video_id import BLIND, CONTROL, LETTERS, ControlId, RoundId, VideoId

if TYPE_CHECKING:
    from phyt2v_cli.events import Purpose


@dataclass(frozen=True)
class PlannedRound:
    """One planned round: its number, steps and purpose."""

    round: int
    """Numbered from 1."""
    steps: int
    """Denoising steps of each of its videos."""
    purpose: "Purpose"
    num_candidates: int = 1
    """Number of its videos, of which one is chosen."""
    look_steps: int | None = None
    """Steps of its videos that are not chosen; None: as many as the chosen one's."""

    @property
    def id(self) -> RoundId:
        """Id of its first video, which has its file names."""
        return RoundId(self.round)

    @property
    def ids(self) -> tuple[RoundId, ...]:
        """Ids of its videos."""
        return tuple(RoundId(self.round, letter) for letter in ("", *LETTERS[: self.num_candidates - 1]))

    @property
    def total_steps(self) -> int:
        """Denoising steps of all of its videos."""
        return self.steps + (self.look_steps or self.steps) * (self.num_candidates - 1)


def get_steps_for_round(
    current_round: float, total_rounds: float, min_steps: float = 20, max_steps: float = 50
) -> int:
    """Denoising steps of one round: linear from `min_steps` to `max_steps`, truncated to int.

    If `min_steps > max_steps`, the two are swapped. `current_round` is clamped to 1..`total_rounds`. A single
    round (or none) gets `max_steps`. Float arguments are truncated first.
    """
    total = int(total_rounds)
    low, high = sorted((int(min_steps), int(max_steps)))
    if total <= 1:
        return high
    done = min(max(int(current_round), 1), total) - 1
    return low + (high - low) * done // (total - 1)


def plan(schedule: ScheduleConfig, rounds: int) -> tuple[PlannedRound, ...]:
    """Plan the `rounds + 1` videos of a run; `rounds <= 0` means a single one.

    A video is a draft if it has fewer steps than the last, so no plan ends on a draft. Raises ConfigError if
    an explicit list of steps does not fit the rounds.
    """
    total = max(rounds, 0) + 1
    if schedule.steps is None:
        steps = tuple(_steps(schedule, number, total) for number in range(1, total + 1))
    else:
        steps = schedule.steps
        if len(steps) != total:
            raise ConfigError(
                f"schedule.steps: {count(len(steps), 'entry', 'entries')}, but rounds = {total - 1} makes "
                f"{count(total, 'video')}",
                "Give one entry for each video.",
            )
    return tuple(
        PlannedRound(number, count, "draft" if count < steps[-1] else "final")
        for number, count in enumerate(steps, start=1)
    )


MIN_DRAFT_STEPS = 4
"""Fewest steps of a draft for `search.budget` equal; with fewer there is hardly a picture to judge."""


def plan_run(config: Config) -> tuple[PlannedRound, ...]:
    """Plan the videos of a run with its candidates and finals; raises ConfigError as `plan` does.

    Also if `search.budget` is equal and does not pay for them.
    """
    search = config.search
    planned = plan(config.schedule, config.refinement.rounds)
    *early, last = planned
    is_dearer = search.finals > 1 or (search.candidates > 1 and len(planned) > 1)
    if search.budget == "equal" and is_dearer:
        early = _shrunk(early, last, search)
    return (
        *(_with_candidates(entry, search.candidates, search) for entry in early),
        _with_candidates(last, search.finals, search),
    )


def plan_further(config: Config, *, steps: Sequence[int], num_rounds: int) -> tuple[PlannedRound, ...]:
    """Plan rounds after those of a complete run, whose videos took `steps`: drafts, then a final.

    A draft has the steps of the run's last draft: its prompts are no longer those of a beginning. Raises
    UsageError if there is no further round, or if there are too many.
    """
    number = len(steps)
    if not 1 <= num_rounds <= MAX_REFINEMENTS + 1 - number:
        raise UsageError(
            f"{num_rounds} further rounds: a run has from 1 to {MAX_REFINEMENTS + 1}, and {number} are there"
        )
    most = final_steps(config.schedule)
    of_draft = next((count for count in reversed(steps) if count < most), most)
    drafts = [
        PlannedRound(number + further, of_draft, "draft" if of_draft < most else "final")
        for further in range(1, num_rounds)
    ]
    search = config.search
    return (
        *(_with_candidates(entry, search.candidates, search) for entry in drafts),
        _with_candidates(PlannedRound(number + num_rounds, most, "final"), search.finals, search),
    )


def _with_candidates(entry: PlannedRound, number: int, search: SearchConfig) -> PlannedRound:
    share = search.look_share if number > 1 else None
    return replace(
        entry, num_candidates=number, look_steps=None if share is None else look_steps(share, entry.steps)
    )


def look_steps(share: float, steps: int) -> int:
    """Steps of a look at a video of so many steps; 0.14 of 50 are 7, though floats make it a little more."""
    return math.ceil(round(share * steps, 6))


def _parts(number: int, search: SearchConfig) -> float:
    """Steps of so many videos, of which one is chosen, in steps of the chosen one."""
    return 1 + (number - 1) * (search.look_share or 1)


def _shrunk(early: Sequence[PlannedRound], last: PlannedRound, search: SearchConfig) -> list[PlannedRound]:
    """Drafts with so few steps that all candidates and finals take no more than one of each at full steps."""
    before = sum(entry.steps for entry in early)
    left = before + last.steps - _parts(search.finals, search) * last.steps
    steps = [int(entry.steps * left / (before * _parts(search.candidates, search))) for entry in early]
    if not early or min(steps) < MIN_DRAFT_STEPS:
        raise ConfigError(
            f"search: {count(before + last.steps, 'denoising step')} do not pay for "
            f"{count(search.candidates, 'candidate')} a round and {count(search.finals, 'final')}, with at "
            f"least {MIN_DRAFT_STEPS} steps for each draft",
            "Ask for fewer, render more rounds, or let it cost more with `search.budget=free`.",
        )
    return [
        replace(entry, steps=number, purpose="draft" if number < last.steps else "final")
        for entry, number in zip(early, steps, strict=True)
    ]


def final_steps(schedule: ScheduleConfig) -> int:
    """Denoising steps of the last video, whatever the number of rounds."""
    return schedule.steps[-1] if schedule.steps else max(schedule.min_steps, schedule.max_steps)


def schedule_name(schedule: ScheduleConfig) -> str:
    """Name of the schedule: its kind, or `explicit` for a list of steps."""
    return schedule.kind if schedule.steps is None else "explicit"


def steps_notice(loaded: LoadedConfig) -> str | None:
    """Note for the user that the steps were changed: swapped, or one bound moved. None if they were not."""
    schedule = loaded.config.schedule
    if schedule.steps is not None:
        return None
    if schedule.min_steps > schedule.max_steps:
        return (
            f"min steps {schedule.min_steps} is above max steps {schedule.max_steps}: "
            f"swapped, the plan runs from {schedule.max_steps} to {schedule.min_steps}"
        )
    for name in ("min_steps", "max_steps"):
        origin = loaded.origins[f"schedule.{name}"]
        if origin.startswith(MOVED):
            return f"{name.replace('_', ' ')} is {getattr(schedule, name)}, {origin}"
    return None


def _steps(schedule: ScheduleConfig, number: int, total: int) -> int:
    low, high = sorted((schedule.min_steps, schedule.max_steps))
    if schedule.kind == "linear":
        return get_steps_for_round(number, total, low, high)
    if number == total:
        return high
    return _truncate(_curve(schedule.kind, low, high, (number - 1) / (total - 1)))


def _curve(kind: ScheduleKind, low: int, high: int, progress: float) -> float:
    match kind:
        case "constant":
            return high
        case "final-only":
            return low
        case "cosine":
            return low + (high - low) * (1 - math.cos(math.pi * progress)) / 2
        case "geometric":
            return low * math.pow(high / low, progress)
        case "linear":
            return low + (high - low) * progress


def _truncate(value: float) -> int:
    # 34.999999999 is a rounding error of 35, not 34.
    return int(value + 1e-9)


@dataclass(frozen=True)
class PlannedControl:
    """One planned control."""

    id: ControlId
    steps: int
    """Denoising steps that it adds: none if a round's video is the same one."""


def plan_controls(
    refinement: RefinementConfig, planned: Sequence[PlannedRound]
) -> tuple[PlannedControl, ...]:
    """Plan the controls of a run that renders all of its `planned` rounds."""
    final_steps = planned[-1].steps
    ids = controls_of(
        refinement, total_steps=sum(entry.total_steps for entry in planned), final_steps=final_steps
    )
    is_first_video = planned[0].steps == final_steps
    return tuple(PlannedControl(id, 0 if id == CONTROL and is_first_video else final_steps) for id in ids)


def planned_ids(refinement: RefinementConfig, planned: Sequence[PlannedRound]) -> list[VideoId]:
    """Ids of all videos of a run: the candidates of its rounds, then its controls."""
    controls = plan_controls(refinement, planned)
    return [*(id for entry in planned for id in entry.ids), *(control.id for control in controls)]


def controls_of(refinement: RefinementConfig, *, total_steps: int, final_steps: int) -> tuple[ControlId, ...]:
    """Ids of the controls of a run whose rounds take `total_steps` in all, in the order of rendering.

    `best-of-n` has as many seeds of the original prompt as that pays for at `final_steps`: at least one, and
    at most 26.
    """
    ids: list[ControlId] = []
    if refinement.renders_original:
        ids.append(CONTROL)
    if "best-of-n" in refinement.all_controls:
        num_further = max(1, total_steps // final_steps) - 1
        ids += [ControlId(candidate=letter) for letter in LETTERS[:num_further]]
    if "blind" in refinement.all_controls:
        ids.append(BLIND)
    return tuple(ids)
