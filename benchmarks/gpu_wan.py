"""How long is a denoising step of Wan 2.1 14B, 81 frames of 480x832? By attention kernel, eager and compiled.

    python benchmarks/gpu_wan.py --json gpu_wan.json

The product's own path with random weights; a step is two calls of the transformer, one for each guidance
branch. Nothing is downloaded. With flash-attn-4 (`pip install 'phyt2v[fa4]'`) both kernels are measured, one
after the other in one process. "Difference" is the relative difference of the latents from those of torch's
kernel, eager; "again" tells if a second video of the same seed is bit for bit the same. Ends with 1 if it is
not, or if the fastest step takes more than 5.0 s.
"""

import argparse
import gc
import itertools
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import wan_14b
from cogvideox_5b import PROMPT
from rich.console import Console
from rich.table import Table

from phyt2v_cli.backends.acceleration import attention
from phyt2v_cli.backends.diffusion.families.table import family_of
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.roles import DenoisingStep, Latents

DEVICE = torch.device("cuda", 0)
MAX_STEP_S = 5.0
NUM_WARM_UP = 2


def measure(kernel: str, compile: str, num_steps: int) -> tuple[dict[str, Any], Latents]:
    """Denoise two videos of one seed; returns the figures and the latents."""
    torch.manual_seed(0)
    torch.cuda.reset_peak_memory_stats()
    config = wan_14b.CONFIG.model_copy(update={"compile": compile, "attention": kernel})
    generator = DiffusersGenerator(wan_14b.build(), config, family_of("WanPipeline", {}), {}, DEVICE)
    ends: list[float] = []

    def on_step(_: DenoisingStep) -> None:
        torch.cuda.synchronize()
        ends.append(time.perf_counter())

    begun = time.perf_counter()
    denoised = generator.denoise(PROMPT, seed=0, num_inference_steps=num_steps, on_step=on_step)
    seconds = [after - before for before, after in itertools.pairwise(ends)]
    again = generator.denoise(PROMPT, seed=0, num_inference_steps=num_steps, on_step=lambda _: None)
    figures = {
        "asked": kernel,
        "compile": compile,
        "step_s": statistics.median(seconds[NUM_WARM_UP:]),
        "first_step_s": ends[0] - begun,
        "is_same_again": bool(np.array_equal(denoised.latents, again.latents)),
        "peak_gb": torch.cuda.max_memory_allocated() / 1e9,
        "how": dict(denoised.how),
    }
    generator.close()
    torch.compiler.reset()
    gc.collect()
    torch.cuda.empty_cache()
    return figures, denoised.latents


def _kernels() -> list[str]:
    try:
        attention.check("fa4", DEVICE)
    except ConfigError as error:
        Console().print(f"torch's kernel only: {error}")
        return ["torch"]
    return ["torch", "fa4"]


def main() -> int:
    """Measure, print the table, write the JSON, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--compile", nargs="+", choices=("off", "on"), default=["off", "on"])
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    expected: Latents | None = None
    for compile, kernel in itertools.product(options.compile, _kernels()):
        row, latents = measure(kernel, compile, options.steps)
        expected = latents if expected is None else expected
        difference = np.linalg.norm((latents - expected).astype(np.float64))
        row["difference"] = float(difference / np.linalg.norm(expected.astype(np.float64)))
        rows.append(row)
        print(json.dumps(row), flush=True)
    table = Table("kernel", "compiled", "s a step", "first step", "difference", "again", "peak GB")
    for row in rows:
        table.add_row(
            row["how"]["attention"],
            row["compile"],
            f"{row['step_s']:.3f}",
            f"{row['first_step_s']:.1f}",
            f"{row['difference']:.1e}",
            "same" if row["is_same_again"] else "other",
            f"{row['peak_gb']:.1f}",
        )
    Console(width=120).print(table)
    if options.json:
        report = {"schema": "phyt2v.benchmark/1", "device": torch.cuda.get_device_name(), "rows": rows}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    is_slow = min(row["step_s"] for row in rows) > MAX_STEP_S
    return int(is_slow or not all(row["is_same_again"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
