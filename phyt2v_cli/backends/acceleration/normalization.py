"""Kernel for group normalization of one large video on a GPU, which is no approximation.

torch reduces each group of each sample in one block of threads, so that the 32 groups of one video keep 32 of
an H100's 132 multiprocessors at work: 13 ms for 128 channels of 10 frames of 480x720, where the convolution
after it takes 7. That was a third of a decode of CogVideoX-5B. Here the sums of a group are spread over the
whole device. They stay in float32, where torch rounds them to the input's half precision. This file knows
shapes; it must not know prompts, rounds or memory.
"""

from functools import partial

import torch
from torch.nn import functional

FEW_ROWS = 256
"""Groups of all samples below which torch leaves multiprocessors without work."""

MANY_VALUES = 2**24
"""Values of a tensor from which that costs more than the launch of more kernels: on one H100 3.0 in place of
9.8 ms for 354 million, and 0.4 in place of 0.1 ms for 5 million."""

_HALF_PRECISION = (torch.bfloat16, torch.float16)


def spread_group_norms(module: torch.nn.Module) -> None:
    """Make the group normalizations inside `module` spread large inputs in half precision over the GPU."""
    for norm in module.modules():
        # A forward of its own is that of a hook, which knows where the weights are.
        if type(norm) is torch.nn.GroupNorm and "forward" not in norm.__dict__:
            norm.forward = partial(_forward, norm)  # type: ignore[method-assign]


def _forward(norm: torch.nn.GroupNorm, input: torch.Tensor) -> torch.Tensor:
    is_worth_it = input.shape[0] * norm.num_groups < FEW_ROWS and input.numel() >= MANY_VALUES
    if is_worth_it and input.is_cuda and input.dtype in _HALF_PRECISION and input.is_contiguous():
        return group_norm(input, norm.num_groups, norm.weight, norm.bias, norm.eps)
    return functional.group_norm(input, norm.num_groups, norm.weight, norm.bias, norm.eps)


def group_norm(
    input: torch.Tensor,
    num_groups: int,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    eps: float,
) -> torch.Tensor:
    """Normalize contiguous `input` of shape (samples, channels, ...), as `torch.nn.functional.group_norm`.

    Mean and variance of each group are float32. The variance is the mean square less the squared mean, whose
    error, about 1e-7 x (1 + (mean / deviation)^2), stays below half precision's while the mean is no more
    than 100 times the deviation.
    """
    num_samples, num_channels = input.shape[:2]
    rows = input.view(num_samples * num_groups, -1)
    mean = rows.sum(1, dtype=torch.float32) / rows.shape[1]
    square = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float32).square() / rows.shape[1]
    variance = (square - mean.square()).clamp(min=0)
    # As batch normalization with known moments: one pass, and rounded once.
    by_channel = num_channels // num_groups
    output: torch.Tensor = torch.native_batch_norm(
        input.view(1, num_samples * num_channels, -1),
        _of_samples(weight, num_samples),
        _of_samples(bias, num_samples),
        mean.repeat_interleave(by_channel),
        variance.repeat_interleave(by_channel),
        False,
        0.0,
        eps,
    )[0]
    return output.view(input.shape)


def _of_samples(parameter: torch.Tensor | None, num_samples: int) -> torch.Tensor | None:
    return None if parameter is None else parameter.float().repeat(num_samples)
