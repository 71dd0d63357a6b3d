#!/usr/bin/env python3
"""Let VideoPhy-2's own inference.py score videos for `phyt2v` (scorer backend `command`).

Runs in the scorer's own environment, not in phyt2v's, and imports nothing of phyt2v. One JSON object per line
on stdin, one per line on stdout; docs/videocon-physics.md is the contract. For each video the published
script is started twice, for semantic adherence and for physical commonsense, with a CSV of its own format in
(`caption,videopath`) and one out (with `score`, 1 to 5). So the scores are those of the published script. Its
weights, about 15 GB, are loaded twice for each video; videocon_physics_adapter.py loads them once.

IT HAS NOT BEEN RUN WITH THE REAL WEIGHTS: only the part around the script is tested.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def rate(task: str, video: str, prompt: str, options: argparse.Namespace) -> "tuple[float | None, str]":
    """Return the score of one task, 0..1, and what the script rated; None where it could parse no rating."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "in.csv"), Path(folder, "out.csv")
        with asked.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("caption", "videopath"), (prompt, video)])
        command = [sys.executable, "inference.py", "--input_csv", str(asked), "--output_csv", str(answered)]
        command += ["--checkpoint", str(options.checkpoint), "--task", task]
        # What the script prints belongs on stderr, because stdout is for answers.
        subprocess.run(command, cwd=options.repo / "VIDEOPHY2", stdout=sys.stderr, check=True)
        with answered.open(newline="", encoding="utf-8") as file:
            rating = float(next(iter(csv.DictReader(file)))["score"])
    if not 1 <= rating <= 5:  # the script writes 0 if it cannot read the model's answer
        return None, f"no rating ({rating:g})"
    return (rating - 1) / 4, f"{rating:g} of 5"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--repo", type=Path, required=True, help="checkout of github.com/Hritikbansal/videophy"
    )
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="folder of the weights videophy_2_auto"
    )
    options = parser.parse_args()
    for line in sys.stdin:
        request = json.loads(line)
        semantic, why_semantic = rate("sa", request["video"], request["prompt"], options)
        physical, why_physical = rate("pc", request["video"], request["prompt"], options)
        answer = {
            "semantic_adherence": semantic,
            "physical_commonsense": physical,
            "reasons": [f"SA: {why_semantic}", f"PC: {why_physical}"],
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
