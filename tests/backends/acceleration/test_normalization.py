"""Group normalization spread over a GPU: the same figures as torch's, to half precision."""

import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from torch.nn import functional

from phyt2v_cli.backends.acceleration.normalization import group_norm, spread_group_norms


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one.double() - other).norm() / other.norm())


@pytest.mark.parametrize("shape", [(1, 64, 3, 10, 12), (2, 32, 40)])
@pytest.mark.parametrize("mean", [0.0, 3.0, 50.0])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_it_is_as_exact_as_torchs(shape: tuple[int, ...], mean: float, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    input = (2 * torch.randn(shape, generator=generator) + mean).to(dtype)
    weight, bias = torch.randn(2, shape[1], generator=generator).to(dtype)
    exact = functional.group_norm(input.double(), 8, weight.double(), bias.double(), 1e-6)
    made = group_norm(input, 8, weight, bias, 1e-6)
    by_torch = functional.group_norm(input, 8, weight, bias, 1e-6)
    assert made.dtype == dtype
    assert distance(made, exact) <= 1.2 * distance(by_torch, exact)


def test_weights_may_be_missing() -> None:
    input = torch.randn(1, 8, 5, 6).bfloat16()
    made = group_norm(input, 2, None, None, 1e-6)
    assert distance(made, functional.group_norm(input.double(), 2, eps=1e-6)) < 0.005


def test_small_inputs_and_cpus_keep_torchs_and_hooks_their_weights() -> None:
    input = torch.randn(1, 8, 5, 6)
    plain, hooked = torch.nn.GroupNorm(2, 8), torch.nn.GroupNorm(2, 8)
    expected = plain(input)
    add_hook_to_module(hooked, AlignDevicesHook(execution_device="cpu", offload=True))
    both = torch.nn.ModuleList([plain, hooked])
    spread_group_norms(both)
    spread_group_norms(both)  # of another generator on the same pipeline
    torch.testing.assert_close(plain(input), expected, rtol=0, atol=0)
    torch.testing.assert_close(hooked(input), expected, rtol=0, atol=0)


@pytest.mark.gpu
def test_on_a_gpu_a_large_video_takes_it() -> None:
    norm = torch.nn.GroupNorm(32, 128).to("cuda", torch.bfloat16)
    input = torch.randn(1, 128, 8, 200, 200, device="cuda").bfloat16()
    expected = group_norm(input, 32, norm.weight, norm.bias, norm.eps)
    assert not torch.equal(norm(input), expected)
    spread_group_norms(norm)
    torch.testing.assert_close(norm(input), expected, rtol=0, atol=0)
