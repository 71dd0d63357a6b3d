"""Does the motion guard tell frozen videos from sound ones? Motion beside that of each run's first video.

    python benchmarks/search_effect.py --prompts 16
    python benchmarks/motion.py runs/search_effect

Reads finished runs of the embedded model, whose tracker says why it takes points off. Renders nothing.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from phyt2v_cli.files.motion import motion_of
from phyt2v_cli.files.video import read_frames
from phyt2v_cli.refinement.motion_guard import note_on
from phyt2v_cli.runs.reader import ShownRun, find_runs, read_run
from phyt2v_cli.runs.records import VideoRecord

SOUND = 0.9
KINDS = ("sound: PC at least 0.9", "hangs in mid-air", "falls at constant speed", "other faults")


def kind_of(video: VideoRecord) -> str:
    """Kind of a video by its score and the tracker's reasons."""
    pair, reasons = video.score_pair(), " ".join(video.all_scores().reasons)
    if pair is not None and pair[1] >= SOUND:
        return KINDS[0]
    if "hangs in mid-air" in reasons:
        return KINDS[1]
    return KINDS[2] if "almost constant speed" in reasons else KINDS[3]


def ratios(run: ShownRun) -> Iterator[tuple[str, float, bool]]:
    """Kind, motion beside that of round 1, and whether it would be flagged, for each later video of a run."""
    videos = {video.id.name: video for video in run.videos if video.scores is not None}
    for video in videos.values():
        video.motion = motion_of(read_frames(run.path / video.video))
    first = videos["round1"]
    for video in videos.values():
        if video is not first and first.motion and video.motion is not None:
            flagged = note_on(video, first, run.record.prompt) is not None
            yield kind_of(video), video.motion / first.motion, flagged


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, metavar="DIR", help="a folder with finished runs")
    options = parser.parse_args()
    found: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    runs = [run for path in find_runs(options.runs) if (run := read_run(path)).record.status == "complete"]
    # A first video that is itself frozen says nothing about the others.
    usable = [run for run in runs if all(kind_of(v) != KINDS[1] for v in run.videos if v.id.name == "round1")]
    for run in usable:
        for kind, ratio, flagged in ratios(run):
            found[kind].append((ratio, flagged))
    table = Table("video", "number", "5 %", "median", "95 %", "flagged stilled", title=f"{len(usable)} runs")
    for kind in KINDS:
        if found[kind]:
            low, middle, high = np.percentile([ratio for ratio, _ in found[kind]], [5, 50, 95])
            flagged_ones = sum(flagged for _, flagged in found[kind])
            table.add_row(
                kind, str(len(found[kind])), f"{low:.2f}", f"{middle:.2f}", f"{high:.2f}", str(flagged_ones)
            )
    Console().print(table)


if __name__ == "__main__":
    main()
