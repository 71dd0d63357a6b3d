"""One video on several GPUs: seconds of a denoising step, and whether the video is the same.

    python benchmarks/gpu_split.py --json gpu_split.json

CogVideoX-5B, 49 frames of 480x720 (both branches in one call), Wan 2.1 14B, 81 frames of 480x832, and, if
named, HunyuanVideo 1.5, 121 frames of 480x848 (two calls), with random weights, eager and compiled. One GPU
is compared with two that compute a guidance branch each, with `--gpus` of them that share the tokens (context
parallelism), and from four on with both. All are measured one after the other in one process. "Same" means
bit for bit the same latents; else the relative difference tells more: one branch is compiled to another graph
than two, and shared tokens are multiplied in other shapes. Of two calls the first step of each video is not
split by guidance, since it teaches which inputs come. Ends with 1 where an eager guidance split is not the
same, or takes more than 0.51 of one GPU's step of CogVideoX-5B.
"""

import argparse
import gc
import itertools
import json
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cogvideox_5b
import numpy as np
import torch
import wan_14b
from gpu_activations import CASES
from rich.console import Console
from rich.table import Table

from phyt2v_cli.backends.diffusion.families.table import family_of
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator
from phyt2v_cli.backends.diffusion.several_gpus import Sharing
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.roles import DenoisingStep, Latents


class Model(NamedTuple):
    """Model with random weights, and the size that it renders."""

    build: Callable[[], Any]
    config: GeneratorConfig


HUNYUAN = next(case for case in CASES if case.name == "hunyuanvideo-1.5")
MODELS = {
    "CogVideoXPipeline": Model(cogvideox_5b.build, cogvideox_5b.CONFIG),
    "WanPipeline": Model(wan_14b.build, wan_14b.CONFIG),
    "HunyuanVideo15Pipeline": Model(partial(HUNYUAN.build, whole=True), HUNYUAN.config),
}
NUM_WARM_UP = 2
MAX_RATIO = 0.51


def ways_of(num_gpus: int) -> dict[str, Sharing]:
    """Ways to render on so many GPUs and on fewer."""
    others = tuple(torch.device("cuda", number) for number in range(1, num_gpus))
    ways = {"alone": Sharing(), "guidance": Sharing(others[:1], 2), "tokens": Sharing(others, 1)}
    return ways | ({"both": Sharing(others, 2)} if num_gpus > 2 and num_gpus % 2 == 0 else {})


def measure(name: str, sharing: Sharing, *, compile: str, num_steps: int) -> tuple[dict[str, Any], Latents]:
    """Denoise one video; returns its figures and its latents."""
    torch.manual_seed(0)
    torch.cuda.current_device()  # starts CUDA; statistics of a GPU cannot be reset before that
    gpus = 1 + len(sharing.others)
    for number in range(gpus):
        torch.cuda.reset_peak_memory_stats(number)
    pipeline = MODELS[name].build()
    config = MODELS[name].config.model_copy(update={"compile": compile, "gpus": gpus})
    generator = DiffusersGenerator(
        pipeline, config, family_of(name, {}), {}, torch.device("cuda", 0), sharing=sharing
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


def compare(name: str, ways: Mapping[str, Sharing], compile: str, num_steps: int) -> list[dict[str, Any]]:
    """Measure each of the ways, of which the first is one GPU."""
    rows: list[dict[str, Any]] = []
    for way, sharing in ways.items():
        figures, latents = measure(name, sharing, compile=compile, num_steps=num_steps)
        if not rows:
            alone, expected = figures, latents
        difference = np.linalg.norm((latents - expected).astype(np.float64))
        rows.append(
            {
                **figures,
                "way": way,
                "ratio": figures["step_s"] / alone["step_s"],
                "is_same": bool(np.array_equal(latents, expected)),
                "relative_difference": float(difference / np.linalg.norm(expected.astype(np.float64))),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> int:
    """Measure, print the table, write the JSON, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS)[:2])
    parser.add_argument("--compile", nargs="+", choices=("off", "on"), default=["off", "on"])
    parser.add_argument("--gpus", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    ways = ways_of(options.gpus)
    rows = [
        row
        for compile in options.compile
        for name in options.models
        for row in compare(name, ways, compile, options.steps)
    ]
    table = Table(title=f"one video on several GPUs, {torch.cuda.get_device_name()}")
    for column in (
        "model",
        "GPUs",
        "shared",
        "compiled",
        "s a step",
        "of one GPU",
        "same",
        "difference",
        "peak GB",
    ):
        table.add_column(column)
    for row in rows:
        is_shared = row["gpus"] > 1
        table.add_row(
            row["model"].removesuffix("Pipeline"),
            str(row["gpus"]),
            row["way"],
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

    shared = [row for row in rows if row["way"] == "guidance"]
    is_other = any(row["compile"] == "off" and not row["is_same"] for row in shared)
    is_slow = any(row["model"] == "CogVideoXPipeline" and row["ratio"] > MAX_RATIO for row in shared)
    return int(is_other or is_slow)


if __name__ == "__main__":
    raise SystemExit(main())
