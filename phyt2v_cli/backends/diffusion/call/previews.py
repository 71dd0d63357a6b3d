"""Previews of a video while it is denoised: what the model predicts it will be, decoded small.

The clean latents that a step predicts are shrunk, put in the form that the autoencoder takes, and decoded;
the video is bit for bit what it is without. A preview that fails, or takes too much of the time, ends the
previews and never the video. This file must not know families, prompts or runs.
"""

import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch.nn import functional

from phyt2v_cli.backends.diffusion.call import latent_split
from phyt2v_cli.backends.diffusion.call.clean_latents import after_each_step, predicts_clean_latents
from phyt2v_cli.backends.diffusion.families.vae_latents import to_vae_latents_of
from phyt2v_cli.backends.memory.device import release
from phyt2v_cli.files.video import Frames

MAX_SHARE = 0.05
"""Largest share of the time of denoising that previews may take."""

NUM_FRAMES = 4
"""Frames of a preview, evenly spread over the video."""

_EVERY_ON_GPU = 10
"""Steps between previews on a GPU; a decode on a CPU takes as long as several steps."""

_SMALLEST_SIDE = 16
"""Latents of a side below which a preview is shrunk no further; about 130 pixels or more."""


class Previews:
    """Previews of one pipeline's videos, until they are turned off."""

    def __init__(
        self,
        pipeline: Any,
        arguments: Mapping[str, Any],
        every: int | Literal["auto"],
        device: torch.device,
    ) -> None:
        """Make one after every `every` steps of videos that the pipeline is called with `arguments` for.

        0: none, auto: as often as suits the device. There are none of pipelines whose latents cannot be
        converted, see `vae_latents.py`.
        """
        if every == "auto":
            every = _EVERY_ON_GPU if device.type == "cuda" else 0
        self._pipeline = pipeline
        self._device = device
        self._to_vae_latents = to_vae_latents_of(type(pipeline).__name__)
        self._size = _size_of(pipeline, arguments)
        is_possible = self._to_vae_latents is not None and predicts_clean_latents(pipeline.scheduler)
        self._every = every if is_possible else 0
        self._is_first = True
        self._since = 0.0
        self._frames: Frames | None = None
        self._note = ""

    def take(self) -> "tuple[Frames | None, str]":
        """Newest preview, uint8 (num_frames, height, width, 3), and why there are no more; each only once."""
        taken = self._frames, self._note
        self._frames, self._note = None, ""
        return taken

    @contextmanager
    def watching(self, num_steps: int) -> Iterator[None]:
        """Make previews of a video of `num_steps` that the pipeline denoises inside the block."""
        self._since = time.monotonic()
        with (
            after_each_step(self._pipeline.scheduler, self._looking_until(num_steps))
            if self._every
            else (nullcontext())
        ):
            yield

    def _looking_until(self, num_steps: int) -> Callable[[int, Callable[[], torch.Tensor]], None]:
        def look(number: int, predict: Callable[[], torch.Tensor]) -> None:
            if self._every and number % self._every == 0 and number < num_steps:
                self._look(predict)

        return look

    def _look(self, predict: Callable[[], torch.Tensor]) -> None:
        if self._pipeline.vae.device.type != self._device.type:
            self._turn_off("the autoencoder is not on the GPU during denoising, where weights are offloaded")
            return
        begun = _now()
        try:
            self._frames = self._decode(predict())
        except Exception as error:  # whatever it is, the video continues
            self._turn_off(f"one failed ({type(error).__name__})")
        if not self._every:
            release()
            return
        seconds, others = _now() - begun, begun - self._since
        if seconds > MAX_SHARE * others and not self._is_first:
            self._turn_off(f"one takes {seconds:.2g} s, and {self._every} steps take {others:.2g} s")
        # The first one also loads kernels.
        self._is_first = False
        self._since = _now()

    def _turn_off(self, reason: str) -> None:
        self._every, self._note = 0, f"no more previews of this model's videos: {reason}"

    def _decode(self, clean: torch.Tensor) -> Frames:
        pipeline = self._pipeline
        assert self._to_vae_latents is not None
        latents = shrunk(self._to_vae_latents(pipeline, clean, self._size).float())
        gpus = [clean.device] if clean.device.type == "cuda" else []
        with torch.random.fork_rng(gpus):
            frames = latent_split.decode_meanwhile(pipeline, latents)
        chosen = torch.linspace(0, len(frames) - 1, min(NUM_FRAMES, len(frames))).round().long()
        return frames[chosen.to(frames.device)].cpu().numpy()


def _size_of(pipeline: Any, arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    """Frames, height and width of the videos; 0 where the call has neither an argument nor a default."""
    parameters = inspect.signature(type(pipeline).__call__).parameters
    names = ("num_frames", "height", "width")
    defaults = (parameters[name].default if name in parameters else 0 for name in names)
    frames, height, width = (
        arguments.get(name) or default or 0 for name, default in zip(names, defaults, strict=True)
    )
    return frames, height, width


def shrunk(latents: torch.Tensor) -> torch.Tensor:
    """Latents of half, a quarter, … of the height and width, if that leaves enough of them."""
    while min(latents.shape[-2:]) // 2 >= _SMALLEST_SIDE:
        latents = functional.avg_pool3d(latents, (1, 2, 2))
    return latents


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.monotonic()
