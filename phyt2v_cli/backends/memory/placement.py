"""Pipeline on a shared accelerator, with a retry at a lower offload level after out-of-memory errors.

Denoising and decoding may have different levels. Once there is clearly more memory than when it ran out, the
level is chosen again, so that a run moves up too.

This file joins `offloading` (the offload level of one pipeline) and `residency` (the models on the device).
It must not know prompts, rounds or families.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch

from phyt2v_cli.backends import failures
from phyt2v_cli.backends.memory import offloading, residency
from phyt2v_cli.backends.memory.activations import VideoSize
from phyt2v_cli.backends.memory.cpu_threads import asleep_while_waiting
from phyt2v_cli.backends.memory.device import free_bytes, release
from phyt2v_cli.backends.memory.offloading import Offload, OffloadLevel, Placement

_Result = TypeVar("_Result")

_MORE = 1.1
"""Memory, in parts of what there was when it ran out, from which the offload level is chosen again."""


class PlacedPipeline:
    """Pipeline that runs at the offload level that fits; implements `residency.Holder`."""

    def __init__(
        self,
        pipeline: Any,
        *,
        device: torch.device,
        wanted: Offload,
        video: VideoSize,
        decodes_apart: bool = True,
    ) -> None:
        """Place the pipeline, which is on the CPU, for videos of a size.

        Raises the library's out-of-memory error if it does not fit even at the last level.
        """
        self.device = device
        self.need = offloading.need_of(pipeline, video, decodes_apart=decodes_apart)
        self._pipeline = pipeline
        self._wanted = wanted
        self._is_decoding = False
        self._applied: OffloadLevel | None = None
        self._always_tiles = bool(getattr(pipeline.vae, "use_tiling", False))
        self._short_at: int | None = None
        on_cpu = device.type == "cpu"
        self.free_bytes: Callable[[], int] = (lambda: 2**62) if on_cpu else free_bytes
        """Reads the free memory of the device; a CPU's is not looked at."""
        self.levels = offloading.OFFLOAD_LEVELS[:1] if on_cpu else offloading.OFFLOAD_LEVELS
        """Offload levels of this device; running out of memory moves to the next one."""
        self._chosen = Placement("none", "no GPU to offload from") if on_cpu else None
        with residency.on_device(self, spare_bytes=self.need.denoise):
            pass

    @property
    def placement(self) -> Placement:
        """Current offload level and its reason; chosen on first use."""
        if self._chosen is None:
            self._chosen = offloading.choose(
                self.need,
                free=self._usable_bytes(),
                host_free=offloading.host_free_bytes(),
                wanted=self._wanted,
            )
        return self._chosen

    @property
    def num_bytes(self) -> int:
        """Bytes of the weights on the device at the offload level; of all weights until one is chosen."""
        return self.need.weights if self._chosen is None else self.need.weights_at(self._level)

    @property
    def _level(self) -> OffloadLevel:
        return self.placement.level_of(decoding=self._is_decoding)

    def _usable_bytes(self) -> int:
        """Memory that is free, and that the weights take which are on the device."""
        return self.free_bytes() + (0 if self._applied is None else self.need.weights_at(self._applied))

    def to_device(self) -> None:
        """Apply `placement`, at a lower offload level if memory runs out; do nothing if it is applied.

        Raises the library's out-of-memory error if no level is left, and any other error as it comes.
        """
        tiles = self._always_tiles or self.placement.tiled_decode
        offloading.tile_decodes(self._pipeline, on=tiles)
        if self._applied == self._level:
            return
        try:
            offloading.place(self._pipeline, self._level, self.device)
            self._applied = self._level
            return
        except Exception as error:
            lower = self._lower_after(error)
            if lower is None:
                raise
        self.move_to(lower)

    def move_to(self, placement: Placement) -> None:
        """Apply another placement, or a lower one, as `to_device`.

        After an error, call it once the error is gone, because its frames hold device tensors.
        """
        release()
        if placement.level_of(decoding=self._is_decoding) != self._applied:
            self.to_cpu()
            release()
        self._short_at = self._usable_bytes()
        self._chosen = placement
        self.to_device()

    def to_cpu(self) -> None:
        """Remove the offloading, and move all weights to the CPU."""
        offloading.lift(self._pipeline)
        self._pipeline.to("cpu")
        self._applied = None

    def close(self) -> None:
        """Free the pipeline and its device memory; it cannot be used afterwards."""
        residency.forget(self)
        self._pipeline = None
        release()

    def run(self, work: Callable[[], _Result], *, decoding: bool = False) -> _Result:
        """Run `work` with the weights placed, and return its result.

        After an out-of-memory error it is run again with tiled decoding or at a lower offload level, and once
        there is more memory, at a higher one. Raises what `work` raises, an out-of-memory error only if no
        level is left.
        """
        self._is_decoding = decoding  # which is what `to_device` looks at
        if self._short_at is not None and self._usable_bytes() > _MORE * self._short_at:
            self._chosen = self._short_at = None
        spare = self.need.tiled_decode if decoding else self.need.denoise
        with residency.on_device(self, spare_bytes=spare), asleep_while_waiting(self.device):
            while True:
                self.to_device()
                try:
                    with self._without_gradients():
                        return work()
                except Exception as error:
                    lower = self._lower_after(error)
                    if lower is None:
                        raise
                self.move_to(lower)

    def _lower_after(self, error: Exception) -> Placement | None:
        if not failures.is_out_of_memory(error):
            return None
        return offloading.lower(self.placement, self.levels, decoding=self._is_decoding)

    def _without_gradients(self) -> AbstractContextManager[None]:
        # Offloading creates parameters, and a tensor created in inference mode cannot become one.
        return torch.inference_mode() if self._level == "none" else torch.no_grad()
