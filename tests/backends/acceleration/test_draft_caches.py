"""Caches change drafts and nothing else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from phyt2v_cli.backends.acceleration.draft_caches import DEFAULT_STRENGTHS
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator, load
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.roles import DenoisingStep, Latents
from tests.tiny_pipelines import save_ltx, save_mochi, save_wan

STRONG = {"first-block": 5.0, "pab": 4.0, "taylor": 4.0}
NUM_STEPS = 12


def denoise(
    generator: DiffusersGenerator, *, draft: bool, steps: int = NUM_STEPS, cache: str = "off"
) -> Latents:
    """Latents that were denoised with `cache`, if the generator says the truth of it."""
    denoised = generator.denoise(
        "a ball drops", seed=0, num_inference_steps=steps, on_step=lambda _: None, draft=draft
    )
    assert denoised.how["cache"] == cache
    return denoised.latents


@pytest.fixture
def config(tiny_cogvideox_dir: Path) -> GeneratorConfig:
    return GeneratorConfig(model=str(tiny_cogvideox_dir), num_frames=9, height=16, width=16, device="cpu")


@pytest.mark.parametrize("cache", DEFAULT_STRENGTHS)
def test_a_final_equals_the_same_video_made_alone_bit_for_bit(cache: str, config: GeneratorConfig) -> None:
    alone = denoise(load(config), draft=False)
    cached = load(config.model_copy(update={"draft_cache": cache, "draft_cache_strength": STRONG[cache]}))
    first_draft = denoise(cached, draft=True, cache=cache)
    np.testing.assert_array_equal(denoise(cached, draft=False), alone)
    assert not np.array_equal(first_draft, alone)
    denoise(cached, draft=True, steps=5, cache=cache)  # another step count in between
    np.testing.assert_array_equal(denoise(cached, draft=True, cache=cache), first_draft)
    np.testing.assert_array_equal(denoise(cached, draft=False), alone)


def test_by_itself_no_draft_is_cached(config: GeneratorConfig) -> None:
    assert config.draft_cache == "auto"
    alone = load(config)
    final = denoise(alone, draft=False)
    np.testing.assert_array_equal(denoise(alone, draft=True), final)


@pytest.mark.parametrize("cache", DEFAULT_STRENGTHS)
def test_a_draft_that_is_stopped_in_the_middle_leaves_nothing_behind(
    cache: str, config: GeneratorConfig
) -> None:
    alone = denoise(load(config), draft=False)
    cached = load(config.model_copy(update={"draft_cache": cache, "draft_cache_strength": STRONG[cache]}))

    class Stopped(Exception):  # noqa: N818
        pass

    def stop(step: DenoisingStep) -> None:
        if step.number == 6:
            raise Stopped

    whole = denoise(cached, draft=True, cache=cache)
    with pytest.raises(Stopped):
        cached.denoise("a ball drops", seed=0, num_inference_steps=12, on_step=stop, draft=True)
    assert not cached.pipeline.transformer.is_cache_enabled
    np.testing.assert_array_equal(denoise(cached, draft=False), alone)
    np.testing.assert_array_equal(denoise(cached, draft=True, cache=cache), whole)


@pytest.mark.parametrize("cache", DEFAULT_STRENGTHS)
@pytest.mark.parametrize(("save", "size"), [(save_wan, (9, 16)), (save_ltx, (9, 32)), (save_mochi, (7, 16))])
def test_the_caches_of_other_families_take_effect(
    cache: str, save: Callable[[Path], Path], size: tuple[int, int], tmp_path: Path
) -> None:
    config = GeneratorConfig(
        model=str(save(tmp_path / "model")),
        num_frames=size[0],
        height=size[1],
        width=size[1],
        device="cpu",
        draft_cache=cache,  # type: ignore[arg-type]
        draft_cache_strength=STRONG[cache],
    )
    generator = load(config)
    final = denoise(generator, draft=False)
    assert not np.array_equal(denoise(generator, draft=True, cache=cache), final)
    np.testing.assert_array_equal(denoise(generator, draft=False), final)
