"""The real command line with torch-free doubles of the four roles, here or in a process of its own.

    DOUBLES='{"log": FILE, …}' python -m tests.faults.cli_with_doubles refine --prompt … --out …

`log` collects one line for each call of a role. `hang` (["caption:1"]) stops inside these calls, after the
line "… hangs" in the log, until somebody adds the line "… goes on"; whoever started the process sends a
signal in between. `grace_s` is how long work may go on after a signal. `fill` ("decode:1") fills the
disk in that call: the one that `ballast` lies on but for `spare` bytes, or, where there is no small disk,
every file with `only` in its name goes to /dev/full from then on. `say` replaces what captioner, scorer and
LLM say. `frames` ({"0": "black"}) spoils what a seed gives. `real_judges` doubles the video model
only. `out_of_memory` ([2, 6]) takes a real one instead, which runs out of memory in these denoising steps of
the process, as on a GPU. `ahead` lets the control be denoised beside the judges, also as on a GPU. Nothing in
the product knows of this.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from phyt2v_cli import backends
from phyt2v_cli.cli import signals
from phyt2v_cli.cli.exit import run
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.roles import (
    Cancelled,
    ChatReply,
    ChatRequest,
    Decoded,
    Denoised,
    DenoisingStep,
    Latents,
    OnStep,
    Scores,
    Trajectory,
    VideoGenerator,
    never_cancelled,
)
from phyt2v_cli.testing.fakes import FakeGenerator, answer

SCRIPT: dict[str, Any] = {}
_calls: dict[str, int] = {}


def enter(role: str) -> None:
    """Log one call of a role and do what the script says for it."""
    _calls[role] = _calls.get(role, 0) + 1
    here = f"{role}:{_calls[role]}"
    log(here)
    if SCRIPT.get("fill") == here:
        fill_disk()
    if here in SCRIPT.get("hang", ()):
        log(f"{here} hangs")
        deadline = time.monotonic() + 600
        while f"{here} goes on" not in Path(SCRIPT["log"]).read_text().splitlines():
            assert time.monotonic() < deadline, "nobody is there any more"
            time.sleep(0.01)


def log(line: str) -> None:
    with Path(SCRIPT["log"]).open("a") as file:
        file.write(line + "\n")


def fill_disk() -> None:
    if "ballast" in SCRIPT:
        with Path(SCRIPT["ballast"]).open("wb", buffering=0) as file:
            for size in (2**16, 1):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError:
                    continue
            file.truncate(file.tell() - SCRIPT["spare"])
        return
    for name in ("write_bytes", "write_text"):
        write = cast("Callable[..., int]", getattr(Path, name))

        def write_to_full_device(
            self: Path, *args: Any, write: Callable[..., int] = write, **kwargs: Any
        ) -> int:
            if SCRIPT["only"] in self.name:
                self.unlink()
                self.symlink_to("/dev/full")
            return write(self, *args, **kwargs)

        setattr(Path, name, write_to_full_device)


ON_GPU = {
    "device": "cuda",
    "offload": "none",
    "offload_reason": "a test",
    "compile": "off",
    "tiled_decode": "off",
}


class Generator(FakeGenerator):
    """Spoilt for some seeds."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.faults: dict[
            bytes, str | None
        ] = {}  # of latents, since other runs are denoised before their decoding

    def denoise(
        self,
        prompt: str,
        *,
        seed: int,
        num_inference_steps: int,
        on_step: OnStep,
        cancelled: Cancelled = never_cancelled,
        draft: bool = False,
        image: Path | None = None,
        trajectory: Trajectory | None = None,
    ) -> Denoised:
        enter("denoise")
        fault = SCRIPT.get("frames", {}).get(str(seed), SCRIPT.get("frames", {}).get("any"))

        def after_step(step: DenoisingStep) -> None:
            on_step(step)
            enter("step")

        denoised = super().denoise(
            prompt,
            seed=seed,
            num_inference_steps=num_inference_steps,
            on_step=after_step,
            cancelled=cancelled,
            draft=draft,
            image=image,
            trajectory=trajectory,
        )
        latents = denoised.latents * np.float32("nan" if fault == "nan" else 1)
        self.faults[latents.tobytes()] = fault
        return replace(denoised, latents=latents)

    def decode(self, latents: Latents) -> Decoded:
        enter("decode")
        # Large and noisy, so that the video is what does not fit on a disk that is nearly full.
        decoded = super().decode(latents)
        frames = decoded.frames.repeat(4, axis=1).repeat(4, axis=2)
        frames ^= np.random.default_rng(0).integers(0, 64, frames.shape, np.uint8)
        if (fault := self.faults.get(latents.tobytes())) in ("black", "grey"):
            frames = frames * 0 + {"black": 0, "grey": 127}[fault]
        return replace(decoded, frames=frames)


class Chat:
    def reply(self, request: ChatRequest) -> ChatReply:
        enter(request.task)
        said = SCRIPT.get("say", {})
        if request.task == "mismatch" and "mismatch" in said:
            return ChatReply(json.dumps({"found": True, "text": said["mismatch"]}))
        if request.task == "refinement" and "prompt" in said:
            return ChatReply(json.dumps({"prompt": said["prompt"]}))
        return ChatReply(answer(request))


class Captioner:
    def caption(self, video_path: Path, instruction: str) -> str:
        assert video_path.is_file() and instruction
        enter("caption")
        return str(SCRIPT.get("say", {}).get("caption", "a ball hovers"))


class Scorer:
    name = "double"

    def score(self, video_path: Path, prompt: str) -> Scores:
        assert video_path.is_file() and prompt
        enter("score")
        said = SCRIPT.get("say", {})
        return Scores(float(said.get("score", 0.5)), 0.5, (str(said.get("reason", "half of it is missing")),))


def load_generator(config: GeneratorConfig, *, num_planned_steps: int) -> VideoGenerator:
    assert num_planned_steps
    enter("load")
    if "out_of_memory" not in SCRIPT:
        return Generator(settings=ON_GPU) if SCRIPT.get("ahead") else Generator()
    from phyt2v_cli.backends.diffusion.generator import load
    from tests.tiny_generators import give_all_levels, run_out_of_memory

    generator = load(config, num_planned_steps=num_planned_steps)
    give_all_levels(generator)
    run_out_of_memory(generator.pipeline.scheduler, "step", SCRIPT["out_of_memory"])
    return generator


def install(script: Mapping[str, Any], patch: Callable[[Any, str, Any], None] = setattr) -> None:
    """Put the doubles where the command line looks for backends."""
    SCRIPT.clear()
    SCRIPT.update(script)
    _calls.clear()
    doubles = {
        "load_generator": load_generator,
        "make_chat_model": lambda _: Chat(),
        "make_captioner": lambda _: Captioner(),
        "make_scorers": lambda _: [Scorer()],
    }
    for name, double in doubles.items():
        if name == "load_generator" or not SCRIPT.get("real_judges"):
            patch(backends, name, double)
    patch(signals, "GRACE_S", SCRIPT.get("grace_s", signals.GRACE_S))


if __name__ == "__main__":
    install(json.loads(os.environ["DOUBLES"]))
    run()
