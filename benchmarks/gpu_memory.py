"""How slow is less memory? CogVideoX-5B, 49 frames of 480x720, in processes limited to a part of one GPU.

    python benchmarks/gpu_memory.py --limits 80 24 16 12 --json gpu_memory.json

Random weights, nothing is downloaded. First what denoising and decoding take beside the weights, then for
each limit what `offload = auto` chooses and how fast it is, then every other level at --compare-at. The limit
is `torch.cuda.set_per_process_memory_fraction`, so a real card of that size may differ by its own overhead.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from cogvideox_5b import CONFIG, PROMPT, build
from rich.console import Console
from rich.table import Table

from phyt2v_cli.backends.diffusion.families.table import family_of
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator
from phyt2v_cli.backends.memory import device, offloading
from phyt2v_cli.backends.memory.activations import VideoSize
from phyt2v_cli.errors import BackendError
from phyt2v_cli.roles import DenoisingStep

DEVICE = torch.device("cuda", 0)


def measure(pipeline: Any, offload: str, num_steps: int) -> dict[str, Any]:
    """Render one video of `num_steps` and return how it went."""
    config = CONFIG.model_copy(update={"offload": offload})
    family = family_of("CogVideoXPipeline", {})
    stamps: list[float] = []

    def on_step(_: DenoisingStep) -> None:
        torch.cuda.synchronize()
        stamps.append(time.perf_counter())

    row: dict[str, Any] = {"asked": offload}
    try:
        generator = DiffusersGenerator(pipeline, config, family, {}, DEVICE)
        torch.cuda.reset_peak_memory_stats()
        latents = generator.denoise(PROMPT, seed=0, num_inference_steps=num_steps, on_step=on_step).latents
        row["denoise_peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
        # the first step loads kernels and traces the order of prefetching
        row["step_s"] = (stamps[-1] - stamps[1]) / (len(stamps) - 2)
        torch.cuda.reset_peak_memory_stats()
        begin = time.perf_counter()
        generator.decode(latents)
        row["decode_s"] = time.perf_counter() - begin
        row["decode_peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
        row |= generator.settings
    except (BackendError, torch.OutOfMemoryError) as error:
        row["failed"] = str(error)
    return row


def set_limit(limit_gb: float | None) -> None:
    """Let this process take so much of the GPU, or all of it."""
    device.release()
    total = torch.cuda.get_device_properties(DEVICE).total_memory
    torch.cuda.set_per_process_memory_fraction(1.0 if limit_gb is None else limit_gb * 1e9 / total, DEVICE)


def lift(pipeline: Any) -> None:
    """Put everything back on the CPU."""
    offloading.lift(pipeline)
    pipeline.vae.disable_tiling()
    pipeline.to("cpu")
    device.release()


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limits", type=float, nargs="+", default=[80, 24, 16, 12], metavar="GB")
    parser.add_argument("--compare-at", type=float, default=24, metavar="GB")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console = Console(width=150)
    pipeline = build()
    lift(pipeline)
    weights_gb = offloading.need_of(pipeline, VideoSize(1, 1, 1, 1)).weights / 1e9
    rows = []

    def add(limit: float | None, offload: str) -> None:
        set_limit(limit)
        rows.append({"limit_gb": limit} | measure(pipeline, offload, options.steps))
        lift(pipeline)
        console.print(rows[-1])

    add(None, "none")
    for limit in options.limits:
        add(limit, "auto")
    for level in ("model", "group", "sequential"):
        add(options.compare_at, level)
    table = Table(title=f"{torch.cuda.get_device_name()}, weights {weights_gb:.1f} GB")
    columns = ("limit_gb", "asked", "offload", "tiled_decode", "step_s", "decode_s")
    for column in (*columns, "denoise_peak_gb", "decode_peak_gb", "failed"):
        table.add_column(column)
    for row in rows:
        cells = (row.get(column.header) for column in table.columns)
        table.add_row(*(f"{c:.2f}" if isinstance(c, float) else str("" if c is None else c) for c in cells))
    console.print(table)
    if options.json:
        report = {"schema": "phyt2v.benchmark/1", "gpu": torch.cuda.get_device_name(), "rows": rows}
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
