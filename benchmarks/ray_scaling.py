"""How a prompt set scales over workers of Ray, on generators that only wait; and what limits 256 GPUs.

    python benchmarks/ray_scaling.py --json ray_scaling.json

The same set with 1, 2, 4, 8 and 16 workers, so that two cores suffice: everything else is real (loops, run
directories, mp4 files, Ray). A video takes 4 s, so that 16 workers make as many in a second as 256 H100s make
of CogVideoX-5B. Ends with 1 where the efficiency at the most workers is below 0.85. From the
measured overheads follows a model of a cluster: the rate at which each part of one driver is used up, beside
the rate of so many GPUs.
"""

import argparse
import json
import math
import os
import tempfile
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import ray
import waiting_generator
from rich.console import Console
from rich.table import Table

from phyt2v_cli.backends.cluster.factory import ClusterRoles
from phyt2v_cli.backends.guard import GuardedGenerator
from phyt2v_cli.config.schema import Config, ScheduleConfig
from phyt2v_cli.files.video import VideoMetadata, write_video
from phyt2v_cli.refinement import loop
from phyt2v_cli.roles import Roles
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.schedule import plan
from phyt2v_cli.sets.jobs import Job, make_jobs, run_jobs
from phyt2v_cli.sets.overlap import Pace
from phyt2v_cli.sets.prompt_set import PromptEntry
from phyt2v_cli.testing.fakes import FakeCaptioner, FakeChat, FakeScorer

MIN_EFFICIENCY = 0.85
REAL_FRAMES = (49, 480, 720, 3)
LATENTS_BYTES = 16 * 13 * 60 * 90 * 4
NUM_GPUS, NUM_PROMPTS, NUM_ROUNDS = 256, 100_000, 5
RENDER_S = 50 * 1.35 + 2.3
"""CogVideoX-5B compiled on one H100: 50 steps and the decode (gpu_refine.py)."""
STORE_BYTES_PER_S = 1.0e9
"""A 10 Gbit/s network into the driver, of which a little less is usable."""
FILES_PER_S = 300.0
"""New files that a shared file system takes from one client in a second, cautiously."""


@dataclass(frozen=True)
class Measured:
    """One run of the set."""

    seconds: float
    cpu_s: float
    """CPU seconds of the driver."""
    num_files: int
    peak_threads: int


def run_set(root: Path, num_workers: int, num_prompts: int, steps: int) -> Measured:
    """Run the set on so many workers; the time begins once all have loaded."""
    config = Config.model_validate(
        {
            "schedule": ScheduleConfig(steps=(steps,)),
            "refinement": {"rounds": 0},
            "execution": {"executor": "ray", "workers": num_workers},
        }
    )
    cluster = ClusterRoles(config, load_in_worker=waiting_generator.load)
    generator = GuardedGenerator(cluster.load_generator(config.generator), cluster.turns)
    while cluster.turns.num_places < num_workers:
        time.sleep(0.05)
    roles = Roles(lambda: generator, FakeChat(), FakeCaptioner(), [FakeScorer()])
    planned = plan(config.schedule, 0)
    entries = [PromptEntry(None, f"a ball, number {n}", n, n + 1, f"run-{n}") for n in range(num_prompts)]

    def open_run(job: Job) -> RunDir:
        return RunDir.open(job.path, prompt=job.entry.prompt, config=job.config, plan=planned)

    start, cpu, peak = time.perf_counter(), time.process_time(), 0
    for outcome in run_jobs(
        make_jobs(entries, config, root),
        refine=lambda run, emit, cancelled: loop.refine(run, roles, emit=emit, cancelled=cancelled),
        open_run=open_run,
        watch=lambda _: nullcontext(lambda _: None),
        cancelled=lambda: False,
        pace=Pace(cluster.turns),
    ):
        if outcome.result is None:
            raise SystemExit(f"a prompt failed: {outcome.error}")
        peak = max(peak, threading.active_count())
    end, cpu_end = time.perf_counter(), time.process_time()
    cluster.close()
    return Measured(end - start, cpu_end - cpu, sum(len(files) for _, _, files in os.walk(root)), peak)


def encode_cpu_s() -> float:
    """CPU seconds to write and verify one mp4 of a real size, of moving shapes."""
    count, height, width, _ = REAL_FRAMES
    y, x = np.mgrid[0:height, 0:width]
    frames = np.stack(
        [
            np.stack([(x + 5 * n) % 256, (y + 3 * n) % 256, (x + y) % 256], axis=-1).astype(np.uint8)
            for n in range(count)
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        write_video(Path(folder) / "v.mp4", frames, fps=8, metadata=VideoMetadata("p", 0, 50, 1, ""))
        return time.process_time() - start


def limits(per_video_cpu_s: float, encode_s: float, files_per_prompt: float, cores: int) -> dict[str, float]:
    """Videos per second at which each part of one driver is used up."""
    return {
        f"driver's Python (one core, {1000 * per_video_cpu_s:.0f} ms a video)": 1 / per_video_cpu_s,
        f"mp4 files ({cores} cores, {encode_s:.2f} CPU s a video)": cores / encode_s,
        "object store into the driver (frames and latents)": STORE_BYTES_PER_S
        / (math.prod(REAL_FRAMES) + 2 * LATENTS_BYTES),
        f"new files on shared storage ({files_per_prompt:.1f} a video)": FILES_PER_S / files_per_prompt,
    }


def main() -> int:
    """Measure, print the tables, write the JSON, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one video")
    parser.add_argument("--driver-cores", type=int, default=16, help="of the driver in the model")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    steps = round(options.seconds * waiting_generator.STEPS_PER_SECOND)
    ray.init(address="local", num_cpus=max(options.workers) + 1, include_dashboard=False, log_to_driver=False)
    console = Console(width=110)
    table = Table(
        title=f"{options.prompts} prompts of one video, which takes {options.seconds} s to wait for"
    )
    for column in ("workers", "s", "videos/s", "efficiency", "driver CPU ms a video", "threads"):
        table.add_column(column, justify="right")
    rows: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for num_workers in options.workers:
            got = run_set(Path(folder) / str(num_workers), num_workers, options.prompts, steps)
            ideal = math.ceil(options.prompts / num_workers) * options.seconds
            rows[num_workers] = {
                "seconds": got.seconds,
                "efficiency": ideal / got.seconds,
                "cpu_s_per_video": got.cpu_s / options.prompts,
                "files_per_video": got.num_files / options.prompts,
            }
            row = rows[num_workers]
            cells = (f"{got.seconds:.1f}", f"{options.prompts / got.seconds:.2f}", f"{row['efficiency']:.3f}")
            table.add_row(
                str(num_workers), *cells, f"{1000 * row['cpu_s_per_video']:.0f}", str(got.peak_threads)
            )
    console.print(table)
    last = rows[max(rows)]
    encode_s = encode_cpu_s()
    found = limits(last["cpu_s_per_video"], encode_s, last["files_per_video"], options.driver_cores)
    wanted = NUM_GPUS / RENDER_S
    model = Table(title=f"One driver: {NUM_GPUS} GPUs render {wanted:.2f} videos/s at {RENDER_S:.0f} s each")
    for column in ("limit", "videos/s", f"of {NUM_GPUS} GPUs", "GPUs it feeds"):
        model.add_column(column, justify="left" if column == "limit" else "right")
    for name, rate in sorted(found.items(), key=lambda item: item[1]):
        model.add_row(name, f"{rate:.2f}", f"{rate / wanted:.1f} times", f"{rate * RENDER_S:,.0f}")
    console.print(model)
    days = NUM_PROMPTS * NUM_ROUNDS / min(*found.values(), wanted) / 86_400
    drivers = math.ceil(wanted / min(found.values()))
    console.print(
        f"{NUM_PROMPTS:,} prompts of {NUM_ROUNDS} videos: {days:.1f} days with one driver; "
        f"{drivers} driver(s) with `--shard I/{drivers}` keep {NUM_GPUS} GPUs busy."
    )
    if options.json:
        report = {"schema": "phyt2v.benchmark/1", "by_workers": rows, "limits": found, "wanted": wanted}
        options.json.write_text(json.dumps({**report, "encode_cpu_s": encode_s}, indent=2) + "\n")
    return int(last["efficiency"] < MIN_EFFICIENCY)


if __name__ == "__main__":
    raise SystemExit(main())
