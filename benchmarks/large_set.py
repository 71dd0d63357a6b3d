"""How much memory and time a dry run of a large prompt set takes, in each format.

    python benchmarks/large_set.py --json large_set.json

Writes sets of 100,000 prompts, with the columns of a published one, and runs `phyt2v batch --dry-run --json`
on each in a process of its own. Ends with 1 if one takes more than 400 MB or 60 s, or leaves a prompt out.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MAX_MB = 400
MAX_S = 60
BATCH = [sys.executable, "-m", "phyt2v_cli", "batch"]
OPTIONS = ["--dry-run", "--json", "--preset", "tiny"]
_WATCHER = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""
"""Small process between: the peak that the system counts for a child begins with that of its parent."""


def rows(number: int) -> Iterator[dict[str, str | int]]:
    """Yield rows like those of a published set."""
    for n in range(number):
        yield {
            "caption": f"a red ball number {n} rolls down a wooden ramp, hits a blue cube and stops",
            "video_url": f"https://example.org/videos/{n}.mp4",
            "model_name": f"model_{n % 7}",
            "sa": n % 5 + 1,
            "pc": n % 3 + 1,
            "is_hard": n % 2,
            "human_violated_rules": f"The ball gains height in video {n}.",
        }


def write_lines(path: Path, number: int) -> None:
    """Write a prompt in each line."""
    path.write_text("".join(f"{row['caption']}\n" for row in rows(number)))


def write_json_lines(path: Path, number: int) -> None:
    """Write an object in each line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(number)))


def write_json(path: Path, number: int) -> None:
    """Write a list of objects."""
    path.write_text(json.dumps(list(rows(number)), indent=4))


def write_csv(path: Path, number: int) -> None:
    """Write rows below a header."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, next(rows(1)))
        writer.writeheader()
        writer.writerows(rows(number))


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "set.txt": write_lines,
    "set.jsonl": write_json_lines,
    "set.json": write_json,
    "set.csv": write_csv,
}


def measure(name: str, number: int, folder: Path) -> dict[str, float]:
    """Return the seconds and the peak of resident memory, in MB, of a dry run of `number` prompts."""
    WRITERS[name](folder / name, number)
    start = time.perf_counter()
    with (folder / "out.json").open("w") as out:
        watched = subprocess.run(
            [sys.executable, "-c", _WATCHER, *BATCH, name, *OPTIONS],
            cwd=folder,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
        )
    seconds = time.perf_counter() - start
    if watched.returncode:
        raise SystemExit(f"the dry run of {name} ended with {watched.returncode}")
    with (folder / "out.json").open() as out:
        num_runs = len(json.load(out)["runs"])
    if num_runs != number:
        raise SystemExit(f"the dry run of {name} tells of {num_runs} prompts")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return {"seconds": round(seconds, 2), "peak_mb": round(int(watched.stderr) * unit / 1e6, 1)}


def main() -> int:
    """Measure, print the table, write the JSON, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prompts", type=int, default=100_000, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    measured = {}
    print(f"{'':12}{'s':>8}{'peak MB':>10}")
    for name in WRITERS:
        with tempfile.TemporaryDirectory() as folder:
            measured[name] = measure(name, arguments.prompts, Path(folder))
        print(f"{name:12}{measured[name]['seconds']:>8.2f}{measured[name]['peak_mb']:>10.1f}")
    within = all(one["seconds"] <= MAX_S and one["peak_mb"] <= MAX_MB for one in measured.values())
    print(f"limits {MAX_S} s and {MAX_MB} MB: {'kept' if within else 'EXCEEDED'}")
    if arguments.json is not None:
        result = {
            "schema": "phyt2v.benchmark.large-set/1",
            "prompts": arguments.prompts,
            "max_seconds": MAX_S,
            "max_mb": MAX_MB,
            "within_limits": within,
            "formats": measured,
        }
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
