"""What waiting for an LLM and a VLM costs a prompt set: with overlap, and one prompt after another.

    python benchmarks/batch_overlap.py --json overlap.json

A server on loopback answers each request after 1.5 s. The embedded model renders 24 prompts of three rounds;
only the denoising steps are few, so that waiting and rendering are as long as each other, as with a model on
a fast GPU. It computes in one thread, so that encoding, checking and drawing have a core of their own, as
they have beside a GPU; with threads on all cores they would take time from the renders.

Measured are the share of the time between the first and the last render in which the generator works, and the
time of the set against that of its renders alone. Ends with 1 where the overlapped set takes more than 1.08
times the renders alone, or the generator works less than 95 % of the time.
"""

import argparse
import json
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from slow_server import slow_server

from phyt2v_cli.api import Studio
from phyt2v_cli.backends import load_generator
from phyt2v_cli.backends.guard import GeneratorWrapper
from phyt2v_cli.config.schema import Config, ScheduleConfig
from phyt2v_cli.files.video import VideoMetadata, write_video
from phyt2v_cli.roles import Decoded, Denoised, VideoGenerator
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.schedule import plan
from phyt2v_cli.sets.jobs import Job, make_jobs, run_jobs
from phyt2v_cli.sets.overlap import Pace
from phyt2v_cli.sets.prompt_set import PromptEntry

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "white", "black")
MAX_RATIO, MIN_BUSY = 1.08, 0.95


class TimedGenerator(GeneratorWrapper):
    """Generator that notes when it worked; implements `VideoGenerator`."""

    def __init__(self, generator: VideoGenerator) -> None:
        super().__init__(generator)
        self.spans: list[tuple[float, float]] = []

    def denoise(self, *args: Any, **kwargs: Any) -> Denoised:
        start = time.perf_counter()
        denoised = self._wrapped.denoise(*args, **kwargs)
        self.spans.append((start, time.perf_counter()))
        return denoised

    def decode(self, *args: Any) -> Decoded:
        start = time.perf_counter()
        decoded = self._wrapped.decode(*args)
        self.spans.append((start, time.perf_counter()))
        return decoded

    def busy_share(self) -> float:
        """Share of the time from the first to the last call in which it worked."""
        worked = sum(end - start for start, end in self.spans)
        return worked / (max(end for _, end in self.spans) - min(start for start, _ in self.spans))


def config_for(url: str, steps: tuple[int, ...]) -> Config:
    """Config of the set: the embedded generator, and all judges on the server."""
    role = {"backend": "openai", "model": "slow", "base_url": url, "api_key_env": "NO_SUCH_KEY"}
    return Config.model_validate(
        {
            **{key: {**role, "concurrency": 32} for key in ("llm", "captioner", "scorer")},
            "schedule": ScheduleConfig(steps=steps),
            "refinement": {"rounds": len(steps) - 1},
        }
    )


def make_entries(num_prompts: int) -> list[PromptEntry]:
    """Prompts that are all different, each with its own seed."""
    prompts = [f"a {COLOURS[n % 8]} ball drops, number {n}" for n in range(num_prompts)]
    return [PromptEntry(None, prompt, n, n + 1, f"run-{n}") for n, prompt in enumerate(prompts)]


def run_set(
    root: Path, config: Config, generator: VideoGenerator, num_prompts: int, num_open: int | None
) -> tuple[float, float]:
    """Refine the set; returns the seconds that took, and the share in which the generator worked."""
    jobs = make_jobs(make_entries(num_prompts), config, root)
    planned = plan(config.schedule, config.refinement.rounds)
    timed = TimedGenerator(generator)

    def open_run(job: Job) -> RunDir:
        return RunDir.open(job.path, prompt=job.entry.prompt, config=job.config, plan=planned)

    with Studio(config=config, generator=timed, prefetches_control=False) as studio:
        start = time.perf_counter()
        for outcome in run_jobs(
            jobs,
            refine=lambda run, emit, cancelled: studio.complete(run, emit=emit, cancelled=cancelled),
            open_run=open_run,
            watch=lambda _: nullcontext(lambda _: None),
            cancelled=lambda: False,
            pace=Pace(studio.turns, num_open=num_open),
        ):
            if outcome.result is None:
                raise SystemExit(f"a prompt failed: {outcome.error}")
        return time.perf_counter() - start, timed.busy_share()


def render_alone(root: Path, generator: VideoGenerator, num_prompts: int, steps: tuple[int, ...]) -> float:
    """Render as many videos, with nothing between them; returns the seconds that took."""
    start = time.perf_counter()
    for entry in make_entries(num_prompts):
        for number, count in enumerate(steps, start=1):
            denoised = generator.denoise(
                entry.prompt, seed=entry.seed or 0, num_inference_steps=count, on_step=lambda _: None
            )
            frames = generator.decode(denoised.latents).frames
            metadata = VideoMetadata(entry.prompt, entry.seed or 0, count, number, "")
            write_video(root / f"{entry.folder}-{number}.mp4", frames, fps=generator.fps, metadata=metadata)
    return time.perf_counter() - start


def main() -> int:
    """Measure, print the table, write the JSON, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 8, 10])
    parser.add_argument("--delay", type=float, default=1.5, metavar="SECONDS")
    parser.add_argument("--skip-sequential", action="store_true", help="do not measure one after another")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    steps = tuple(options.steps)
    torch.set_num_threads(1)
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, slow_server(options.delay) as url:
        root, config = Path(folder), config_for(url, steps)
        generator = load_generator(config.generator)
        generator.denoise("a ball", seed=0, num_inference_steps=2, on_step=lambda _: None)  # warms up
        alone = render_alone(root, generator, options.prompts, steps)
        figures["renders alone"] = {"seconds": alone, "ratio": 1.0, "busy": 1.0}
        modes = {"overlapped": None} if options.skip_sequential else {"overlapped": None, "one by one": 1}
        for name, num_open in modes.items():
            seconds, busy = run_set(root / name, config, generator, options.prompts, num_open)
            figures[name] = {"seconds": seconds, "ratio": seconds / alone, "busy": busy}
    num_videos = options.prompts * len(steps)
    table = Table(title=f"{options.prompts} prompts, {num_videos} videos, {options.delay} s for each answer")
    for column in ("", "s", "times the renders alone", "generator busy"):
        table.add_column(column, justify="right")
    for name, row in figures.items():
        table.add_row(name, f"{row['seconds']:.1f}", f"{row['ratio']:.3f}", f"{row['busy']:.1%}")
    Console().print(table)
    if options.json:
        report = {"schema": "phyt2v.benchmark/1", "steps": steps, "delay_s": options.delay, **figures}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    overlapped = figures["overlapped"]
    return int(overlapped["ratio"] > MAX_RATIO or overlapped["busy"] < MIN_BUSY)


if __name__ == "__main__":
    raise SystemExit(main())
