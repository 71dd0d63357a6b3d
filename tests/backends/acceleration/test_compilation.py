"""Compiling: when it pays, and that nothing is compiled twice. Slow, because a compiler really runs."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch._dynamo
from diffusers import CogVideoXTransformer3DModel

from phyt2v_cli.backends.acceleration import compilation
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator, load
from phyt2v_cli.config.generator import GeneratorConfig
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
    assert load(config, num_planned_steps=10**18).settings["compile"] == "off"


@pytest.fixture(scope="module")
def cogvideox_5b() -> Any:
    """The real one, as far as a pipeline is asked whether compiling it pays: sizes without weights."""
    with torch.device("meta"):
        transformer = CogVideoXTransformer3DModel(
            num_attention_heads=48, num_layers=42, text_embed_dim=4096, use_rotary_positional_embeddings=True
        )
    return SimpleNamespace(transformer=transformer)


def test_compiling_pays_for_a_run_of_cogvideox_5b(cogvideox_5b: Any, tiny_cogvideox_dir: Path) -> None:
    num_tokens = 49 * 480 * 720 // 512
    assert compilation.pays(cogvideox_5b, num_tokens=num_tokens, num_steps=174)
    assert not compilation.pays(cogvideox_5b, num_tokens=num_tokens, num_steps=50)
    tiny = CogVideoXTransformer3DModel.from_pretrained(tiny_cogvideox_dir / "transformer")
    assert not compilation.pays(SimpleNamespace(transformer=tiny), num_tokens=num_tokens, num_steps=174)


@pytest.mark.parametrize("num_tokens", [1_000, 33_075])
def test_compiling_pays_from_so_many_multiplications(num_tokens: int, cogvideox_5b: Any) -> None:
    blocks = cogvideox_5b.transformer.transformer_blocks
    assert sum(parameter.numel() for parameter in blocks.parameters()) == 5_552_300_544
    enough = math.ceil(compilation.PAYS_FROM / (2 * 5_552_300_544 * num_tokens))
    assert compilation.pays(cogvideox_5b, num_tokens=num_tokens, num_steps=enough)
    assert not compilation.pays(cogvideox_5b, num_tokens=num_tokens, num_steps=enough - 1)


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
