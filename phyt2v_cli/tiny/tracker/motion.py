"""Motion: the kind of motion in tracks, and the laws that it breaks.

Lengths are in picture heights, times in frames unless a name says seconds. This file knows no pixels, no
prompt and no wording of captions; each finding has one plain sentence.
"""

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.tracker.kinematics import Path, pass_frame, prepare, runs, touch_frame
from phyt2v_cli.tiny.tracker.tracking import Track, Tracks

Blemish = Literal["smear", "color-change"]


@dataclass(frozen=True)
class Finding:
    """One fault, with `severity` 0..1, and a sentence without its subject."""

    name: world.Violation | Blemish
    severity: float
    frame: int
    text: str
    object: int = 0
    """Index of the object in the tracks; meaningless for blemishes of the whole picture."""


@dataclass(frozen=True)
class Motion:
    """Motion in a video."""

    objects: tuple[Track, ...]
    kind: world.Kind | None
    """None if there is no object."""
    direction: Literal["left", "right"] | None
    """Side that things move to; None if they do not move sideways or come from both sides."""
    num_bounces: int
    findings: tuple[Finding, ...]


def analyse(tracks: Tracks) -> Motion:
    """Analyse the motion in `tracks`, which must be of this world (`foreign` is None)."""
    paths = [prepare(o, tracks) for o in tracks.objects]
    findings: list[Finding] = []
    for i, p in enumerate(paths):
        partners = [q for q in paths if q is not p]
        found = _continuity(p, tracks.num_frames)
        found += _on_string(p) if p.pivot is not None else _in_balloon(p) if p.is_balloon else _in_air(p)
        if p.pivot is None:
            found += _on_floor(p, partners)
        findings += [Finding(f.name, f.severity, f.frame, f.text, i) for f in found]
    if len(paths) == 2 and (frame := pass_frame(*paths)) is not None:
        findings.append(Finding("pass-through", 1.0, frame, f"go through each other at frame {frame}"))
    share = float(tracks.clean.mean())
    if share < 1:
        text = f"not drawn as one clean shape in {1 - share:.0%} of the frames"
        findings.append(Finding("smear", 1 - share, int(np.argmin(tracks.clean)), text))
    kind = _kind(paths)
    return Motion(
        objects=tracks.objects,
        kind=kind,
        direction=_direction(paths, kind),
        num_bounces=max((len(p.contacts) for p in paths), default=0),
        findings=tuple(findings),
    )


def _graded(value: float, full: float, least: float = 0.4) -> float:
    return float(np.clip(value / full, least, 1))


def _continuity(p: Path, num_frames: int) -> list[Finding]:
    """Find jumps, vanishing and changes of colour."""
    findings = [
        Finding("jump", _graded(size, 0.2), frame, f"jumps to another place at frame {frame}")
        for frame, size in p.jumps
    ]
    for start, stop in runs(~p.visible & ~p.out & ~p.hidden):
        n = stop - start
        if n == 1 and 0 < start < num_frames - 1:
            continue  # a flicker, already counted as an unclean frame
        if start == 0:
            text = f"appears out of nothing at frame {stop}"
        elif stop == num_frames:
            text = f"vanishes at frame {start}"
        else:
            text = f"is gone from frame {start} to frame {stop - 1}"
        findings.append(Finding("vanish", _graded(n, 5), start, text))
    if p.track.new_color is not None:
        frame, color = p.track.new_color
        findings.append(Finding("color-change", 1.0, frame, f"turns {color} at frame {frame}"))
    return findings


def _on_string(p: Path) -> list[Finding]:
    assert p.pivot is not None
    for start, stop in runs(p.still):
        aside = abs(float(np.median(p.center[start:stop, 0])) - p.pivot)
        if aside > 0.06:
            text = f"stops at the side of its swing at frame {start} and hangs there"
            return [Finding("stuck-swing", _graded(stop - start, 8), start, text)]
    return []


def _in_balloon(p: Path) -> list[Finding]:
    y = p.y
    fall = y - np.minimum.accumulate(y)
    if fall.max() > 0.1:
        return [Finding("sink", _graded(float(fall.max()), 0.3), int(np.argmax(fall > 0.03)), "sinks")]
    return []


def _in_air(p: Path) -> list[Finding]:
    """Find hanging, falling at the wrong rate, and bounces that gain height."""
    findings = []
    for start, stop in runs(p.still & ~p.low):
        text = f"hangs in mid-air from frame {start}"
        findings.append(Finding("hover", _graded(stop - start, 8), start, text))
    ratio = p.gravity_ratio
    if ratio is not None and ratio < 0.65:
        severity = float(np.clip((0.65 - ratio) / 0.4, 0, 1))
        how = (
            "at an almost constant speed" if severity > 0.6 else "more slowly than gravity makes things fall"
        )
        findings.append(Finding("constant-fall", severity, p.flight_start, f"falls {how}"))
    elif ratio is not None and ratio > 1.6:
        severity = float(np.clip((ratio - 1.6) / 1.5, 0, 1))
        text = "is pulled down harder than gravity pulls"
        findings.append(Finding("constant-fall", severity, p.flight_start, text))
    bounds = [0, *p.contacts, len(p.y)]
    apexes = [p.contact - float(p.y[a:b].min()) for a, b in itertools.pairwise(bounds) if b > a]
    for k in range(1, len(apexes)):
        if apexes[k - 1] > 0.06 and apexes[k] > 1.1 * apexes[k - 1] + 0.02:
            gain = apexes[k] / apexes[k - 1] - 1
            text = f"bounces higher than before at frame {bounds[k]}"
            findings.append(Finding("gain-height", _graded(gain, 0.3), bounds[k], text))
            break
    return findings


def _on_floor(p: Path, partners: list[Path]) -> list[Finding]:
    """Find sinking into the floor, leaping off it, and speeding up or turning with nothing pushing."""
    findings = []
    depth = np.where(p.visible | p.out, p.y - p.contact, 0)
    if depth.max() > 0.07:
        frame = int(np.argmax(depth > 0.05))
        text = f"goes through the floor at frame {frame}"
        findings.append(Finding("through-floor", _graded(float(depth.max()), 0.2), frame, text))
    for _, stop in runs(p.lying & (not p.is_balloon)):
        height = p.contact - float(p.y[stop : stop + 8].min(initial=p.contact))
        if height > 0.07:
            text = f"shoots up from the floor by itself at frame {stop}"
            findings.append(Finding("leap", _graded(height, 0.2), stop, text))
            break
    always_known = all((q.visible | q.out).all() for q in partners)
    if p.is_balloon or not p.on_floor or not always_known or any(pass_frame(p, q) for q in partners):
        return findings
    touch = touch_frame(p, partners[0]) if partners else None
    spans = [(0, len(p.x))] if touch is None else [(0, touch), (touch + 2, len(p.x))]
    for start, stop in spans:
        frames = np.flatnonzero(p.visible[start:stop]) + start
        if len(frames) < 6:
            continue
        third = max(2, len(frames) // 3)
        early = _speed_per_s(p, frames[: third + 1])
        late = _speed_per_s(p, frames[-third - 1 :])
        gain = abs(late) - abs(early) if early * late > 0 or min(abs(early), abs(late)) < 0.06 else 0.0
        if early * late < 0 and min(abs(early), abs(late)) > 0.1:
            findings.append(Finding("self-propelled", 1.0, start, "turns around with nothing pushing"))
        elif gain > 0.1:
            severity = _graded(gain, 0.25)
            findings.append(Finding("self-propelled", severity, start, "speeds up with nothing pushing"))
    return findings


def _speed_per_s(p: Path, frames: npt.NDArray[np.int64]) -> float:
    return float(np.polyfit(frames, p.x[frames], 1)[0]) * world.FPS


def _kind(paths: list[Path]) -> world.Kind | None:
    if not paths:
        return None
    p = paths[0]
    if p.pivot is not None:
        return "swing"
    if len(paths) > 1 and all(q.on_floor for q in paths):
        return "collide"
    if p.is_balloon:
        return "float"
    moves = abs(p.travel) > 0.05
    if p.on_floor:
        return ("slide" if p.track.shape == "cube" else "roll") if moves else "rest"
    if p.starts_low and not moves:
        return "rest"
    return "throw" if abs(p.flight_speed_per_s) > 0.1 or p.starts_upward else "drop"


def _direction(paths: list[Path], kind: world.Kind | None) -> Literal["left", "right"] | None:
    if kind in (None, "drop", "float", "rest"):
        return None
    p = paths[0]
    if kind == "swing" and p.pivot is not None:
        way = p.pivot - p.x[np.argmax(p.visible)]
    elif kind == "collide":
        starts = [q.start_speed_per_s for q in paths]
        if min(starts) < -0.15 and max(starts) > 0.15:
            return None
        way = max(starts, key=abs)
    else:
        way = p.flight_speed_per_s if kind == "throw" else p.travel
    return "right" if way > 0 else "left"
