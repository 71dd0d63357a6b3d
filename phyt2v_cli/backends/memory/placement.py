"""A pipeline that shares an accelerator: it comes and goes, and offloads more when memory runs out.

This file joins `offloading` (where one pipeline's weights wait) and `residency` (who is on the device). It
must not know prompts, rounds or families.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch

from phyt2v_cli.backends import failures
from phyt2v_cli.backends.memory import device, offloading, residency
from phyt2v_cli.backends.memory.offloading import Offload, Placement

_Result = TypeVar("_Result")


class PlacedPipeline:
    """Does a pipeline's work where its weights can be; implements `residency.Holder`."""

    def __init__(self, pipeline: Any, *, device: torch.device, wanted: Offload, num_pixels: int) -> None:
        """Put the pipeline, which is on the CPU, in its place for videos of `num_pixels` in all frames.

        Raises what the library raises when out of memory where there is no room even on the last level.
        """
        self.device = device
        self.need = offloading.need_of(pipeline, num_pixels=num_pixels)
        self._pipeline = pipeline
        self._wanted = wanted
        self._is_on_device = False
        on_cpu = device.type == "cpu"
        self._levels = offloading.OFFLOAD_LEVELS[:1] if on_cpu else offloading.OFFLOAD_LEVELS
        self._chosen = Placement("none", "no GPU to offload from") if on_cpu else None
        with residency.on_device(self, spare_bytes=self.need.denoise):
            pass

    @property
    def placement(self) -> Placement:
        """Where the weights are now, and why; chosen when the pipeline first comes to its device."""
        if self._chosen is None:
            host_free = offloading.host_free_bytes()
            free = device.free_bytes()
            self._chosen = offloading.choose(self.need, free=free, host_free=host_free, wanted=self._wanted)
        return self._chosen

    @property
    def num_bytes(self) -> int:
        """What the weights take on the device; all of them as long as nobody knows better."""
        return self.need.weights if self._chosen is None else self.need.weights_at(self._chosen.level)

    def to_device(self) -> None:
        """Bring the weights to where `placement` says, or further down where there is no room for that."""
        while not self._is_on_device:
            try:
                offloading.place(self._pipeline, self.placement, self.device)
                self._is_on_device = True
                return
            except Exception as error:
                lower = self._lower_after(error)
                if lower is None:
                    raise
            self._fall(lower)

    def to_cpu(self) -> None:
        """Take everything off the device."""
        offloading.lift(self._pipeline)
        self._pipeline.to("cpu")
        self._is_on_device = False

    def close(self) -> None:
        """Take everything off the device for good, and let go of the pipeline."""
        residency.forget(self)
        self._pipeline = None
        device.release()

    def run(self, work: Callable[[], _Result], *, decoding: bool = False) -> _Result:
        """Return what `work` returns; each time memory runs out, offload more and do it again.

        Raises what `work` raises; out of memory only where nothing is left to offload.
        """
        spare = self.need.tiled_decode if decoding else self.need.denoise
        with residency.on_device(self, spare_bytes=spare):
            while True:
                try:
                    with self._without_gradients():
                        return work()
                except Exception as error:
                    lower = self._lower_after(error, decoding=decoding)
                    if lower is None:
                        raise
                self._fall(lower)
                self.to_device()

    def _lower_after(self, error: Exception, *, decoding: bool = False) -> Placement | None:
        if not failures.is_out_of_memory(error):
            return None
        return offloading.lower(self.placement, self._levels, decoding=decoding)

    def _fall(self, lower: Placement) -> None:
        """Call it once the error is gone, and with it the frames that held on to what was on the device."""
        device.release()
        self._chosen = lower
        self._is_on_device = False

    def _without_gradients(self) -> AbstractContextManager[None]:
        # Offloading makes parameters anew, and what is made in inference mode can be none.
        return torch.inference_mode() if self.placement.level == "none" else torch.no_grad()
