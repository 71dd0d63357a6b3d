"""How long does the main job take here? `phyt2v refine --rounds 4` on the embedded model, as a user runs it.

    python benchmarks/tiny_speed.py --json tiny_speed.json

One process from start to exit, imports and loading included; the stages are read from the run's own records.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

PROMPT = "someone drops a scarlet marble"


def main() -> None:
    """Run, read the records, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        command = [sys.executable, "-m", "phyt2v_cli", "refine", "--prompt", PROMPT, "--quiet"]
        begin = time.perf_counter()
        subprocess.run([*command, "--rounds", str(options.rounds), "--out", str(run_dir)], check=True)
        wall = time.perf_counter() - begin
        records = [json.loads((run_dir / f"round{n}.json").read_text()) for n in range(1, options.rounds + 2)]
    table = Table(title=f"phyt2v refine --rounds {options.rounds}, {platform.machine()}")
    for column in ("round", "steps", "denoise s", "s per step", "decode s", "the rest s"):
        table.add_column(column, justify="right")
    for record in records:
        seconds = record["seconds"]
        rest = sum(s for stage, s in seconds.items() if stage not in ("denoise", "decode"))
        per_step = seconds["denoise"] / record["steps"]
        cells = (f"{s:.2f}" for s in (seconds["denoise"], per_step, seconds["decode"], rest))
        table.add_row(str(record["round"]), str(record["steps"]), *cells)
    stages = sum(sum(r["seconds"].values()) for r in records)
    Console().print(table)
    Console().print(f"whole command: {wall:.1f} s, of which {wall - stages:.1f} s start, imports and loading")
    if options.json:
        report = {"schema": "phyt2v.benchmark/1", "wall_s": wall, "rounds": [r["seconds"] for r in records]}
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
