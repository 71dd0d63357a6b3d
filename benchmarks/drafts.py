"""What does a cheaper draft cost and keep? The embedded model, each draft beside the full final of its seed.

    python benchmarks/drafts.py --prompts 60 --out drafts.json

For every prompt the final (50 steps, no cache) and each draft setting are rendered with one seed and scored
by the tracker. Printed for each setting: the processor time of denoising as a share of the final's (so that
other processes do no harm; OMP_NUM_THREADS=1 makes it the work done), the squared error of its pixels (0..1)
against the final, the rank correlation (Spearman) of its scores with the final's over all prompts, and how
often it agrees with the final on whether something is wrong (the smaller score below 0.9).
Prompts are held-out captions, two thirds terse, because deep ones hardly ever fail. A second start resumes.
"""

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.backends.embedded.tracker import score_tracks
from phyt2v_cli.config.layers import load_config
from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.tracker.tracking import track
from training.captions import caption
from training.scenes import sample_pool

PROMPT_SEED, SCENE_SEED = 4711, 1_234_567
"""Which training never saw."""

FULL_STEPS = 50
GOOD = 0.9
SETTINGS: dict[str, tuple[int, str, float | None]] = {
    "final": (FULL_STEPS, "off", None),
    "20 steps": (20, "off", None),
    "27 steps": (27, "off", None),
    "35 steps": (35, "off", None),
    **{
        f"{cache} {strength:g}": (FULL_STEPS, cache, strength)
        for cache, strengths in (("first-block", (0.05, 0.15)), ("pab", (2.0, 4.0)), ("taylor", (2.0, 3.0)))
        for strength in strengths
    },
}
"""Steps, cache and its strength, by name."""


def prompts_of(count: int) -> list[str]:
    """Return held-out prompts of what the model has learned, the same ones for the same count."""
    scenes = sample_pool(count, SCENE_SEED, violating_share=0.0, kinds=world.LEARNED_KINDS)
    rng = random.Random(PROMPT_SEED)
    return [caption(scenes, i, "deep" if i % 3 == 2 else "terse", rng) for i in range(count)]


def measure(prompt: str, seed: int, generators: dict[str, Any]) -> dict[str, Any]:
    """Return seconds, error and scores of each setting for one prompt."""
    row: dict[str, Any] = {"prompt": prompt, "seed": seed, "settings": {}}
    reference = None
    for name, (steps, _, _) in SETTINGS.items():
        begin = time.process_time()
        latents = (
            generators[name]
            .denoise(
                prompt,
                seed=seed,
                num_inference_steps=steps,
                on_step=lambda _: None,
                draft=name != "final",
            )
            .latents
        )
        seconds = time.process_time() - begin
        frames = generators[name].decode(latents).frames
        reference = frames if reference is None else reference
        scores = score_tracks(track(frames), prompt)
        row["settings"][name] = {
            "seconds": seconds,
            "error": float(np.mean((frames / 255.0 - reference / 255.0) ** 2)),
            "semantic_adherence": scores.semantic_adherence,
            "physical_commonsense": scores.physical_commonsense,
        }
    return row


def summarise(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the table's figures for each setting."""

    def values(name: str, key: str) -> np.ndarray[Any, Any]:
        return np.array([row["settings"][name][key] for row in rows], dtype=float)

    def worst(name: str) -> np.ndarray[Any, Any]:
        scores = [values(name, key) for key in ("semantic_adherence", "physical_commonsense")]
        return np.asarray(np.min(scores, axis=0))

    return {
        name: {
            "time": float(np.median(values(name, "seconds") / values("final", "seconds"))),
            "error": float(np.mean(values(name, "error"))),
            "spearman_pc": _rank_correlation(name, "final", "physical_commonsense", values),
            "spearman_sa": _rank_correlation(name, "final", "semantic_adherence", values),
            "agreement": float(np.mean((worst(name) < GOOD) == (worst("final") < GOOD))),
            "mean_pc": float(np.nanmean(values(name, "physical_commonsense"))),
            "mean_sa": float(np.nanmean(values(name, "semantic_adherence"))),
        }
        for name in SETTINGS
    }


def _rank_correlation(name: str, other: str, key: str, values: Any) -> float:
    return float(spearmanr(values(name, key), values(other, key), nan_policy="omit").statistic)


def main() -> None:
    """Measure what is missing, print the table and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("drafts.json"), help="rows in it are kept")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="take the rows of these files too")
    parser.add_argument("--backwards", action="store_true", help="begin at the end, beside another process")
    options = parser.parse_args()
    config = load_config(preset="tiny").config.generator
    generators: dict[str, Any] = {}
    for name, (_, cache, strength) in SETTINGS.items():
        if cache == "off" and generators:
            generators[name] = generators["final"]
            continue
        update = {"draft_cache": cache, "draft_cache_strength": strength}
        generators[name] = load(config.model_copy(update=update))
    prompts = prompts_of(options.prompts)
    kept = [path for path in (options.out, *options.also) if path.exists()]
    rows = [row for path in kept for row in json.loads(path.read_text())["rows"]]
    missing = sorted(set(range(len(prompts))) - {row["seed"] for row in rows}, reverse=options.backwards)
    for seed in missing:
        rows.append(measure(prompts[seed], seed, generators))
        report = {"schema": "phyt2v.benchmark/1", "summary": summarise(rows), "rows": rows}
        options.out.write_text(json.dumps(report, indent=1) + "\n")
    columns = ("time", "error", "spearman_pc", "spearman_sa", "agreement", "mean_pc", "mean_sa")
    table = Table("draft", *columns, title=f"{len(rows)} prompts")
    for name, figures in summarise(rows).items():
        table.add_row(name, *(f"{figures[c]:.1e}" if c == "error" else f"{figures[c]:.3f}" for c in columns))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
