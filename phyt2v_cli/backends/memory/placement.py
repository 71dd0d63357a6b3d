"""Pipeline on a shared accelerator, with a retry at a lower offload level after out-of-memory errors.

This file joins `offloading` (the offload level of one pipeline) and `residency` (the models on the device).
It must not know prompts, rounds or families.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch

from phyt2v_cli.backends import failures
from phyt2v_cli.backends.memory import device, offloading, residency
from phyt2v_cli.backends.memory.activations import VideoSize
from phyt2v_cli.backends.memory.cpu_threads import asleep_while_waiting
from phyt2v_cli.backends.memory.offloading import Offload, Placement

_Result = TypeVar("_Result")


class PlacedPipeline:
    """Pipeline that runs at the offload level that fits; implements `residency.Holder`."""

    def __init__(self, pipeline: Any, *, device: torch.device, wanted: Offload, video: VideoSize) -> None:
        """Place the pipeline, which is on the CPU, for videos of a size.

        Raises the library's out-of-memory error if it does not fit even at the last level.
        """
        self.device = device
        self.need = offloading.need_of(pipeline, video)
        self._pipeline = pipeline
        self._wanted = wanted
        self._is_on_device = False
        on_cpu = device.type == "cpu"
        self.levels = offloading.OFFLOAD_LEVELS[:1] if on_cpu else offloading.OFFLOAD_LEVELS
        """Offload levels of this device; running out of memory moves to the next one."""
        self._chosen = Placement("none", "no GPU to offload from") if on_cpu else None
        with residency.on_device(self, spare_bytes=self.need.denoise):
            pass

    @property
    def placement(self) -> Placement:
        """Current offload level and its reason; chosen on first use."""
        if self._chosen is None:
            host_free = offloading.host_free_bytes()
            free = device.free_bytes()
            self._chosen = offloading.choose(self.need, free=free, host_free=host_free, wanted=self._wanted)
        return self._chosen

    @property
    def num_bytes(self) -> int:
        """Bytes of the weights on the device at the offload level; of all weights until one is chosen."""
        return self.need.weights if self._chosen is None else self.need.weights_at(self._chosen.level)

    def to_device(self) -> None:
        """Apply `placement`, at a lower offload level if memory runs out; do nothing if it is applied.

        Raises the library's out-of-memory error if no level is left, and any other error as it comes.
        """
        if self._is_on_device:
            return
        try:
            offloading.place(self._pipeline, self.placement, self.device)
            self._is_on_device = True
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
        device.release()
        self._chosen = placement
        self._is_on_device = False
        self.to_device()

    def to_cpu(self) -> None:
        """Remove the offloading, and move all weights to the CPU."""
        offloading.lift(self._pipeline)
        self._pipeline.to("cpu")
        self._is_on_device = False

    def close(self) -> None:
        """Free the pipeline and its device memory; it cannot be used afterwards."""
        residency.forget(self)
        self._pipeline = None
        device.release()

    def run(self, work: Callable[[], _Result], *, decoding: bool = False) -> _Result:
        """Run `work` with the weights placed, and return its result.

        After an out-of-memory error it is run again with tiled decoding or at a lower offload level. Raises
        what `work` raises, an out-of-memory error only if no level is left.
        """
        spare = self.need.tiled_decode if decoding else self.need.denoise
        with residency.on_device(self, spare_bytes=spare), asleep_while_waiting(self.device):
            while True:
                try:
                    with self._without_gradients():
                        return work()
                except Exception as error:
                    lower = self._lower_after(error, decoding=decoding)
                    if lower is None:
                        raise
                self.move_to(lower)

    def _lower_after(self, error: Exception, *, decoding: bool = False) -> Placement | None:
        if not failures.is_out_of_memory(error):
            return None
        return offloading.lower(self.placement, self.levels, decoding=decoding)

    def _without_gradients(self) -> AbstractContextManager[None]:
        # Offloading creates parameters, and a tensor created in inference mode cannot become one.
        return torch.inference_mode() if self.placement.level == "none" else torch.no_grad()
