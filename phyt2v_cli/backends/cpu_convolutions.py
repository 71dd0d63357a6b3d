"""Let 3D convolutions on a CPU take oneDNN, which torch passes over for small inputs.

Torch's rule for "too small to be worth it" multiplies all sizes but the last, as if every input were a
picture. So the narrow inputs of a video autoencoder go to a path that is 3 to 4 times as slow: 70 against
16 ms for 64 channels, 5 frames of 64x64, on two cores. This file knows convolutions and nothing of videos.
"""

from functools import partial

import torch


def prefer_onednn(module: torch.nn.Module) -> None:
    """Let the float32 3D convolutions inside of `module` use oneDNN, where torch was built with it."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    for convolution in module.modules():
        if isinstance(convolution, torch.nn.Conv3d) and _is_plain(convolution):
            # The instance's method, so that subclasses keep what they do around it.
            convolution._conv_forward = partial(_convolve, convolution)  # type: ignore[method-assign]


def _is_plain(convolution: torch.nn.Conv3d) -> bool:
    is_float32 = convolution.weight.dtype == torch.float32  # others take oneDNN by themselves
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
