"""How slow is less memory? Each model at its preset's size, in processes limited to a part of one GPU.

    python benchmarks/gpu_memory.py --models cogvideox-5b ltx-video --limits 24 16 12 --json gpu_memory.json

Random weights of the real sizes, nothing is downloaded; torch's attention, nothing is compiled. First each
level without a limit, then for each limit what `offload = auto` chooses, and the levels that were faster
without one. "Seconds" are those of one video among others: what comes before its first step ("moving":
weights go where they are used, and the prompt is encoded), 50 steps and a decode. The limit is that of
`torch.cuda.set_per_process_memory_fraction`, so a real card of that size may differ by its own overhead. Ends
with 1 if a choice did not complete, or if another level was faster by more than 5 %.
"""

import argparse
import json
import math
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from cogvideox_5b import PROMPT
from gpu_activations import CASES, DEVICE, Case, generator_of
from rich.console import Console
from rich.table import Table

from phyt2v_cli.backends.memory import device, offloading
from phyt2v_cli.backends.memory.offloading import OFFLOAD_LEVELS
from phyt2v_cli.errors import BackendError
from phyt2v_cli.roles import DenoisingStep

MAX_LOSS = 1.05
STEPS_OF_A_VIDEO = 50


def measure(case: Case, pipeline: Any, offload: Any, num_steps: int) -> dict[str, Any]:
    """Render one video of `num_steps` and return how it went."""
    stamps: list[float] = []

    def on_step(_: DenoisingStep) -> None:
        torch.cuda.synchronize()
        stamps.append(time.perf_counter())

    row: dict[str, Any] = {"model": case.name, "asked": offload}
    config = case.config.model_copy(update={"offload": offload, "attention": "torch"})
    try:
        # Closed, or it would count as another model that holds this GPU.
        with closing(generator_of(pipeline, config)) as generator:
            if offload != "auto":
                generator.placed.levels = (offload,)  # so that no other one is measured in its place
            torch.cuda.reset_peak_memory_stats()
            # The first video loads kernels and traces the order of prefetching.
            denoised = generator.denoise(PROMPT, seed=0, num_inference_steps=2, on_step=on_step)
            row["denoise_peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
            torch.cuda.reset_peak_memory_stats()
            begin = time.perf_counter()
            decoded = generator.decode(denoised.latents)
            row["decode_s"] = time.perf_counter() - begin
            row["decode_peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
            stamps.clear()
            begin = time.perf_counter()
            generator.denoise(f"{PROMPT} again", seed=0, num_inference_steps=num_steps, on_step=on_step)
        row["step_s"] = (stamps[-1] - stamps[0]) / (len(stamps) - 1)
        row["moving_s"] = stamps[0] - begin - row["step_s"]
        row["seconds"] = STEPS_OF_A_VIDEO * row["step_s"] + row["decode_s"] + row["moving_s"]
        row |= {**denoised.how, **decoded.how}
    except (BackendError, torch.OutOfMemoryError) as error:
        row["failed"] = str(error)
    return row


def set_limit(limit_gb: float) -> None:
    """Let this process take so much of the GPU."""
    device.release()
    total = torch.cuda.get_device_properties(DEVICE).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, limit_gb * 1e9 / total), DEVICE)


def lift(pipeline: Any) -> None:
    """Put everything back on the CPU."""
    offloading.lift(pipeline)
    pipeline.vae.disable_tiling()
    pipeline.to("cpu")
    device.release()


def judge(rows: list[dict[str, Any]]) -> str | None:
    """Return what is wrong with the choice, which is the first row; None if nothing is."""
    chosen, *others = rows
    if "failed" in chosen:
        return f"did not complete: {chosen['failed']}"
    fastest = min(
        (row for row in others if "failed" not in row), key=lambda row: row["seconds"], default=chosen
    )
    if chosen["seconds"] > MAX_LOSS * fastest["seconds"]:
        return f"{fastest['asked']} is faster"
    return None


def _write(rows: list[dict[str, Any]], path: Path | None) -> None:
    if path is not None:
        report = {"schema": "phyt2v.benchmark/1", "gpu": torch.cuda.get_device_name(), "rows": rows}
        path.write_text(json.dumps(report, indent=2) + "\n")


def main() -> int:
    """Measure, print, write, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [case.name for case in CASES]
    parser.add_argument("--models", nargs="+", choices=names, default=["cogvideox-5b"])
    parser.add_argument("--limits", type=float, nargs="+", default=[80, 40, 24, 16, 12], metavar="GB")
    parser.add_argument("--levels", nargs="*", choices=OFFLOAD_LEVELS, default=OFFLOAD_LEVELS[:3])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console = Console(width=150)
    rows = []
    complaints = []
    for case in (case for case in CASES if case.name in options.models):
        pipeline = case.build(whole=True)
        lift(pipeline)

        def tried(offload: str, limit: float, case: Case = case, pipeline: Any = pipeline) -> dict[str, Any]:
            set_limit(limit)
            row = {"limit_gb": limit if math.isfinite(limit) else None}
            row |= measure(case, pipeline, offload, options.steps)
            lift(pipeline)
            print(json.dumps(row), flush=True)
            return row

        unlimited = [tried(level, math.inf) for level in options.levels]
        rows += unlimited
        for limit in options.limits:
            chosen = tried("auto", limit)
            could_be_faster = [
                row["asked"]
                for row in unlimited
                if row["asked"] != chosen.get("offload")
                and MAX_LOSS * row.get("seconds", math.inf) < chosen.get("seconds", math.inf)
            ]
            at_limit = [chosen, *(tried(level, limit) for level in could_be_faster)]
            rows += at_limit
            if (complaint := judge(at_limit)) is not None:
                complaints.append(f"{case.name} at {limit:g} GB: {complaint}")
            _write(rows, options.json)
        del pipeline, tried
    columns = ("model", "limit_gb", "asked", "offload", "tiled_decode", "decode_offload")
    times = ("step_s", "decode_s", "moving_s", "seconds", "denoise_peak_gb", "decode_peak_gb", "failed")
    table = Table(title=torch.cuda.get_device_name())
    for column in (*columns, *times):
        table.add_column(column)
    for row in rows:
        cells = (row.get(str(column.header)) for column in table.columns)
        table.add_row(
            *(f"{c:.2f}" if isinstance(c, float) else str("" if c is None else c)[:40] for c in cells)
        )
    console.print(table)
    for complaint in complaints:
        console.print(complaint)
    return int(bool(complaints))


if __name__ == "__main__":
    raise SystemExit(main())
