"""Without the padding of its text a model computes the same video, and no mask."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phyt2v_cli.backends.acceleration import text_padding
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator, load
from phyt2v_cli.config.generator import GeneratorConfig
from tests.backends.acceleration.test_compilation import num_graphs
from tests.tiny_families import save_hunyuan, save_hunyuan_15

SIZE = {"num_frames": 5, "height": 32, "width": 32}


def config_of(folder: Path, **settings: Any) -> GeneratorConfig:
    return GeneratorConfig.model_validate({"model": str(folder), "device": "cpu", **SIZE, **settings})


def denoise(generator: DiffusersGenerator, prompt: str) -> np.ndarray:
    return generator.denoise(prompt, seed=3, num_inference_steps=3, on_step=lambda _: None).latents


@pytest.mark.parametrize("save", [save_hunyuan, save_hunyuan_15])
def test_the_video_is_the_same_without_padding_and_mask(
    save: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = "a ball drops"
    config = config_of(save(tmp_path))
    generator = load(config)
    given: list[tuple[int, Any]] = []
    for block in generator.pipeline.transformer.transformer_blocks:
        forward = block.forward
        block.forward = lambda *args, forward=forward: (
            given.append((args[1].shape[1], args[3])) or forward(*args)
        )
    made = denoise(generator, prompt)
    assert max(length for length, _ in given) <= len(prompt) + 2
    assert all(mask is None for _, mask in given)
    monkeypatch.setattr(text_padding, "drop_in", lambda _: None)
    padded = denoise(load(config), prompt)
    assert np.linalg.norm(made - padded) <= 1e-5 * np.linalg.norm(padded)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_second_length_of_text_compiles_once_more_and_no_other_does(tmp_path: Path) -> None:
    config = config_of(save_hunyuan_15(tmp_path))
    exact, compiled = load(config), load(config.model_copy(update={"compile": "on"}))
    torch._dynamo.reset()
    graphs = []
    for prompt in ("a ball drops", "a cube", "a red cube slides", "x"):
        made, right = denoise(compiled, prompt), denoise(exact, prompt)
        assert np.linalg.norm(made - right) <= 1e-5 * np.linalg.norm(right)
        graphs.append(num_graphs())
    assert graphs[0] < graphs[1] == graphs[2] == graphs[3]


class Block(torch.nn.Module):
    """Block that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = torch.nn.Module()
        self.attn.processor = None
        self.given: tuple[Any, ...] = ()

    def forward(self, *args: Any) -> None:
        self.given = args


@pytest.mark.parametrize(
    ("seen", "num_videos", "length"),
    [
        ([1, 1, 0, 0], 1, 2),
        ([1, 1, 1, 1], 1, 4),
        ([0, 1, 1, 0], 1, None),  # padding that does not come last
        ([1, 1, 0, 0], 2, None),  # several texts
        ([0, 0, 0, 0], 1, None),  # nothing would be left
    ],
)
def test_padding_is_dropped_if_it_comes_last(seen: list[int], num_videos: int, length: int | None) -> None:
    block = Block()
    denoiser = type("HunyuanVideoTransformer3DModel", (torch.nn.Module,), {})()
    denoiser.transformer_blocks = torch.nn.ModuleList([block])
    text_padding.drop_in(denoiser)
    text = torch.rand(num_videos, 4, 8)
    mask = torch.tensor([[[[1, 1, 1, *seen]]]] * num_videos, dtype=torch.bool)  # of a video of 3 tokens, too
    block(torch.rand(num_videos, 3, 8), text, None, mask, None)
    _, kept, _, kept_mask, _ = block.given
    assert kept.shape[1] == (length or 4)
    assert (kept_mask is None) == (length is not None)
