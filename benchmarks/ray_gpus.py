"""How much faster is a prompt set on two GPUs than on one? CogVideoX-5B with random weights, through Ray.

    python benchmarks/ray_gpus.py --model /tmp/random-5b --json ray_gpus.json

Eight prompts of two rounds with reduced steps, 49 frames of 480x720; the loops, the mp4 files and the
embedded judges run in the driver, one model on each GPU. Time counts from the moment at which every worker
has loaded, and the share in which the GPUs are busy from the set's first render to the end of the set; the
warm-up and the waiting for the other workers are in neither. Ends with 1 where the rate on all GPUs is less
than 0.95 of that many times the rate on one.
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from cogvideox_5b import CONFIG, write_random_model
from rich.console import Console
from rich.table import Table

from phyt2v_cli.api import Studio
from phyt2v_cli.config.schema import Config, ScheduleConfig
from phyt2v_cli.events import Event, StageStarted
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.schedule import plan
from phyt2v_cli.sets.jobs import Job, make_jobs, run_jobs
from phyt2v_cli.sets.overlap import Pace
from phyt2v_cli.sets.prompt_set import PromptEntry
from phyt2v_cli.turns import Turns

MIN_EFFICIENCY = 0.95


class BusyShare:
    """Share of the places' time in which they are taken, from the first denoising that is heard of."""

    def __init__(self, turns: Turns, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._turns = turns
        self._clock = clock
        self._lock = threading.Lock()
        self._first: tuple[float, float] | None = None
        """Time of the first denoising, and the busy seconds until then."""

    def hear(self, event: Event) -> None:
        """Hear an event of a run, in any thread."""
        if isinstance(event, StageStarted) and event.stage == "denoise":
            with self._lock:
                if self._first is None:
                    self._first = self._clock(), self._turns.busy_s

    def share(self) -> float:
        """Share until now; 0 before the first denoising."""
        if self._first is None:
            return 0.0
        began, busy_s = self._first
        return (self._turns.busy_s - busy_s) / (self._turns.num_places * (self._clock() - began))


def run_set(
    root: Path, model: Path, num_gpus: int, num_prompts: int, steps: tuple[int, ...]
) -> dict[str, float]:
    """Refine the set on so many GPUs; returns seconds of loading and of the set, and the busy share."""
    config = Config.model_validate(
        {
            "generator": {**CONFIG.model_dump(), "model": str(model), "compile": "off"},
            "schedule": ScheduleConfig(steps=steps),
            "refinement": {"rounds": len(steps) - 1},
            "llm": {"backend": "rulebook"},
            "captioner": {"backend": "tracker"},
            "scorer": {"backend": "tracker"},
            "execution": {"executor": "ray", "ray_address": "local", "gpus": num_gpus},
        }
    )
    entries = [
        PromptEntry(None, f"a ball drops, number {n}", n, n + 1, f"run-{n}") for n in range(num_prompts)
    ]
    planned = plan(config.schedule, config.refinement.rounds)

    def open_run(job: Job) -> RunDir:
        return RunDir.open(job.path, prompt=job.entry.prompt, config=job.config, plan=planned)

    root.mkdir()
    start = time.perf_counter()
    with Studio(config=config, prefetches_control=False) as studio:
        studio.generate("a ball", out=root / "warm-up.mp4", steps=2)
        while studio.turns.num_places < num_gpus:
            time.sleep(0.1)
        loaded = time.perf_counter()
        busy = BusyShare(studio.turns)
        for outcome in run_jobs(
            make_jobs(entries, config, root),
            refine=lambda run, emit, cancelled: studio.complete(run, emit=emit, cancelled=cancelled),
            open_run=open_run,
            watch=lambda _: nullcontext(busy.hear),
            cancelled=lambda: False,
            pace=Pace(studio.turns),
        ):
            if outcome.result is None:
                raise SystemExit(f"a prompt failed: {outcome.error}")
        end = time.perf_counter()
        return {"load_s": loaded - start, "set_s": end - loaded, "busy": busy.share()}


def main() -> int:
    """Measure, print the table, write the JSON, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder for the random weights, 21 GB")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 6])
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if not options.model.exists():
        write_random_model(options.model)
    rows: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for num_gpus in options.gpus:
            root = Path(folder) / str(num_gpus)
            rows[num_gpus] = run_set(root, options.model, num_gpus, options.prompts, tuple(options.steps))
    num_videos = options.prompts * len(options.steps)
    first = rows[options.gpus[0]]
    table = Table(title=f"{options.prompts} prompts, {num_videos} videos of {options.steps} steps")
    for column in ("GPUs", "load s", "set s", "videos a minute", "times the first", "GPUs busy"):
        table.add_column(column, justify="right")
    for num_gpus, row in rows.items():
        row["speedup"] = first["set_s"] / row["set_s"]
        per_minute = 60 * num_videos / row["set_s"]
        cells = (f"{row['load_s']:.1f}", f"{row['set_s']:.1f}", f"{per_minute:.2f}", f"{row['speedup']:.3f}")
        table.add_row(str(num_gpus), *cells, f"{row['busy']:.1%}")
    Console().print(table)
    if options.json:
        report = {"schema": "phyt2v.benchmark/1", "steps": options.steps, "by_gpus": rows}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    most = max(rows)
    return int(rows[most]["speedup"] < MIN_EFFICIENCY * most / min(rows))


if __name__ == "__main__":
    raise SystemExit(main())
