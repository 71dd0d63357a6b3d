"""The kernel that is reported is the one that runs."""

from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from phyt2v_cli.backends.acceleration import attention
from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.config.generator import GeneratorConfig


@pytest.mark.parametrize(
    ("device", "operator"),
    [
        ("cpu", "aten::_scaled_dot_product_{}_attention_for_cpu"),
        pytest.param("cuda", "aten::_scaled_dot_product_{}_attention", marks=pytest.mark.gpu),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of the profiler
def test_the_kernel_of_the_record_is_the_one_that_runs(
    device: str, operator: str, tiny_cogvideox_dir: Path
) -> None:
    size = {"num_frames": 9, "height": 16, "width": 16}
    generator = load(
        GeneratorConfig.model_validate({"model": str(tiny_cogvideox_dir), "device": device, **size})
    )
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        generator.denoise("a ball falls", seed=0, num_inference_steps=2, on_step=lambda *_: None)
    name = generator.settings["attention"]
    called = {event.key for event in profiler.key_averages()}
    assert operator.format(name) in called


def test_a_denoiser_that_says_no_width_has_no_name_for_it() -> None:
    assert attention.choose(object(), "auto", 9, torch.device("cpu")).settings == {}
