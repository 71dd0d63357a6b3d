"""One video on two GPUs by guidance split: seconds of a denoising step, and whether the video is the same.

    python benchmarks/gpu_split.py --json gpu_split.json

CogVideoX-5B, 49 frames of 480x720 (both branches in one call), and Wan 2.1 14B, 81 frames of 480x832 (two
calls), with random weights, eager and compiled. Each pair is measured one after the other in one process.
"Same" means bit for bit the same latents; of compiled blocks the relative difference is given, for one
branch is compiled to another graph than two. Wan's first step of each video is not split, since it teaches
which inputs come. Ends with 1 where an eager video is not the same, or CogVideoX-5B takes more than 0.51 of
one GPU's step.
"""

import argparse
import gc
import itertools
import json
import statistics
import time
from pathlib import Path
from typing import Any

import cogvideox_5b
import numpy as np
import torch
import wan_14b
from rich.console import Console
from rich.table import Table

from phyt2v_cli.backends.diffusion.families.table import family_of
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator
from phyt2v_cli.roles import DenoisingStep, Latents

MODELS: dict[str, Any] = {"CogVideoXPipeline": cogvideox_5b, "WanPipeline": wan_14b}
NUM_WARM_UP = 2
MAX_RATIO = 0.51


def measure(name: str, *, gpus: int, compile: str, num_steps: int) -> tuple[dict[str, Any], Latents]:
    """Denoise one video; returns its figures and its latents."""
    torch.manual_seed(0)
    torch.cuda.current_device()  # starts CUDA; statistics of a GPU cannot be reset before that
    for number in range(gpus):
        torch.cuda.reset_peak_memory_stats(number)
    pipeline = MODELS[name].build()
    config = MODELS[name].CONFIG.model_copy(update={"compile": compile, "gpus": gpus})
    other = torch.device("cuda", 1) if gpus == 2 else None
    generator = DiffusersGenerator(
        pipeline, config, family_of(name, {}), {}, torch.device("cuda", 0), second_gpu=other
    )
    ends: list[float] = []

    def on_step(_: DenoisingStep) -> None:
        torch.cuda.synchronize()
        ends.append(time.perf_counter())

    begun = time.perf_counter()
    denoised = generator.denoise(cogvideox_5b.PROMPT, seed=0, num_inference_steps=num_steps, on_step=on_step)
    seconds = [after - before for before, after in itertools.pairwise(ends)]
    figures = {
        "model": name,
        "gpus": gpus,
        "compile": compile,
        "step_s": statistics.median(seconds[NUM_WARM_UP:]),
        "first_step_s": ends[0] - begun,
        "peak_gb": [round(torch.cuda.max_memory_allocated(n) / 1e9, 1) for n in range(gpus)],
        "how": dict(denoised.how),
    }
    generator.close()
    torch.compiler.reset()
    gc.collect()
    torch.cuda.empty_cache()
    return figures, denoised.latents


def compare(name: str, compile: str, num_steps: int) -> list[dict[str, Any]]:
    """Measure one GPU and two."""
    alone, expected = measure(name, gpus=1, compile=compile, num_steps=num_steps)
    shared, latents = measure(name, gpus=2, compile=compile, num_steps=num_steps)
    shared["ratio"] = shared["step_s"] / alone["step_s"]
    shared["is_same"] = bool(np.array_equal(latents, expected))
    difference = np.linalg.norm((latents - expected).astype(np.float64))
    shared["relative_difference"] = float(difference / np.linalg.norm(expected.astype(np.float64)))
    print(json.dumps([alone, shared]), flush=True)
    return [alone, shared]


def main() -> int:
    """Measure, print the table, write the JSON, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--compile", nargs="+", choices=("off", "on"), default=["off", "on"])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    rows = [
        row
        for compile in options.compile
        for name in options.models
        for row in compare(name, compile, options.steps)
    ]
    table = Table(title=f"guidance split, {torch.cuda.get_device_name()}")
    for column in ("model", "GPUs", "compiled", "s a step", "of one GPU", "same", "difference", "peak GB"):
        table.add_column(column)
    for row in rows:
        is_shared = row["gpus"] == 2
        table.add_row(
            row["model"].removesuffix("Pipeline"),
            str(row["gpus"]),
            row["compile"],
            f"{row['step_s']:.3f}",
            f"{row['ratio']:.3f}" if is_shared else "",
            ("yes" if row["is_same"] else "no") if is_shared else "",
            f"{row['relative_difference']:.1e}" if is_shared else "",
            " ".join(map(str, row["peak_gb"])),
        )
    Console().print(table)
    if options.json:
        report = {"schema": "phyt2v.benchmark/1", "device": torch.cuda.get_device_name(), "rows": rows}
        options.json.write_text(json.dumps(report, indent=2) + "\n")

    shared = [row for row in rows if row["gpus"] == 2]
    is_other = any(row["compile"] == "off" and not row["is_same"] for row in shared)
    is_slow = any(row["model"] == "CogVideoXPipeline" and row["ratio"] > MAX_RATIO for row in shared)
    return int(is_other or is_slow)


if __name__ == "__main__":
    raise SystemExit(main())
