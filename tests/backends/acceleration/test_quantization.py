"""8-bit products: refused where they cannot be, before anything is loaded; close to exact where they can."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from phyt2v_cli.backends.acceleration import quantization
from phyt2v_cli.backends.checkpoints import lora_gguf_files
from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import ConfigError

SIZE = {"num_frames": 9, "height": 16, "width": 16}


def test_a_cpu_has_no_products_in_8_bits(tiny_cogvideox_dir: Path) -> None:
    config = GeneratorConfig(model=str(tiny_cogvideox_dir), device="cpu", quantize="fp8")
    with pytest.raises(ConfigError, match=r"generator\.quantize: fp8 needs a GPU"):
        load(config)


def test_a_missing_package_is_said_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(lora_gguf_files.complaints(GeneratorConfig())) == []
    monkeypatch.setattr(lora_gguf_files, "find_spec", lambda _: None)
    (line,) = lora_gguf_files.complaints(GeneratorConfig(quantize="fp8"))
    assert line == "generator.quantize: it needs the package torchao; pip install 'phyt2v[fp8]'"


@pytest.mark.parametrize(
    ("capability", "dtype", "gguf", "words"),
    [
        ((8, 0), torch.bfloat16, None, "this one has 8.0"),
        ((8, 9), torch.float16, None, "runs in float16"),
        ((9, 0), torch.bfloat16, "a.gguf", "GGUF"),
    ],
)
def test_what_else_it_needs(
    capability: tuple[int, int],
    dtype: torch.dtype,
    gguf: str | None,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    with pytest.raises(ConfigError, match=words):
        quantization.check(GeneratorConfig(quantize="fp8", gguf=gguf), torch.device("cuda"), dtype)


def test_only_products_over_tokens_are_quantised() -> None:
    linear = torch.nn.Linear(32, 48)
    assert quantization.is_over_tokens(linear, "attn1.to_q")
    assert not quantization.is_over_tokens(linear, "norm1.linear")
    assert not quantization.is_over_tokens(torch.nn.Linear(8, 48), "ff.net.0.proj")
    assert not quantization.is_over_tokens(torch.nn.LayerNorm(32), "attn1.to_q")


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", ["off", "on"])
@pytest.mark.parametrize("offload", ["none", "group", "model", "sequential"])
def test_on_a_gpu_it_is_close_to_exact_wherever_the_weights_wait(
    offload: str, compiled: str, tiny_cogvideox_dir: Path
) -> None:
    exact = _render(tiny_cogvideox_dir)
    quantised = _render(tiny_cogvideox_dir, offload=offload, compile=compiled, quantize="fp8")
    error = np.linalg.norm(quantised - exact) / np.linalg.norm(exact)
    assert 0 < error < 0.1


def _render(model: Path, **more: object) -> npt.NDArray[np.float32]:
    generator = load(
        GeneratorConfig.model_validate(
            {"model": str(model), "device": "cuda", "dtype": "bfloat16", **SIZE, **more}
        )
    )
    return generator.denoise("a ball falls.", seed=1, num_inference_steps=4, on_step=lambda *_: None).latents
