"""A generator that only waits, for benchmarks of everything around it: two cores then stand for many GPUs."""

import hashlib
import time
from typing import Any

import numpy as np

from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.roles import Cancelled, Decoded, Denoised, DenoisingStep, Latents, OnStep, never_cancelled

STEPS_PER_SECOND = 10
"""Steps in one second of waiting."""
_SHAPE = (1, 4, 2, 8, 8)


class WaitingGenerator:
    """Generator whose steps take their time and no work; implements `VideoGenerator`."""

    fps = 8
    settings: dict[str, str] = {"device": "none"}  # noqa: RUF012  part of the protocol

    def count_excess_tokens(self, prompt: str) -> int:
        """Count nothing: any prompt fits."""
        return 0 * len(prompt)

    def denoise(
        self,
        prompt: str,
        *,
        seed: int,
        num_inference_steps: int,
        on_step: OnStep,
        cancelled: Cancelled = never_cancelled,
        **_: Any,
    ) -> Denoised:
        """Wait for all steps, and make noise from the prompt and the seed."""
        end = time.monotonic() + num_inference_steps / STEPS_PER_SECOND
        while (left := end - time.monotonic()) > 0 and not cancelled():
            time.sleep(min(left, 0.5))
        on_step(DenoisingStep(num_inference_steps, num_inference_steps, self.settings))
        digest = hashlib.sha256(f"{seed} {prompt}".encode()).digest()
        latents = np.random.default_rng(int.from_bytes(digest[:8])).normal(size=_SHAPE)
        return Denoised(latents.astype(np.float32), self.settings)

    def decode(self, latents: Latents) -> Decoded:
        """Make nine frames of 64x64 from the latents."""
        pixels = np.clip(128 + 50 * latents[0, :3, 0], 0, 255).astype(np.uint8)
        picture = np.kron(pixels.transpose(1, 2, 0), np.ones((8, 8, 1), np.uint8))
        return Decoded(np.repeat(picture[None], 9, axis=0), self.settings)


def load(config: GeneratorConfig, *, num_planned_steps: int = 0) -> WaitingGenerator:
    """Load nothing, at once, in place of `backends.load_generator`."""
    del config, num_planned_steps
    return WaitingGenerator()
