"""Scores of a motion: semantic adherence (SA) to a request, and physical commonsense (PC) without one.

Only what the prompt names counts towards SA; only findings count against PC. Each deduction is named. This
file knows no pixels.
"""

from collections import Counter

from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.language import SceneRequest
from phyt2v_cli.tiny.tracker.findings import Finding
from phyt2v_cli.tiny.tracker.motion import Motion

_COUNT, _COLOR, _SHAPE, _KIND, _DIRECTION = 1.0, 1.0, 1.0, 1.5, 0.75
"""Weights in SA: the motion is what these prompts are about."""

_BROKEN = frozenset(
    {
        "hover",
        "constant-fall",
        "through-floor",
        "stuck-swing",
        "pass-through",
        "sink",
        "leap",
        "stuck",
        "level-flight",
        "straight-fall",
        "momentum",
        "swap",
    }
)
_ALIKE = {
    frozenset({"drop", "throw"}): 0.4,
    frozenset({"roll", "slide"}): 0.5,
    frozenset({"roll", "ramp"}): 0.5,
    frozenset({"roll", "hide"}): 0.5,
    frozenset({"drop", "ledge"}): 0.4,
    frozenset({"swing", "strike"}): 0.4,
    frozenset({"collide", "unequal"}): 0.5,
}


def physical_commonsense(motion: Motion) -> tuple[float, list[str]]:
    """PC in 0..1, and one reason for each deduction; a video without any object scores 0."""
    if not motion.objects:
        return 0.0, ["no object is seen (PC 0)"]
    costs = [(f, _cost(f)) for f in motion.findings]
    reasons = [f"{f.text} (PC -{cost:.2f})" for f, cost in costs if cost > 0]
    return max(0.0, 1 - sum(cost for _, cost in costs)), reasons


def _cost(finding: Finding) -> float:
    """Deduction from PC: 0.4 to 0.6 for a broken law by severity; for a blemish by how much is seen."""
    if finding.name in world.VIOLATIONS:
        return 0.0 if finding.severity < 0.1 else 0.4 + 0.2 * finding.severity
    if finding.name == "color-change":
        return 0.4
    return 0.0 if finding.severity < 0.05 else min(0.5, 0.8 * finding.severity)


def semantic_adherence(request: SceneRequest, motion: Motion) -> tuple[float, list[str]]:
    """SA in 0..1, and one reason for each miss."""
    if not motion.objects:
        return 0.0, ["no object is seen (SA 0)"]
    parts: list[tuple[float, float, str]] = []
    asked, seen = request.objects, motion.objects
    if asked:
        right = 1.0 if len(seen) == len(asked) else 0.3
        parts.append((_COUNT, right, f"{len(asked)} asked for, {len(seen)} seen"))
    colors = Counter(o.color for o in seen)
    for o in asked:
        if o.color is not None:
            hit = colors[o.color] > 0
            colors[o.color] -= hit
            parts.append((_COLOR, float(hit), f"nothing {o.color} is seen"))
        if o.shape is not None:
            parts.append((_SHAPE, float(any(s.shape == o.shape for s in seen)), f"no {o.shape} is seen"))
    if request.kind is not None:
        how = "seen, but broken" if motion.kind == request.kind else f"asked for, {motion.kind} seen"
        why = f"{request.kind} {how}"
        parts.append((_KIND, _kind_match(request, motion), why))
    if request.direction is not None and motion.kind != "rest":
        parts.append((_DIRECTION, _direction_match(request, motion), f"no move to the {request.direction}"))
    total = sum(weight for weight, _, _ in parts)
    score = sum(weight * match for weight, match, _ in parts) / total
    reasons = [f"{why} (SA -{weight * (1 - match) / total:.2f})" for weight, match, why in parts if match < 1]
    return score, reasons


def _kind_match(request: SceneRequest, motion: Motion) -> float:
    """Match of the kind of motion, 0..1: the right but broken motion counts 0.7."""
    names = {f.name for f in motion.findings}
    # balls of different size that meet are a collision like any other
    if motion.kind == request.kind or (motion.kind, request.kind) == ("unequal", "collide"):
        return 1.0 if names.isdisjoint(_BROKEN) else 0.7
    if motion.kind == "float" and request.kind == "drop" and "sink" in names:
        return 1.0
    return _ALIKE.get(frozenset({motion.kind, request.kind}), 0.0) if motion.kind and request.kind else 0.0


def _direction_match(request: SceneRequest, motion: Motion) -> float:
    if motion.direction is None:
        return 1.0 if motion.kind == "collide" else 0.5
    return float(motion.direction == request.direction)
