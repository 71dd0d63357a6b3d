"""How good is the embedded model? Held-out prompts in two depths at 50 steps, measured by the tracker.

    python benchmarks/tiny_model.py render --device cuda --out frames.npz
    python benchmarks/tiny_model.py measure frames.npz --json tiny_model.json
    python benchmarks/tiny_model.py autoencoder --clips 200

The embedded model is asked about the motions that it has learned, another one (`--model DIR`) about all.
`render` and `measure` are two commands because rendering 200 videos takes seconds on a GPU and half an hour
on two CPU cores, while the tracker needs no GPU. Prompts and scenes come from seeds that training never saw.
"""

import argparse
import json
import random
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import CogVideoXPipeline, DiffusionPipeline
from rich.console import Console
from rich.table import Table

from phyt2v_cli.backends.embedded.tracker import score_tracks
from phyt2v_cli.config.layers import load_config
from phyt2v_cli.roles import Scores
from phyt2v_cli.tiny import MODEL_DIR, world
from phyt2v_cli.tiny.tracker.tracking import Tracks, track
from training.captions import Depth, caption
from training.scenes import sample_pool
from training.train_autoencoder import psnr, render_pool

DEPTHS: tuple[Depth, ...] = ("terse", "deep")
PROMPT_SEED, SCENE_SEED, FIRST_NOISE_SEED, CLIP_SEED = 777, 987_654, 1000, 2_000_000
BATCH = 50


def render(options: argparse.Namespace) -> None:
    """Render `num` prompts of each depth and keep the frames, uint8 (num, T, H, W, 3)."""
    pipeline, kinds = _load(options.model)
    pipeline.to(options.device).set_progress_bar_config(disable=True)
    guidance = load_config(preset="tiny").config.generator.guidance_scale
    scenes = sample_pool(options.num, SCENE_SEED, violating_share=0.0, kinds=kinds)
    rng = random.Random(PROMPT_SEED)
    kept = {"kinds": np.array([world.KINDS[kind] for kind in scenes.kind])}
    for depth in DEPTHS:
        prompts = [caption(scenes, i, depth, rng) for i in range(options.num)]
        parts = []
        for start in range(0, options.num, BATCH):
            batch = prompts[start : start + BATCH]
            noise = [torch.Generator().manual_seed(FIRST_NOISE_SEED + start + i) for i in range(len(batch))]
            output = pipeline(
                batch,
                num_inference_steps=options.steps,
                guidance_scale=guidance,
                max_sequence_length=pipeline.transformer.config.max_text_seq_length,
                generator=noise,
                output_type="np",
            )
            parts.append((output.frames * 255).round().astype(np.uint8))
        kept |= {f"{depth}_frames": np.concatenate(parts), f"{depth}_prompts": np.array(prompts)}
    np.savez_compressed(options.out, allow_pickle=False, **kept)


def measure(options: argparse.Namespace) -> None:
    """Print mean SA, PC and the share of clean frames for each depth, and for each of its kinds."""
    kept, result = np.load(options.frames), {}
    table = Table(title="Embedded model, by the tracker")
    for column in ("depth", "videos", "SA", "PC", "clean frames"):
        table.add_column(column, justify="left" if column == "depth" else "right")
    for depth in DEPTHS:
        tracks = [track(frames) for frames in kept[f"{depth}_frames"]]
        scores = [score_tracks(t, str(p)) for t, p in zip(tracks, kept[f"{depth}_prompts"], strict=True)]
        videos = list(zip(kept["kinds"], tracks, scores, strict=True))
        result[depth] = {"all": _row(videos)} | {
            kind: _row([v for v in videos if v[0] == kind]) for kind in world.KINDS if kind in kept["kinds"]
        }
        for kind, row in result[depth].items():
            shown = (row["semantic_adherence"], row["physical_commonsense"], row["clean_frames"])
            name = depth if kind == "all" else f"  {kind}"
            table.add_row(name, str(row["videos"]), *("" if v is None else f"{v:.3f}" for v in shown))
    Console().print(table)
    if options.json:
        options.json.write_text(
            json.dumps({"schema": "phyt2v.benchmark/2", "depths": result}, indent=2) + "\n"
        )


def _row(videos: Sequence[tuple[str, Tracks, Scores]]) -> dict[str, float | None]:
    """Means of the videos; SA and PC of those about which the tracker does not abstain."""
    scores = [s for _, _, s in videos]
    return {
        "videos": len(videos),
        "abstained": sum(s.semantic_adherence is None for s in scores),
        "semantic_adherence": _mean(s.semantic_adherence for s in scores),
        "physical_commonsense": _mean(s.physical_commonsense for s in scores),
        "clean_frames": _mean(float(t.clean.mean()) for _, t, _ in videos),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def autoencoder(options: argparse.Namespace) -> None:
    """Print the autoencoder's PSNR on fresh clips."""
    pipeline, kinds = _load(options.model)
    begin = time.perf_counter()
    clips = render_pool(options.clips, CLIP_SEED, options.device, kinds)
    value = psnr(pipeline.vae.to(options.device), clips)
    Console().print(
        f"PSNR on {options.clips} fresh clips: {value:.1f} dB ({time.perf_counter() - begin:.0f} s)"
    )


def _load(model: Path) -> tuple[CogVideoXPipeline, Sequence[world.Kind]]:
    """Load a pipeline, and name the kinds that it can be asked about."""
    pipeline = DiffusionPipeline.from_pretrained(model, dtype=torch.float32)
    return pipeline, world.LEARNED_KINDS if model == MODEL_DIR else world.KINDS


def main() -> None:
    """Parse the command and run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    rendering = commands.add_parser("render", help="render held-out prompts")
    rendering.add_argument("--num", type=int, default=100, help="prompts for each depth")
    rendering.add_argument("--steps", type=int, default=50)
    rendering.add_argument("--device", default="cpu")
    rendering.add_argument("--out", type=Path, required=True, metavar="NPZ")
    rendering.set_defaults(run=render)
    measuring = commands.add_parser("measure", help="measure rendered frames")
    measuring.add_argument("frames", type=Path)
    measuring.add_argument("--json", type=Path)
    measuring.set_defaults(run=measure)
    encoding = commands.add_parser("autoencoder", help="PSNR on fresh clips")
    encoding.add_argument("--clips", type=int, default=200)
    encoding.add_argument("--device", default="cpu")
    encoding.set_defaults(run=autoencoder)
    for command in (rendering, encoding):
        command.add_argument("--model", type=Path, default=MODEL_DIR, metavar="DIR")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
