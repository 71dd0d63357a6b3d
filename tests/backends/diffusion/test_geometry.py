"""Latents that are not of the model: what decodes to other frames than were wanted, or to none."""

import numpy as np
import pytest

from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import LatentsError
from tests.tiny_generators import denoise


@pytest.mark.parametrize("cut", [np.s_[:, :1], np.s_[..., :1, :], np.s_[:, :, :1], np.s_[0, 0]], ids=str)
def test_latents_of_another_shape_are_told_from_other_failures(tiny_cogvideox_dir, cut):
    sizes = {"num_frames": 9, "height": 16, "width": 16}
    generator = load(GeneratorConfig(model=str(tiny_cogvideox_dir), **sizes))
    latents = denoise(generator)
    with pytest.raises(LatentsError):
        generator.decode(np.ascontiguousarray(latents[cut]))
    assert generator.decode(latents).frames.shape == (9, 16, 16, 3)
