"""Trajectory of a denoising, of which a video takes some steps, and later videos more of them.

A pipeline's call cannot be left and entered again, and its solver has a memory. So the whole call is made for
each video, and what is kept are the denoiser's outputs, which are nearly all of its work: a call that an
earlier video made is answered with them. All else is computed again, the solver's memory and its noise too,
so that a video that takes the last step is bit for bit the one of a single call.

A video that takes fewer steps shows what the model predicts after the last of them: its clean latents (x0).
The solver hands them to the pipeline in place of the next ones, the other steps are skipped, and the
pipeline's own code goes on to its autoencoder. This file must not know families, prompts or runs.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

import torch
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from phyt2v_cli.backends.diffusion.call.clean_latents import after_each_step, predicts_clean_latents
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.roles import Trajectory

_MAX_BYTES = 2**35
"""Limit of the file, 34 GB: two outputs of Wan 2.1 14B are 17 MB, so 50 steps are 0.8 GB."""

Outputs = tuple[torch.Tensor, ...]
"""Tensors that one call of a denoiser returns, on the CPU."""


@contextmanager
def followed(
    pipeline: Any, denoisers: Sequence[torch.nn.Module], trajectory: Trajectory, num_steps: int
) -> Iterator[dict[str, str]]:
    """Let a call of the pipeline, for all steps of `trajectory`, take the first `num_steps` of them.

    Yields what to record. The file of the trajectory has the outputs of the steps that were taken, once the
    block is left without an error. Raises ConfigError if the pipeline or its solver cannot do it, and
    FilesError if the disk refuses.
    """
    known, num_known = _read(trajectory)
    outputs = _Outputs(known)
    how = {
        "trajectory_steps": str(trajectory.num_steps),
        "kept_steps": str(min(num_known, num_steps)),
    }
    with ExitStack() as stack:
        for denoiser in denoisers:
            stack.enter_context(outputs.of(denoiser))
        if num_steps < trajectory.num_steps:
            stack.enter_context(_ended_early(pipeline, num_steps))
        yield how
    if num_steps > num_known:
        _write(trajectory, outputs.all, num_steps)


class _Outputs:
    """Outputs of the denoisers, in the order of their calls: those that are known, and then new ones."""

    def __init__(self, known: list[Outputs]) -> None:
        self.all = known
        self._num_known = len(known)
        self._num_calls = 0

    @contextmanager
    def of(self, denoiser: Any) -> Iterator[None]:
        """Answer calls of `denoiser` inside the block with known outputs, and keep those of the others."""
        own = denoiser.__dict__.get("forward")
        forward = denoiser.forward

        @wraps(forward)
        def answer(*args: Any, **kwargs: Any) -> Any:
            number = self._num_calls
            self._num_calls += 1
            if number >= self._num_known:
                result = forward(*args, **kwargs)
                self.all.append(_tensors(result))
                return result
            device = next(value.device for value in (*args, *kwargs.values()) if _is_tensor(value))
            tensors = tuple(tensor.to(device) for tensor in self.all[number])
            return Transformer2DModelOutput(*tensors) if kwargs.get("return_dict", True) else tensors

        denoiser.forward = answer
        try:
            yield
        finally:
            if own is None:
                del denoiser.forward
            else:
                denoiser.forward = own


def _tensors(result: Any) -> Outputs:
    values = result if isinstance(result, tuple) else tuple(result.values())
    if not all(map(_is_tensor, values)):
        raise _unsuited("its denoiser returns more than tensors")
    return tuple(value.detach().to("cpu", copy=True).contiguous() for value in values)


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


@contextmanager
def _ended_early(pipeline: Any, num_steps: int) -> Iterator[None]:
    """Let the solver's step `num_steps` be the last, and give the clean latents that the model predicts."""
    solver = pipeline.scheduler
    if not predicts_clean_latents(solver):
        raise _unsuited(f"its solver {type(solver).__name__} predicts no clean video; try `generator.solver`")
    if not hasattr(type(pipeline), "interrupt"):
        raise _unsuited(f"{type(pipeline).__name__} cannot be ended before its last step")

    def end(number: int, predict: Callable[[], torch.Tensor]) -> torch.Tensor | None:
        if number < num_steps:
            return None
        pipeline._interrupt = True
        return predict()

    with after_each_step(solver, end):
        yield


def _unsuited(reason: str) -> ConfigError:
    return ConfigError(
        f"schedule.share_trajectory: this model cannot resume a video, {reason}",
        "Use `schedule.share_trajectory=false`.",
    )


def _read(trajectory: Trajectory) -> tuple[list[Outputs], int]:
    """Outputs that the file has of this trajectory, and of how many steps; none if it has another's."""
    path = trajectory.path
    if path is None or not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return [], 0
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
        if metadata.get("key") != trajectory.key or metadata.get("sha256") != _sha256(tensors):
            return [], 0
        num_calls, num_steps = int(metadata["calls"]), int(metadata["steps"])
        calls: list[list[torch.Tensor]] = [[] for _ in range(num_calls)]
        for name in sorted(tensors):
            calls[int(name.split(".")[0])].append(tensors[name])
    except (SafetensorError, OSError, ValueError, LookupError):
        return [], 0
    return [tuple(call) for call in calls], num_steps


def _write(trajectory: Trajectory, outputs: Sequence[Outputs], num_steps: int) -> None:
    if trajectory.path is None:
        return
    tensors = {
        f"{number:06}.{part}": tensor
        for number, call in enumerate(outputs)
        for part, tensor in enumerate(call)
    }
    metadata = {
        "key": trajectory.key,
        "sha256": _sha256(tensors),
        "calls": str(len(outputs)),
        "steps": str(num_steps),
    }
    with replace_file(trajectory.path) as temporary:
        temporary.write_bytes(save(tensors, metadata=metadata))


def _sha256(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
