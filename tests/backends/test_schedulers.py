"""Any step count lands on x0."""

import pytest
import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler, FlowMatchEulerDiscreteScheduler

from phyt2v_cli.backends.schedulers import ExactCogVideoXDDIMScheduler, exact_and_deterministic

COGVIDEOX_2B = {
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "snr_shift_scale": 3.0,
}
COGVIDEOX_5B = {**COGVIDEOX_2B, "snr_shift_scale": 1.0}


def _residual(scheduler, num_inference_steps):
    """Denoise with a model that knows x0 exactly; return the rms distance to x0 at the end."""
    x0, sample = torch.randn(2, 4096, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scheduler.set_timesteps(num_inference_steps)
    for t in scheduler.timesteps:
        alpha, sigma = scheduler.alphas_cumprod[t] ** 0.5, (1 - scheduler.alphas_cumprod[t]) ** 0.5
        noise = (sample - alpha * x0) / sigma
        sample = scheduler.step(alpha * noise - sigma * x0, t, sample, return_dict=False)[0]
    return float((sample - x0).square().mean().sqrt())


@pytest.mark.parametrize("config", [COGVIDEOX_2B, COGVIDEOX_5B], ids=["2b", "5b"])
def test_every_step_count_lands_on_x0(config):
    scheduler = ExactCogVideoXDDIMScheduler(**config)
    for num_inference_steps in [*range(1, 101), 333, 999, 1000]:
        assert _residual(scheduler, num_inference_steps) < 1e-9, num_inference_steps
        assert len(scheduler.timesteps) == num_inference_steps
        assert scheduler.timesteps.min() >= 0


@pytest.mark.parametrize("spacing", ["leading", "linspace"])
def test_other_spacings_land_on_x0(spacing):
    scheduler = ExactCogVideoXDDIMScheduler(**{**COGVIDEOX_5B, "timestep_spacing": spacing})
    for num_inference_steps in range(2, 101):
        assert _residual(scheduler, num_inference_steps) < 1e-9, num_inference_steps


def test_stock_still_has_the_flaw():
    """When this fails, upstream has mended it and our class may go."""
    stock = CogVideoXDDIMScheduler(**COGVIDEOX_5B)
    for num_inference_steps in (28, 35):
        assert _residual(stock, num_inference_steps) == pytest.approx(0.033, abs=0.003)
    stock.set_timesteps(61)
    assert len(stock.timesteps) == 62


@pytest.mark.parametrize("num_inference_steps", [1, 2, 10, 20, 40, 50, 100])
@pytest.mark.parametrize("prediction_type", ["v_prediction", "epsilon", "sample"])
def test_bit_equal_to_stock_where_stock_is_right(num_inference_steps, prediction_type):
    config = {**COGVIDEOX_5B, "prediction_type": prediction_type, "rescale_betas_zero_snr": False}
    stock, exact = CogVideoXDDIMScheduler(**config), ExactCogVideoXDDIMScheduler(**config)
    generator = torch.Generator().manual_seed(0)
    stock.set_timesteps(num_inference_steps)
    exact.set_timesteps(num_inference_steps)
    assert torch.equal(stock.timesteps, exact.timesteps)
    for t in stock.timesteps:
        output, sample = torch.randn(2, 64, generator=generator)
        expected = stock.step(output, t, sample, return_dict=False)
        for ours, theirs in zip(exact.step(output, t, sample), expected, strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("stock_class", [CogVideoXDDIMScheduler, CogVideoXDPMScheduler])
def test_cogvideox_solvers_are_replaced_with_their_config(stock_class):
    stock = stock_class(**COGVIDEOX_2B)
    ours = exact_and_deterministic(stock)
    assert type(ours) is ExactCogVideoXDDIMScheduler
    assert torch.equal(ours.alphas_cumprod, stock.alphas_cumprod)


def test_other_solvers_stay():
    scheduler = FlowMatchEulerDiscreteScheduler()
    assert exact_and_deterministic(scheduler) is scheduler
