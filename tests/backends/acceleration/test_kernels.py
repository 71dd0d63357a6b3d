"""Convolutions by oneDNN give what torch's own way gives."""

import pytest
import torch

from phyt2v_cli.backends.acceleration.convolutions import prefer_onednn


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"padding": (0, 1, 1)},
        {"stride": 2, "dilation": (1, 1, 2), "padding": 2},
        {"groups": 4, "bias": False},
        {"padding": "same"},
        {"padding": 1, "padding_mode": "replicate"},
    ],
)
def test_the_result_is_the_same(arguments: dict[str, object]) -> None:
    torch.manual_seed(0)
    convolution = torch.nn.Conv3d(8, 8, 3, **arguments)  # type: ignore[arg-type]
    video = torch.randn(1, 8, 5, 16, 16)
    expected = convolution(video)
    prefer_onednn(torch.nn.Sequential(convolution))
    torch.testing.assert_close(convolution(video), expected, rtol=1e-4, atol=1e-5)


def test_a_narrow_input_takes_onednn() -> None:
    convolution = torch.nn.Conv3d(16, 16, 3)
    prefer_onednn(convolution)
    with torch.no_grad(), torch.profiler.profile() as profile:
        convolution(torch.randn(1, 16, 5, 16, 16))
    assert {"aten::mkldnn_convolution"} == {e.key for e in profile.key_averages()} & {
        "aten::mkldnn_convolution",
        "aten::slow_conv3d",
    }
