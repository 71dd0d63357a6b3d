"""Compiling: when it pays, and that nothing is compiled twice. Slow, because a compiler really runs."""

from pathlib import Path

import numpy as np
import pytest
import torch._dynamo

from phyt2v_cli.backends.acceleration import compilation
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator, load
from phyt2v_cli.config.schema import GeneratorConfig
from phyt2v_cli.roles import Latents


def num_graphs() -> int:
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def denoise(generator: DiffusersGenerator, prompt: str, steps: int, *, draft: bool = False) -> Latents:
    return generator.denoise(
        prompt, seed=0, num_inference_steps=steps, on_step=lambda *_: None, draft=draft
    ).latents


@pytest.fixture
def config(tiny_cogvideox_dir: Path) -> GeneratorConfig:
    return GeneratorConfig(model=str(tiny_cogvideox_dir), num_frames=9, height=16, width=16, device="cpu")


def test_on_a_cpu_nothing_is_compiled_unless_asked_for(config: GeneratorConfig) -> None:
    assert load(config, num_planned_steps=10**9).settings["compile"] == "off"


def test_compiling_pays_with_enough_steps(config: GeneratorConfig) -> None:
    pipeline = load(config)._pipeline
    assert not compilation.pays(pipeline, num_tokens=10_000, num_steps=50)
    assert compilation.pays(pipeline, num_tokens=10_000, num_steps=10**12)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("cache", ["off", "pab", "first-block", "taylor"])
def test_no_prompt_and_no_step_count_compiles_again(cache: str, config: GeneratorConfig) -> None:
    torch._dynamo.reset()
    exact = load(config)
    compiled = load(config.model_copy(update={"compile": "on", "draft_cache": cache}))
    assert compiled.settings["compile"] == "on"
    denoise(compiled, "a ball drops", 4)
    denoise(compiled, "a ball drops", 8, draft=True)
    before = num_graphs()
    for prompt, steps, draft in (("a cube", 5, False), ("a red cube slides", 9, True), ("a ball", 7, False)):
        video = denoise(compiled, prompt, steps, draft=draft)
        if not draft:
            np.testing.assert_allclose(video, denoise(exact, prompt, steps), atol=1e-4)
    assert num_graphs() == before
