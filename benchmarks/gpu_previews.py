"""What previews cost: seconds of denoising with them and without, and whether the latents are the same.

    python benchmarks/gpu_previews.py --json gpu_previews.json

CogVideoX-5B, 49 frames of 480x720, and Wan 2.1 14B, 81 frames of 480x832, with random weights, eager. Two
videos of each are denoised with a preview every ten steps: a short one that loads the kernels, and a whole
one, whose time is compared with that of one without. Ends with 1 if the latents are not bit for bit the same,
or if previews take more than 5 % of the time and did not end by themselves.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import cogvideox_5b
import numpy as np
import torch
import wan_14b
from rich.console import Console
from rich.table import Table

from phyt2v_cli.backends.diffusion.call.previews import MAX_SHARE
from phyt2v_cli.backends.diffusion.families.table import family_of
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator
from phyt2v_cli.backends.memory import device
from phyt2v_cli.roles import DenoisingStep, Latents

MODELS: dict[str, Any] = {"CogVideoXPipeline": cogvideox_5b, "WanPipeline": wan_14b}


def denoise(generator: DiffusersGenerator, num_steps: int) -> tuple[float, Latents, list[DenoisingStep]]:
    """Denoise a video; returns the seconds, the latents and the steps."""
    steps: list[DenoisingStep] = []
    torch.cuda.synchronize()
    begun = time.perf_counter()
    denoised = generator.denoise(
        cogvideox_5b.PROMPT, seed=0, num_inference_steps=num_steps, on_step=steps.append
    )
    torch.cuda.synchronize()
    return time.perf_counter() - begun, denoised.latents, steps


def measure(name: str, num_steps: int) -> dict[str, Any]:
    """Measure one model with previews and without."""
    torch.manual_seed(0)
    pipeline = MODELS[name].build()
    results = {}
    for every in (0, 10):
        config = MODELS[name].CONFIG.model_copy(update={"compile": "off", "preview_every": every})
        generator = DiffusersGenerator(
            pipeline, config, family_of(name, {}), {}, torch.device("cuda", torch.cuda.current_device())
        )
        first = denoise(generator, every + 2)
        torch.cuda.reset_peak_memory_stats()
        results[every] = (*denoise(generator, num_steps), torch.cuda.max_memory_allocated() / 1e9)
        notes = [step.note for step in (*first[2], *results[every][2]) if step.note]
        generator.close()  # or it would count as another model that holds this GPU
    (without_s, expected, _, without_gb), (with_s, latents, steps, with_gb) = results[0], results[10]
    del pipeline, generator
    device.release()
    return {
        "model": name,
        "steps": num_steps,
        "previews": sum(step.preview is not None for step in steps),
        "without_s": without_s,
        "with_s": with_s,
        "share": with_s / without_s - 1,
        "without_peak_gb": without_gb,
        "with_peak_gb": with_gb,
        "is_same": bool(np.array_equal(latents, expected)),
        "notes": notes,
    }


def main() -> int:
    """Measure, print the table, write the JSON, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--steps", type=int, default=31, help="previews are after the tenth, twentieth, …")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    rows = [measure(name, options.steps) for name in options.models]
    table = Table("model", "steps", "previews", "without s", "with s", "share", "peak GB", "same", "notes")
    for row in rows:
        table.add_row(
            row["model"].removesuffix("Pipeline"),
            str(row["steps"]),
            str(row["previews"]),
            f"{row['without_s']:.2f}",
            f"{row['with_s']:.2f}",
            f"{row['share']:.1%}",
            f"{row['without_peak_gb']:.1f} / {row['with_peak_gb']:.1f}",
            "yes" if row["is_same"] else "no",
            "; ".join(row["notes"]),
        )
    Console(width=150).print(table)
    if options.json:
        report = {"schema": "phyt2v.benchmark/1", "device": torch.cuda.get_device_name(), "rows": rows}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    is_dear = any(row["share"] > MAX_SHARE and not row["notes"] for row in rows)
    return int(is_dear or not all(row["is_same"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
