"""Motion: the kind of motion in tracks, and the laws that it breaks.

Lengths are in picture heights, times in frames unless a name says seconds. This file knows no pixels, no
prompt and no wording of captions; each finding has one plain sentence.
"""

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.tracker.encounters import behind_wall, on_ramp, over_edge, pushed, toppling, unhit
from phyt2v_cli.tiny.tracker.findings import Finding, graded
from phyt2v_cli.tiny.tracker.kinematics import Path, pass_frame, prepare, runs, speed_per_s, touch_frame
from phyt2v_cli.tiny.tracker.tracking import Track, Tracks


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
    kind = _kind(paths)
    findings: list[Finding] = []
    for i, p in enumerate(paths):
        found = [*_continuity(p, tracks.num_frames), *_laws(p, kind, [q for q in paths if q is not p])]
        findings += [Finding(f.name, f.severity, f.frame, f.text, i) for f in found]
    if kind == "topple":
        findings += toppling(*paths)
    elif len(paths) == 2 and (frame := pass_frame(*paths)) is not None:
        findings.append(Finding("pass-through", 1.0, frame, f"go through each other at frame {frame}"))
    elif kind in ("unequal", "strike"):
        findings += pushed(*paths)
    share = float(tracks.clean.mean())
    if share < 1:
        text = f"not drawn as one clean shape in {1 - share:.0%} of the frames"
        findings.append(Finding("smear", 1 - share, int(np.argmin(tracks.clean)), text))
    return Motion(
        objects=tracks.objects,
        kind=kind,
        direction=_direction(paths, kind),
        num_bounces=max((len(p.contacts) for p in paths), default=0),
        findings=tuple(findings),
    )


def _laws(p: Path, kind: world.Kind | None, partners: list[Path]) -> list[Finding]:
    """Find what breaks the laws of the object's own motion."""
    if kind == "topple":
        return _in_floor(p)
    if kind == "ramp":
        return on_ramp(p)
    if p.pivot is not None:
        # a long pendulum is slow to turn, and it may stop when it has hit something
        return _on_string(p, least=12 if kind == "strike" else 1)
    found = _in_balloon(p) if p.is_balloon else _in_air(p)
    found += unhit(p, *partners) if kind == "strike" else _on_floor(p, partners)
    if kind == "ledge":
        found += over_edge(p)
    if kind == "hide":
        found += behind_wall(p)
    return found


def _continuity(p: Path, num_frames: int) -> list[Finding]:
    """Find jumps, vanishing and changes of colour."""
    findings = [
        Finding("jump", graded(size, 0.2), frame, f"jumps to another place at frame {frame}")
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
        findings.append(Finding("vanish", graded(n, 5), start, text))
    if p.track.new_color is not None:
        frame, color = p.track.new_color
        if p.hidden[frame - 1]:
            text = f"goes behind the wall and comes out {color} at frame {frame}"
            findings.append(Finding("swap", 1.0, frame, text))
        else:
            findings.append(Finding("color-change", 1.0, frame, f"turns {color} at frame {frame}"))
    return findings


def _on_string(p: Path, least: int) -> list[Finding]:
    """Find a halt of `least` frames at the side."""
    assert p.pivot is not None
    for start, stop in runs(p.still):
        aside = abs(float(np.median(p.center[start:stop, 0])) - p.pivot)
        if aside > 0.06 and stop - start >= least:
            text = f"stops at the side of its swing at frame {start} and hangs there"
            return [Finding("stuck-swing", graded(stop - start, 8), start, text)]
    return []


def _in_balloon(p: Path) -> list[Finding]:
    y = p.y
    fall = y - np.minimum.accumulate(y)
    if fall.max() > 0.1:
        return [Finding("sink", graded(float(fall.max()), 0.3), int(np.argmax(fall > 0.03)), "sinks")]
    return []


def _in_air(p: Path) -> list[Finding]:
    """Find hanging, falling at the wrong rate, and bounces that gain height."""
    findings = []
    for start, stop in runs(p.still & ~p.low & ~p.on_fixture):
        text = f"hangs in mid-air from frame {start}"
        findings.append(Finding("hover", graded(stop - start, 8), start, text))
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
            findings.append(Finding("gain-height", graded(gain, 0.3), bounds[k], text))
            break
    return findings


def _in_floor(p: Path) -> list[Finding]:
    depth = np.where(p.visible | p.out, p.y - p.contact, 0)
    if depth.max() <= 0.07:
        return []
    frame = int(np.argmax(depth > 0.05))
    text = f"goes through the floor at frame {frame}"
    return [Finding("through-floor", graded(float(depth.max()), 0.2), frame, text)]


def _on_floor(p: Path, partners: list[Path]) -> list[Finding]:
    """Find sinking into the floor, leaping off it, and speeding up or turning with nothing pushing."""
    findings = _in_floor(p)
    for _, stop in runs(p.lying & (not p.is_balloon)):
        height = p.contact - float(p.y[stop : stop + 8].min(initial=p.contact))
        if height > 0.07:
            text = f"shoots up from the floor by itself at frame {stop}"
            findings.append(Finding("leap", graded(height, 0.2), stop, text))
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
        early = speed_per_s(p, frames[: third + 1])
        late = speed_per_s(p, frames[-third - 1 :])
        gain = abs(late) - abs(early) if early * late > 0 or min(abs(early), abs(late)) < 0.06 else 0.0
        if early * late < 0 and min(abs(early), abs(late)) > 0.1:
            findings.append(Finding("self-propelled", 1.0, start, "turns around with nothing pushing"))
        elif gain > 0.1:
            severity = graded(gain, 0.25)
            findings.append(Finding("self-propelled", severity, start, "speeds up with nothing pushing"))
    return findings


def _kind(paths: list[Path]) -> world.Kind | None:
    if not paths:
        return None
    p = paths[0]
    if p.fixture is not None:
        of_fixture: dict[world.Fixture, world.Kind] = {"ramp": "ramp", "ledge": "ledge", "wall": "hide"}
        return of_fixture[p.fixture.kind]
    if any(q.pivot is not None for q in paths):
        return "strike" if len(paths) > 1 else "swing"
    if len(paths) == 2 and _is_stack(*paths):
        return "topple"
    if len(paths) > 1 and all(q.on_floor for q in paths):
        sizes = sorted(min(q.half_size) for q in paths)
        return "unequal" if sizes[-1] > 1.35 * sizes[0] else "collide"
    if p.is_balloon:
        return "float"
    moves = abs(p.travel) > 0.05
    if p.on_floor:
        return ("slide" if p.track.shape == "cube" else "roll") if moves else "rest"
    if p.starts_low and not moves:
        return "rest"
    return "throw" if abs(p.flight_speed_per_s) > 0.1 or p.starts_upward else "drop"


def _is_stack(p: Path, q: Path) -> bool:
    """Whether a cube stands on another one at first."""
    apart = np.abs(p.center[0] - q.center[0])
    cubes = p.track.shape == q.track.shape == "cube"
    return cubes and bool(apart[0] < 0.5 * p.half_size[0] and 0.7 < apart[1] / (2 * p.half_size[1]) < 1.3)


def _direction(paths: list[Path], kind: world.Kind | None) -> Literal["left", "right"] | None:
    if kind in (None, "drop", "float", "rest"):
        return None
    p = next((q for q in paths if q.pivot is not None), paths[0])
    if p.pivot is not None:
        way = p.pivot - p.x[np.argmax(p.visible)]
    elif kind == "topple":
        way = min(paths, key=lambda q: float(q.y[0])).travel
    elif kind in ("collide", "unequal"):
        starts = [q.start_speed_per_s for q in paths]
        if min(starts) < -0.15 and max(starts) > 0.15:
            return None
        way = max(starts, key=abs)
    else:
        way = p.flight_speed_per_s if kind == "throw" else p.travel
    return "right" if way > 0 else "left"
