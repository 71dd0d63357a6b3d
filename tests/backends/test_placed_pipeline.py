"""The rungs on a real pipeline, and what happens when memory runs out.

On a CPU, to which diffusers offloads too; but accelerate cannot offload to it layer by layer, so `sequential`
is shown on a GPU, by benchmarks/gpu_memory.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phyt2v_cli.backends import offloading
from phyt2v_cli.backends.diffusers_generator import DiffusersGenerator, load
from phyt2v_cli.backends.offloading import RUNGS, Placement
from phyt2v_cli.backends.residency import Accelerator
from phyt2v_cli.errors import BackendError
from phyt2v_cli.interfaces import Latents
from phyt2v_cli.settings import GeneratorConfig


def make_generator(folder: Path) -> DiffusersGenerator:
    return load(GeneratorConfig(model=str(folder), num_frames=9, height=16, width=16, device="cpu"))


@pytest.fixture
def generator(tiny_cogvideox_dir: Path) -> DiffusersGenerator:
    return make_generator(tiny_cogvideox_dir)


@pytest.fixture(scope="module")
def reference(tiny_cogvideox_dir: Path) -> tuple[Latents, Any]:
    generator = make_generator(tiny_cogvideox_dir)
    latents = denoise(generator)
    return latents, generator.decode(latents)


def denoise(generator: DiffusersGenerator, on_step: Callable[[int, int], None] = lambda *_: None) -> Latents:
    return generator.denoise("a ball drops", seed=0, num_inference_steps=4, on_step=on_step)


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def failing(original: Callable[..., Any], times: int, error: Exception = OUT_OF_MEMORY) -> Callable[..., Any]:
    """Return a function that fails so many times as a full GPU does, and then works as the original."""
    left = times

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        if left:
            left -= 1
            raise error
        return original(*args, **kwargs)

    return call


def raise_out_of_memory(owner: Any, name: str, times: int) -> None:
    """Let the next calls of a method fail."""
    setattr(owner, name, failing(getattr(owner, name), times))


@pytest.mark.parametrize("rung", RUNGS[:-1])
def test_every_rung_makes_the_same_video(
    rung: offloading.Rung, generator: DiffusersGenerator, reference: tuple[Latents, Any]
) -> None:
    placed = generator._placed
    placed._chosen = Placement(rung, "a test")
    offloading.place(generator._pipeline, placed.placement, placed.device)
    latents = denoise(generator)
    np.testing.assert_array_equal(latents, reference[0])
    np.testing.assert_array_equal(generator.decode(latents), reference[1])
    np.testing.assert_array_equal(denoise(generator), reference[0])
    placed.to_cpu()
    placed.to_device()
    np.testing.assert_array_equal(denoise(generator), reference[0])


@pytest.mark.parametrize("num_falls", [1, 2])
def test_fault_23_out_of_memory_while_denoising_falls_rung_by_rung(
    num_falls: int, generator: DiffusersGenerator, reference: tuple[Latents, Any]
) -> None:
    generator._placed._rungs = RUNGS  # as on a GPU
    raise_out_of_memory(generator._pipeline.scheduler, "step", num_falls)
    np.testing.assert_array_equal(denoise(generator), reference[0])
    assert generator.settings["offload"] == RUNGS[num_falls]
    assert "out of memory" in generator.settings["offload_reason"]


def test_fault_23_on_the_last_rung_is_a_clear_error_and_the_run_can_go_on(
    generator: DiffusersGenerator, reference: tuple[Latents, Any]
) -> None:
    raise_out_of_memory(generator._pipeline.scheduler, "step", 1)
    with pytest.raises(BackendError, match=r"^Out of memory while denoising\. Use fewer frames") as caught:
        denoise(generator)
    assert caught.value.exit_code == 4
    np.testing.assert_array_equal(denoise(generator), reference[0])


def test_fault_24_out_of_memory_in_decoding_tiles_from_the_kept_latents(
    generator: DiffusersGenerator, reference: tuple[Latents, Any]
) -> None:
    steps: list[int] = []
    latents = denoise(generator, lambda step, _: steps.append(step))
    raise_out_of_memory(generator._pipeline.vae, "_decode", 1)
    frames = generator.decode(latents)
    assert frames.shape == reference[1].shape
    assert generator._pipeline.vae.use_tiling
    assert (generator.settings["offload"], generator.settings["tiled_decode"]) == ("none", "on")
    assert steps == [1, 2, 3, 4]


@pytest.mark.parametrize(("num_falls", "rung"), [(1, "model"), (2, "group")])
def test_fault_23_out_of_memory_while_placing_falls_rung_by_rung(
    num_falls: int,
    rung: str,
    generator: DiffusersGenerator,
    reference: tuple[Latents, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    placed = generator._placed
    placed._rungs = RUNGS  # as on a GPU
    monkeypatch.setattr(offloading, "place", failing(offloading.place, num_falls))
    with Accelerator(lambda: 2**40, lambda: None).on_device(placed, spare_bytes=0):
        np.testing.assert_array_equal(denoise(generator), reference[0])
    assert generator.settings["offload"] == rung
    assert "out of memory" in generator.settings["offload_reason"]


def test_fault_23_no_room_on_any_rung_is_raised_and_leaves_the_device(
    generator: DiffusersGenerator, reference: tuple[Latents, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = generator._placed
    placed._rungs = RUNGS
    accelerator = Accelerator(lambda: 2**40, lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(offloading, "place", failing(offloading.place, len(RUNGS)))
        with pytest.raises(torch.OutOfMemoryError), accelerator.on_device(placed, spare_bytes=0):
            raise AssertionError("it cannot have been entered")
    placed._chosen = Placement("none", "a test")
    np.testing.assert_array_equal(denoise(generator), reference[0])


def test_fault_23_out_of_memory_while_falling_falls_further(
    generator: DiffusersGenerator, reference: tuple[Latents, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator._placed._rungs = RUNGS
    raise_out_of_memory(generator._pipeline.scheduler, "step", 1)
    monkeypatch.setattr(offloading, "place", failing(offloading.place, 1))
    np.testing.assert_array_equal(denoise(generator), reference[0])
    assert generator.settings["offload"] == "group"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_fault_23_libraries_run_out_of_memory_in_words_of_their_own(
    error: Exception, generator: DiffusersGenerator, reference: tuple[Latents, Any]
) -> None:
    generator._placed._rungs = RUNGS
    scheduler = generator._pipeline.scheduler
    scheduler.step = failing(scheduler.step, 1, error)
    np.testing.assert_array_equal(denoise(generator), reference[0])
    assert generator.settings["offload"] == "model"
