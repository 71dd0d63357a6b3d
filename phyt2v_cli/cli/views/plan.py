"""View of a run's plan as a table. Knows the plan and a width; prints nothing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from phyt2v_cli.cli.views.fitting import FittingTable
from phyt2v_cli.quantities import count, duration, short_duration
from phyt2v_cli.video_id import CONTROL

if TYPE_CHECKING:
    from phyt2v_cli.schedule import PlannedControl, PlannedRound
    from phyt2v_cli.timing.speeds import Speed

_NEAR_CONVERGENCE = 0.8
"""Share of the full steps from which a draft looks much like its final."""

_BAR = ""
"""Header of the column with the bars."""
_MIN_BAR_WIDTH = 4

WIDE = 76
"""Width in columns from which the table has room for wider gaps."""


def plan_table(
    planned: "Sequence[PlannedRound]",
    width: int,
    speed: "Speed | None" = None,
    controls: "Sequence[PlannedControl]" = (),
    *,
    ascii_only: bool = False,
) -> Group:
    """Table of the plan, at most `width` columns wide, with lines of totals and of the controls."""
    total_steps, fixed_steps = totals(planned)
    most = max(entry.steps for entry in planned)
    bar_width = _bar_width(planned, width, speed)
    table = FittingTable(dropped_first=("sum", "share", _BAR, "#", "purpose", "time", "video"))
    table.add_column("#", justify="right", style="dim")
    table.add_column("video")
    table.add_column("steps", justify="right", style="bold")
    table.add_column(_BAR)
    table.add_column("purpose")
    table.add_column("share", justify="right")
    table.add_column("sum", justify="right")
    if speed is not None:
        table.add_column("time", justify="right")

    done = 0
    for entry in planned:
        done += entry.total_steps
        is_final = entry.purpose == "final"
        cells: list[str | Text] = [
            str(entry.round),
            entry.id.video_name,
            _steps(entry),
            Text(_bar(entry.steps / most, bar_width, ascii_only), style="green" if is_final else "cyan"),
            Text(_in_words(entry, planned), style="bold green" if is_final else ""),
            f"{entry.total_steps / total_steps:.1%}",
            str(done),
        ]
        if speed is not None:
            cells.append(duration(speed.seconds(entry)))
        table.add_row(*cells)

    is_constant = len({entry.steps for entry in planned}) == 1 and total_steps == fixed_steps
    line = _totals_line(total_steps, fixed_steps, is_constant=is_constant)
    fitted = table.fit(width, gap=_gap(width, speed), ascii_only=ascii_only)
    parts: list[RenderableType] = [fitted, Text(), Text(line, style="bold")]
    if speed is not None:
        parts.append(Text(_time_line(planned, speed)))
    if added := sum(control.steps for control in controls):
        time = "" if speed is None else f", {duration(speed.total_s([], controls))}"
        who = "The control adds" if len(controls) == 1 else f"The {len(controls)} controls add"
        parts.append(Text(f"{who} {count(added, 'denoising step')}{time}."))
    return Group(*parts)


def round_plan_as_json(entry: "PlannedRound") -> dict[str, object]:
    """Planned round as JSON."""
    several = {"candidates": entry.num_candidates} if entry.num_candidates > 1 else {}
    if entry.look_steps is not None:
        several["look_steps"] = entry.look_steps
    return {"round": entry.round, "steps": entry.steps, "purpose": entry.purpose, **several}


def control_as_json(controls: "Sequence[PlannedControl]") -> dict[str, int] | None:
    """Original prompt among the planned controls, as JSON; null if it adds no step."""
    steps = next((control.steps for control in controls if control.id == CONTROL), 0)
    return {"steps": steps} if steps else None


def controls_as_json(controls: "Sequence[PlannedControl]") -> list[dict[str, object]]:
    """Planned controls as JSON."""
    return [{"video": control.id.video_name, "steps": control.steps} for control in controls]


def _gap(width: int, speed: "Speed | None") -> int:
    return 2 if width >= WIDE else 1 if speed is None else 0


def _bar_width(planned: "Sequence[PlannedRound]", width: int, speed: "Speed | None") -> int:
    """Width that the other columns leave for the bars, but enough to tell a draft from a final."""
    total_steps = sum(entry.steps for entry in planned)
    texts = 5 + len("near convergence") + 5 + len(str(len(planned))) + len(planned[-1].id.video_name)
    texts += max(3, len(str(total_steps))) + (0 if speed is None else 7)
    left = width - texts - (_gap(width, speed) + 1) * (6 if speed is None else 7)
    return max(_MIN_BAR_WIDTH, min(24, left))


def _time_line(planned: "Sequence[PlannedRound]", speed: "Speed") -> str:
    full = max(planned, key=lambda entry: entry.steps)
    fixed = len(planned) * (full.steps * speed.final_step_s + speed.video_s)
    steps = f"{short_duration(speed.final_step_s)} a step"
    if speed.draft_step_s != speed.final_step_s:
        steps += f" ({short_duration(speed.draft_step_s)} in drafts)"
    video = f" and {short_duration(speed.video_s)} a video" if speed.video_s else ""
    where = f", as measured here ({speed.device}); judges not counted" if speed.device else ""
    total = speed.total_s(planned)
    instead = f" instead of {duration(fixed)}" if total < fixed else ""
    return f"about {duration(total)}{instead}, at {steps}{video}{where}"


def totals(planned: "Sequence[PlannedRound]") -> tuple[int, int]:
    """Total steps of a plan, and of as many videos that all have the highest step count."""
    return sum(entry.total_steps for entry in planned), len(planned) * max(entry.steps for entry in planned)


def _steps(entry: "PlannedRound") -> str:
    """Steps of a round's videos, as in ``3 x 20``, or ``2 x 4, 20`` if two are left after a look."""
    if entry.look_steps is not None:
        return f"{entry.num_candidates - 1} x {entry.look_steps}, {entry.steps}"
    several = "" if entry.num_candidates == 1 else f"{entry.num_candidates} x "
    return f"{several}{entry.steps}"


def _in_words(entry: "PlannedRound", planned: "Sequence[PlannedRound]") -> str:
    if entry.purpose == "final":
        return "final"
    if entry.round == 1:
        return "first look"
    return "near convergence" if entry.steps >= _NEAR_CONVERGENCE * planned[-1].steps else "explore"


def _bar(share: float, width: int, ascii_only: bool) -> str:
    if ascii_only:
        return "#" * max(1, round(share * width))
    eighths = max(1, round(share * width * 8))
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _totals_line(total_steps: int, fixed_steps: int, *, is_constant: bool) -> str:
    steps = count(total_steps, "step")
    if is_constant:
        return f"{steps}: every video at full steps"
    if total_steps >= fixed_steps:
        return f"{steps}; one video a round at full steps takes {fixed_steps:,}"
    return f"{steps} instead of {fixed_steps:,}: {100 * (1 - total_steps / fixed_steps):.1f} % fewer"
