"""What does fp8 save, and what does it cost? CogVideoX-5B for the time, the embedded model for the videos.

    python benchmarks/fp8.py --prompts 30 --json fp8.json

The large model has random weights: its time and memory are real, its values are not. So the error is that of
the embedded model, whose weights are trained: the same prompts and seeds in bfloat16 and with
`quantize = fp8`, 50 steps each, judged by the tracker; and, for a yardstick, compiled without it, which
rounds elsewhere.
Needs a GPU of compute capability 8.9 or newer.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cogvideox_5b import CONFIG, PROMPT, build
from drafts import FULL_STEPS, GOOD, prompts_of
from gpu_refine import Clock
from rich.console import Console
from rich.table import Table

from phyt2v_cli.backends.diffusion.families.table import family_of
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator, load
from phyt2v_cli.backends.embedded.tracker import score_tracks
from phyt2v_cli.backends.memory import device
from phyt2v_cli.config.layers import load_config
from phyt2v_cli.tiny.tracker.tracking import track

NUM_TIMED_STEPS = 6
WAYS: dict[str, dict[str, str]] = {
    "bfloat16": {"dtype": "bfloat16"},
    "bfloat16, compiled": {"dtype": "bfloat16", "compile": "on"},
    "fp8": {"dtype": "bfloat16", "quantize": "fp8"},
}
EXACT = "bfloat16"
"""What the others are compared with."""


def time_large(quantize: str) -> dict[str, Any]:
    """Time the compiled steps of CogVideoX-5B, 49 frames of 480x720."""
    pipeline = build()
    pipeline.to("cpu")
    device.release()
    config = CONFIG.model_copy(update={"compile": "on", "quantize": quantize})
    begin = time.perf_counter()
    generator = DiffusersGenerator(
        pipeline, config, family_of("CogVideoXPipeline", {}), {}, torch.device("cuda", 0)
    )
    placed_s = time.perf_counter() - begin
    torch.cuda.reset_peak_memory_stats()
    clock = Clock()
    clock.steps = [time.perf_counter()]
    generator.denoise(PROMPT, seed=0, num_inference_steps=NUM_TIMED_STEPS, on_step=clock.on_step)
    steps = clock.step_seconds()
    step_s = statistics.median(steps[1:])
    result = {
        "quantise_and_place_s": placed_s,
        "compile_s": steps[0] - step_s,
        "step_s": step_s,
        "weights_gb": generator.placed.need.weights / 1e9,
        "denoise_peak_gb": torch.cuda.max_memory_allocated() / 1e9,
    }
    generator.close()
    torch._dynamo.reset()  # its graphs hold the weights too
    return result


def judge_small(num_prompts: int) -> dict[str, dict[str, float]]:
    """Render held-out prompts in every way and compare each with the exact one."""
    config = load_config(preset="tiny").config.generator
    rows: dict[str, list[dict[str, Any]]] = {}
    for way, update in WAYS.items():
        generator = load(config.model_copy(update={"device": "cuda", **update}))
        for seed, prompt in enumerate(prompts_of(num_prompts)):
            latents = generator.denoise(
                prompt, seed=seed, num_inference_steps=FULL_STEPS, on_step=lambda _: None
            ).latents
            frames = generator.decode(latents).frames
            scores = score_tracks(track(frames), prompt)
            worst = min(scores.semantic_adherence or 0.0, scores.physical_commonsense or 0.0)
            rows.setdefault(way, []).append({"frames": frames / 255.0, "latents": latents, "worst": worst})
    return {way: _compare(rows[way], rows[EXACT]) for way in WAYS}


def _compare(rows: list[dict[str, Any]], exact: list[dict[str, Any]]) -> dict[str, float]:
    pairs = list(zip(rows, exact, strict=True))
    return {
        "latents_relative_error": statistics.mean(
            float(np.linalg.norm(row["latents"] - other["latents"]) / np.linalg.norm(other["latents"]))
            for row, other in pairs
        ),
        "pixel_error": statistics.mean(float(np.mean((r["frames"] - o["frames"]) ** 2)) for r, o in pairs),
        "mean_score": statistics.mean(row["worst"] for row in rows),
        "agreement": statistics.mean((r["worst"] < GOOD) == (o["worst"] < GOOD) for r, o in pairs),
    }


def main() -> None:
    """Measure both, print the tables, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    gpu = torch.cuda.get_device_name()
    console = Console(width=120)
    large = {way: time_large(quantize) for way, quantize in (("bfloat16", "off"), ("fp8", "fp8"))}
    console.print(_table(f"CogVideoX-5B, compiled, {gpu}", large))
    small = judge_small(options.prompts)
    console.print(_table(f"embedded model, {options.prompts} prompts, against {EXACT}", small))
    if options.json:
        report = {"schema": "phyt2v.benchmark/1", "gpu": gpu, "large": large, "small": small}
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def _table(title: str, rows: dict[str, dict[str, float]]) -> Table:
    columns = list(next(iter(rows.values())))
    table = Table("way", *columns, title=title)
    for way, row in rows.items():
        table.add_row(way, *(f"{row[column]:.4g}" for column in columns))
    return table


if __name__ == "__main__":
    main()
