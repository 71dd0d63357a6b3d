"""How long do five videos take? CogVideoX-5B, 49 frames of 480x720, four refinements, on one GPU.

    python benchmarks/gpu_refine.py --json gpu_refine.json
    python benchmarks/gpu_refine.py --parts cached --draft-cache pab --strength 3 --json cached.json

Parts; the random weights are written to --model once and loaded from there:

    reference   the reference implementation's mode: sequential offload, tiled decode, 50 steps in every
                round; a few steps are timed, the total is extrapolated, its reload is listed apart
    exact       the generation path of `refine --rounds 4`, every step really run, no feature cache
    cached      the same with a feature cache in the drafts
    warm        loading and the first steps once more, with the kernels that an earlier process compiled
    split       as exact, each video on two GPUs

--attention chooses the kernel of exact, cached and split; by default it is the fastest exact one.
A cold compile needs an empty TORCHINDUCTOR_CACHE_DIR. This script knows stages, not how they work.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from cogvideox_5b import CONFIG, PROMPT, write_random_model
from diffusers import DiffusionPipeline
from rich.console import Console
from rich.table import Table

from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator, load
from phyt2v_cli.backends.memory import device, offloading
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.schema import ScheduleConfig
from phyt2v_cli.files.video import VideoMetadata, write_video
from phyt2v_cli.refinement.render import Target, render_video
from phyt2v_cli.roles import DenoisingStep, VideoGenerator, never_cancelled
from phyt2v_cli.runs.identity import Recipe
from phyt2v_cli.schedule import PlannedRound, plan

NUM_ROUNDS = 4
MAX_STEPS = 50
NUM_TIMED_STEPS = 4


class Clock:
    """Seconds by stage, and when each denoising step ended."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.steps: list[float] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        torch.cuda.synchronize()
        begin = time.perf_counter()
        yield
        torch.cuda.synchronize()
        self.seconds[name] += time.perf_counter() - begin

    def on_step(self, _: DenoisingStep) -> None:
        torch.cuda.synchronize()
        self.steps.append(time.perf_counter())

    def step_seconds(self) -> list[float]:
        return [after - before for before, after in zip(self.steps, self.steps[1:], strict=False)]


def reference(folder: Path) -> dict[str, Any]:
    """Time the reference implementation's mode."""
    clock = Clock()
    with clock.stage("load"):
        pipeline = DiffusionPipeline.from_pretrained(folder, dtype=torch.bfloat16)
        pipeline.enable_sequential_cpu_offload()
        pipeline.vae.enable_tiling()
    config = CONFIG.model_copy(update={"compile": "off"})
    generator = _unplaced(pipeline, config)
    latents = generator.denoise(
        PROMPT, seed=0, num_inference_steps=NUM_TIMED_STEPS, on_step=clock.on_step
    ).latents
    with clock.stage("decode"):
        frames = generator.decode(latents).frames
    with clock.stage("encode"):
        _write(frames)
    step = statistics.median(clock.step_seconds())
    once = MAX_STEPS * step + clock.seconds["decode"] + clock.seconds["encode"]
    return {
        "load_s": clock.seconds["load"],
        "step_s": step,
        "decode_s": clock.seconds["decode"],
        "encode_s": clock.seconds["encode"],
        "total_s": (NUM_ROUNDS + 1) * once,
        "extrapolated_from_steps": NUM_TIMED_STEPS,
        "peak_gb": torch.cuda.max_memory_allocated() / 1e9,
    }


def _unplaced(pipeline: Any, config: Any) -> DiffusersGenerator:
    """Return a generator that leaves the weights where the pipeline has put them."""
    place, offloading.place = offloading.place, lambda *_: None
    try:
        return DiffusersGenerator(pipeline, config, _family(), {}, torch.device("cuda", 0))
    finally:
        offloading.place = place


def _family() -> Any:
    from phyt2v_cli.backends.diffusion.families.table import family_of

    return family_of("CogVideoXPipeline", {})


def ours(folder: Path, steps: list[int] | None, **settings: object) -> dict[str, Any]:
    """Time the product's own path, whole."""
    planned = plan(
        ScheduleConfig(steps=tuple(steps) if steps else None), len(steps) - 1 if steps else NUM_ROUNDS
    )
    config = CONFIG.model_copy(update={"model": str(folder), **settings})
    clock = Clock()
    with clock.stage("load"):
        generator = load(config, num_planned_steps=sum(p.steps for p in planned))
    _time_text_encoding(generator, clock)
    rounds = []
    torch.cuda.reset_peak_memory_stats()
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as videos:
        for planned_round in planned:
            rounds.append(_one_round(generator, config, planned_round, Path(videos), clock))
    total = time.perf_counter() - begin
    compile_s = rounds[0]["first_step_s"] - rounds[0]["step_s"]
    if config.draft_cache != "off":
        # the final runs without the cache, in a graph of its own
        compile_s += max(0.0, rounds[-1]["first_step_s"] - rounds[-1]["step_s"])
    denoising = clock.seconds["denoise"] - compile_s - clock.seconds["text encode"]
    return {
        **{f"{name} s".replace(" ", "_"): seconds for name, seconds in clock.seconds.items()},
        "compile_s": compile_s,
        "total_s": total,
        "not_denoising": (total - compile_s - denoising) / total,
        "rounds": rounds,
        "graphs": torch._dynamo.utils.counters["stats"]["unique_graphs"],
        "peak_gb": torch.cuda.max_memory_allocated() / 1e9,
        "settings": dict(generator.settings),
    }


def _one_round(
    generator: VideoGenerator, config: GeneratorConfig, planned: PlannedRound, folder: Path, clock: Clock
) -> dict[str, Any]:
    clock.steps = [time.perf_counter()]
    before = dict(clock.seconds)
    render_video(
        generator,
        Recipe(f"{PROMPT}, take {planned.round}", 0, planned.steps, planned.purpose, config),
        Target(
            folder / planned.id.video_name,
            folder / "latents.safetensors",
            on_step=clock.on_step,
            cancelled=never_cancelled,
            stage=clock.stage,
            round_number=planned.round,
        ),
    )
    steps = clock.step_seconds()
    return {
        "round": planned.round,
        "steps": planned.steps,
        "purpose": planned.purpose,
        "first_step_s": steps[0],
        "step_s": statistics.median(steps[1:]),
        "mean_step_s": statistics.mean(steps[1:]),
        **{
            f"{name}_s": clock.seconds[name] - before.get(name, 0) for name in ("denoise", "decode", "encode")
        },
    }


def _time_text_encoding(generator: Any, clock: Clock) -> None:
    encode = generator.pipeline.encode_prompt

    def timed(*args: Any, **kwargs: Any) -> Any:
        with clock.stage("text encode"):
            return encode(*args, **kwargs)

    generator.pipeline.encode_prompt = timed


def warm(folder: Path) -> dict[str, Any]:
    """Time the first steps of a process that finds compiled kernels."""
    config = CONFIG.model_copy(update={"model": str(folder), "compile": "on"})
    clock = Clock()
    with clock.stage("load"):
        generator = load(config)
    clock.steps = [time.perf_counter()]
    generator.denoise(PROMPT, seed=0, num_inference_steps=NUM_TIMED_STEPS, on_step=clock.on_step)
    steps = clock.step_seconds()
    return {"load_s": clock.seconds["load"], "compile_s": steps[0] - steps[-1], "step_s": steps[-1]}


def attention_kernels() -> dict[str, float]:
    """Time each exact attention kernel of torch at the model's own shape, in milliseconds."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    q, k, v = (torch.randn(2, 48, 226 + 17550, 64, device="cuda", dtype=torch.bfloat16) for _ in range(3))
    times = {}
    names = ("CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION")
    for name in ("default", *names):
        chosen = sdpa_kernel(getattr(SDPBackend, name)) if name in names else nullcontext()
        with chosen, torch.inference_mode():
            scaled_dot_product_attention(q, k, v)
            torch.cuda.synchronize()
            begin = time.perf_counter()
            for _ in range(3):
                scaled_dot_product_attention(q, k, v)
            torch.cuda.synchronize()
            times[name.lower()] = (time.perf_counter() - begin) / 3 * 1000
    return times


def _write(frames: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_video(Path(folder) / "a.mp4", frames, fps=8, metadata=VideoMetadata(PROMPT, 0, MAX_STEPS))


def main() -> None:
    """Measure the parts, print the tables, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ("reference", "exact", "cached", "warm", "split", "attention")
    parser.add_argument("--parts", nargs="+", choices=parts, default=["reference", "exact"])
    parser.add_argument("--draft-cache", default="pab")
    parser.add_argument("--strength", type=float)
    parser.add_argument("--attention", choices=("auto", "torch", "fa4"), default="auto")
    parser.add_argument("--steps", type=int, nargs="+", help="of each video, in place of the schedule")
    parser.add_argument("--model", type=Path, default=Path(tempfile.gettempdir()) / "random-cogvideox-5b")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console = Console(width=120)
    if not (options.model / "model_index.json").exists():
        write_random_model(options.model)
    settings = {"draft_cache": "off", "attention": options.attention}
    caching = {"draft_cache": options.draft_cache, "draft_cache_strength": options.strength}
    report: dict[str, Any] = {"schema": "phyt2v.benchmark/1", "gpu": torch.cuda.get_device_name()}
    for part in options.parts:
        torch.cuda.reset_peak_memory_stats()
        match part:
            case "reference":
                report[part] = reference(options.model)
            case "exact":
                report[part] = ours(options.model, options.steps, **settings)
            case "cached":
                report[part] = ours(options.model, options.steps, **settings | caching)
            case "split":
                report[part] = ours(options.model, options.steps, **settings, gpus=2)
            case "warm":
                report[part] = warm(options.model)
            case "attention":
                report[part] = attention_kernels()
        device.release()
        if options.json:
            options.json.write_text(json.dumps(report, indent=2) + "\n")
        console.print(_table(part, report[part]))
        for row in report[part].get("rounds", []):
            console.print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
    pairs = (("exact", "reference"), ("cached", "reference"), ("split", "reference"), ("split", "exact"))
    for part, other in pairs:
        if part in report and other in report:
            ratio = report[part]["total_s"] / report[other]["total_s"]
            console.print(f"{part} takes {ratio:.3f} of the total of {other}, loading apart on both sides")


def _table(part: str, result: dict[str, Any]) -> Table:
    table = Table("measure", "value", title=f"{part}, {torch.cuda.get_device_name()}")
    for name, value in result.items():
        if name != "rounds":
            table.add_row(name, f"{value:.3f}" if isinstance(value, float) else str(value))
    return table


if __name__ == "__main__":
    main()
