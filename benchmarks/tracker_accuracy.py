"""How often is the tracker right? Rendered clips whose truth is known, as drawn and degraded.

    python benchmarks/tracker_accuracy.py --clips 200 --json tracker.json
    python benchmarks/tracker_accuracy.py --clips 20 --degradation h264 noise

For every kind of motion, physical and with each of its violations: the share of clips with the right kind,
colours, shape and direction, and the share whose verdict is right (a violating clip: its violation is among
the findings; a physical one: no violation is). This script knows the truth of scenes; it must not know how
the tracker finds it.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from phyt2v_cli.backends.embedded.tracker import score_tracks
from phyt2v_cli.files.video import Frames, VideoMetadata, read_frames, write_video
from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.tracker.motion import Motion, analyse
from phyt2v_cli.tiny.tracker.tracking import track
from training.renderer import render
from training.scenes import Scenes, sample

HELD_OUT_SEED = 880_000
"""Far from the seeds of the training pool."""

BATCH = 16
"""Clips rendered at a time: some 300 MB."""


@dataclass(frozen=True)
class Row:
    """Shares of `num_clips` clips of one kind and law under one degradation."""

    degradation: str
    kind: world.Kind
    violation: world.Violation | None
    num_clips: int
    kind_right: float
    color_right: float
    shape_right: float
    direction_right: float | None
    """None for motions without a side."""
    verdict_right: float
    physical_commonsense: float
    """Mean PC."""
    other_violations: dict[str, float]
    """Violations that were reported and are not there."""
    abstained: float
    seconds: float
    """Mean time to track and score a clip."""


def h264(frames: Frames, _: np.random.Generator) -> Frames:
    """Write the clip as the product does, and read it back."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, frames, fps=world.FPS, metadata=VideoMetadata("clip", seed=0, steps=1))
        return read_frames(path)


def blur(frames: Frames, _: np.random.Generator) -> Frames:
    """Soften every edge."""
    soft = ndimage.gaussian_filter(frames.astype(np.float32), (0, 0.7, 0.7, 0))
    return soft.round().astype(np.uint8)


def noise(frames: Frames, rng: np.random.Generator) -> Frames:
    """Add grain."""
    return (frames + rng.normal(0, 4, frames.shape)).clip(0, 255).astype(np.uint8)


def motion_blur(frames: Frames, _: np.random.Generator) -> Frames:
    """Mix each frame with its neighbours, which smears only what moves, the faster the more."""
    mixed = ndimage.convolve1d(frames.astype(np.float32), [0.12, 0.76, 0.12], axis=0, mode="nearest")
    return mixed.round().astype(np.uint8)


DEGRADATIONS: dict[str, Callable[[Frames, np.random.Generator], Frames]] = {
    "none": lambda frames, _: frames,
    "h264": h264,
    "blur": blur,
    "noise": noise,
    "motion-blur": motion_blur,
}


def cells(kinds: Iterable[world.Kind] = world.KINDS) -> Iterator[tuple[world.Kind, world.Violation | None]]:
    """Yield every one of `kinds`, physical and with each of its violations."""
    for kind in kinds:
        yield kind, None
        for violation in world.VIOLATIONS_OF_KIND[kind]:
            yield kind, violation


def measure(
    kind: world.Kind, violation: world.Violation | None, num_clips: int, degradation: str, seed: int
) -> Row:
    """Render, degrade, track and compare with the truth."""
    rng = np.random.default_rng(
        [seed, world.KINDS.index(kind), world.VIOLATIONS.index(violation) + 1 if violation else 0]
    )
    scenes = sample(kind, num_clips, rng, violation)
    right: Counter[str] = Counter()
    others: Counter[str] = Counter()
    directed, physical, seconds = 0, [], 0.0
    for i, frames in enumerate(_render(scenes)):
        degraded = DEGRADATIONS[degradation](frames, rng)
        begin = time.perf_counter()
        tracks = track(degraded)
        scores = score_tracks(tracks, "a ball")
        seconds += time.perf_counter() - begin
        if scores.physical_commonsense is None:
            right["abstained"] += 1
            continue
        motion = analyse(tracks)
        physical.append(scores.physical_commonsense)
        # when both balls come at each other, neither side is the direction
        has_side = bool(scenes.direction[i]) and not scenes.head_on[i]
        directed += has_side
        found = {f.name for f in motion.findings} & set(world.VIOLATIONS)
        right.update(_facts_right(motion, scenes, i, has_side))
        right["verdict"] += violation in found if violation else not found
        others.update(found - {violation})
    return Row(
        degradation=degradation,
        kind=kind,
        violation=violation,
        num_clips=num_clips,
        kind_right=right["kind"] / num_clips,
        color_right=right["color"] / num_clips,
        shape_right=right["shape"] / num_clips,
        direction_right=right["direction"] / directed if directed else None,
        verdict_right=right["verdict"] / num_clips,
        physical_commonsense=float(np.mean(physical)) if physical else float("nan"),
        other_violations={name: n / num_clips for name, n in others.items()},
        abstained=right["abstained"] / num_clips,
        seconds=seconds / num_clips,
    )


def _render(scenes: Scenes) -> Iterator[Frames]:
    for start in range(0, len(scenes), BATCH):
        yield from render(scenes.take(np.arange(start, min(start + BATCH, len(scenes))))).numpy()


def _facts_right(motion: Motion, scenes: Scenes, i: int, has_side: bool) -> dict[str, int]:
    kind = world.KINDS[scenes.kind[i]]
    colors = {world.COLORS[c] for c in scenes.color[i, : 2 if kind in world.PAIR_KINDS else 1]}
    side = "right" if scenes.direction[i] > 0 else "left"
    return {
        "kind": motion.kind == kind,
        "color": sorted(o.color for o in motion.objects) == sorted(colors),
        "shape": {o.shape for o in motion.objects} == {world.SHAPES[scenes.shape[i, 0]]},
        "direction": has_side and motion.direction == side,
    }


def summarise(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Return by degradation the mean shares over all clips, and the verdicts by law."""
    summary = {}
    for degradation in dict.fromkeys(r.degradation for r in rows):
        here = [r for r in rows if r.degradation == degradation]
        named = {"physical": [r for r in here if r.violation is None]}
        named |= {v: [r for r in here if r.violation == v] for v in world.VIOLATIONS}
        summary[degradation] = {
            "kind": float(np.mean([r.kind_right for r in here])),
            "color": float(np.mean([r.color_right for r in here])),
            "shape": float(np.mean([r.shape_right for r in here])),
            "direction": float(np.mean([r.direction_right for r in here if r.direction_right is not None])),
            **{name: float(np.mean([r.verdict_right for r in of])) for name, of in named.items() if of},
        }
    return summary


def _print(console: Console, rows: list[Row]) -> None:
    for degradation, shares in summarise(rows).items():
        table = Table(title=f"degradation: {degradation}")
        for heading in (
            "kind",
            "law",
            "kind",
            "color",
            "shape",
            "direction",
            "verdict",
            "PC",
            "also reported",
        ):
            table.add_column(heading)
        for r in (r for r in rows if r.degradation == degradation):
            direction = "" if r.direction_right is None else f"{r.direction_right:.3f}"
            shown = (f"{x:.3f}" for x in (r.kind_right, r.color_right, r.shape_right))
            also = ", ".join(f"{name} {share:.3f}" for name, share in r.other_violations.items())
            pc = f"{r.physical_commonsense:.2f}"
            verdict = f"{r.verdict_right:.3f}"
            table.add_row(r.kind, r.violation or "physical", *shown, direction, verdict, pc, also)
        console.print(table)
        console.print(", ".join(f"{name} {share:.3f}" for name, share in shares.items()))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=200, help="clips per kind and per violation")
    parser.add_argument("--degradation", nargs="+", choices=list(DEGRADATIONS), default=["none", "h264"])
    parser.add_argument("--kinds", nargs="+", choices=world.KINDS, default=world.KINDS)
    parser.add_argument("--seed", type=int, default=HELD_OUT_SEED)
    parser.add_argument("--json", type=Path, help="write the rows and their summary here")
    args = parser.parse_args()
    rows = [
        measure(kind, violation, args.clips, degradation, args.seed)
        for degradation in args.degradation
        for kind, violation in cells(args.kinds)
    ]
    _print(Console(width=150), rows)
    if args.json:
        result = {
            "schema": "phyt2v.tracker_accuracy/1",
            "clips": args.clips,
            "seed": args.seed,
            "summary": summarise(rows),
            "rows": [asdict(r) for r in rows],
        }
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
