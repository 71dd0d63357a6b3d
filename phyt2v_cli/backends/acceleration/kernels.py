"""Kernels for attention and 3D convolutions; none of them is an approximation.

Attention: torch chooses by a fixed order among the kernels that the device, the dtype and the size allow; on
one H200 its choice was the fastest (benchmarks/gpu_refine.py --parts attention). Convolutions on a CPU:
torch's rule for "too small to be worth oneDNN" multiplies all sizes but the last, as if every input were an
image. So the narrow inputs of a video autoencoder take a path that is 3 to 4 times as slow: 70 against 16 ms
for 64 channels, 5 frames of 64x64, on two cores. This file knows shapes; it must not know prompts, rounds or
memory.
"""

from functools import partial
from typing import Any

import torch
from torch.nn.attention import SDPBackend


def kernel_name(pipeline: Any, *, num_tokens: int, device: torch.device) -> str | None:
    """Name of the attention kernel for self-attention over `num_tokens` tokens, without a mask.

    None if the transformer's config has no `attention_head_dim`.
    """
    denoiser: Any = getattr(pipeline, "transformer", None)
    width = denoiser.config.get("attention_head_dim") if denoiser is not None else None
    if not isinstance(width, int):
        return None
    # The choice does not depend on values, and on the number of heads and samples only if that is enormous.
    tensor = torch.empty(1, 1, num_tokens, width, dtype=denoiser.dtype, device=device)
    with torch.inference_mode():
        chosen = torch._fused_sdp_choice(tensor, tensor, tensor)
    return SDPBackend(chosen).name.removesuffix("_ATTENTION").lower()


def prefer_onednn(module: torch.nn.Module) -> None:
    """Make the float32 3D convolutions inside `module` use oneDNN; do nothing if torch has no oneDNN."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    for convolution in module.modules():
        if isinstance(convolution, torch.nn.Conv3d) and _is_plain(convolution):
            # The instance's method, so that the `forward` of subclasses stays as it is.
            convolution._conv_forward = partial(_convolve, convolution)  # type: ignore[method-assign]


def _is_plain(convolution: torch.nn.Conv3d) -> bool:
    is_float32 = convolution.weight.dtype == torch.float32  # other dtypes use oneDNN already
    return is_float32 and convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)


def _convolve(
    convolution: torch.nn.Conv3d, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    output: torch.Tensor = torch.ops.aten.mkldnn_convolution(
        input,
        weight,
        bias,
        convolution.padding,
        convolution.stride,
        convolution.dilation,
        convolution.groups,
    )
    return output
