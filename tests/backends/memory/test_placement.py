"""The levels on a real pipeline; what happens when memory runs out is in tests/faults/test_memory.py.

On a CPU, to which diffusers offloads too; but accelerate cannot offload to it layer by layer, so `sequential`
is shown on a GPU, by benchmarks/gpu_memory.py.
"""

import numpy as np
import pytest

from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator
from phyt2v_cli.backends.memory import offloading
from phyt2v_cli.backends.memory.offloading import OFFLOAD_LEVELS, Placement
from phyt2v_cli.files.video import Frames
from phyt2v_cli.roles import Latents
from tests.tiny_generators import denoise


@pytest.mark.parametrize("level", OFFLOAD_LEVELS[:-1])
def test_every_rung_makes_the_same_video(
    level: offloading.OffloadLevel, tiny_generator: DiffusersGenerator, tiny_result: tuple[Latents, Frames]
) -> None:
    placed = tiny_generator.placed
    placed.move_to(Placement(level, "a test"))
    latents = denoise(tiny_generator)
    np.testing.assert_array_equal(latents, tiny_result[0])
    np.testing.assert_array_equal(tiny_generator.decode(latents).frames, tiny_result[1])
    np.testing.assert_array_equal(denoise(tiny_generator), tiny_result[0])
    placed.to_cpu()
    placed.to_device()
    np.testing.assert_array_equal(denoise(tiny_generator), tiny_result[0])
