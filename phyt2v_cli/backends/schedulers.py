"""The solvers we put in place of a pipeline's own, so that any step count ends on a clean, repeatable video.

This file knows noise schedules. It must not know prompts, sizes, configs or how a pipeline is loaded.
"""

from typing import Any

import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    DDIMScheduler,
    DDPMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
)


class ExactCogVideoXDDIMScheduler(CogVideoXDDIMScheduler):  # type: ignore[misc]
    """CogVideoX's DDIM whose steps follow its own list of timesteps, down to x0.

    The stock class steps to `t - 1000 // n`. Where 1000/n is no integer that drifts off the list, and where
    its fraction is 0.5 or more the last step stops short of x0: 0.033 rms of noise stays at 28 and 35 steps.
    At 61 steps it also returns 62 timesteps, the last of them -1. Upstream's fix (diffusers PR 13125) was
    closed unmerged. Where n divides 1000 the results are equal to stock, bit for bit.
    """

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Set exactly `num_inference_steps` timesteps."""
        super().set_timesteps(num_inference_steps, device)
        self.timesteps: torch.Tensor = self.timesteps[:num_inference_steps]
        timesteps = self.timesteps.tolist()
        self._previous_timestep = dict(zip(timesteps, [*timesteps[1:], -1], strict=True))

    def step(
        self,
        model_output: torch.Tensor,
        timestep: int,
        sample: torch.Tensor,
        return_dict: bool = False,  # noqa: ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the sample at the next timestep of the list, and the x0 that the model predicts now.

        DDIM, arXiv 2010.02502, formula 12 with eta 0. Always a tuple: pipelines ask for one.
        """
        previous_timestep = self._previous_timestep[int(timestep)]
        alpha_prod = self.alphas_cumprod[timestep]
        previous_alpha_prod = (
            self.alphas_cumprod[previous_timestep] if previous_timestep >= 0 else self.final_alpha_cumprod
        )

        x0 = self._predict_x0(model_output, sample, alpha_prod)
        sample_weight = ((1 - previous_alpha_prod) / (1 - alpha_prod)) ** 0.5
        x0_weight = previous_alpha_prod**0.5 - alpha_prod**0.5 * sample_weight
        return sample_weight * sample + x0_weight * x0, x0

    def _predict_x0(
        self, model_output: torch.Tensor, sample: torch.Tensor, alpha_prod: torch.Tensor
    ) -> torch.Tensor:
        match self.config.prediction_type:
            case "v_prediction":
                return (alpha_prod**0.5) * sample - ((1 - alpha_prod) ** 0.5) * model_output
            case "epsilon":
                return (sample - (1 - alpha_prod) ** 0.5 * model_output) / alpha_prod**0.5
            case "sample":
                return model_output
            case other:
                raise ValueError(f"unknown prediction_type {other!r}")


_DETERMINISTIC = {
    CogVideoXDDIMScheduler: ExactCogVideoXDDIMScheduler,
    CogVideoXDPMScheduler: ExactCogVideoXDDIMScheduler,
    DDPMScheduler: DDIMScheduler,
    EulerAncestralDiscreteScheduler: EulerDiscreteScheduler,
}
"""Solvers that draw noise at every step, or stop short of x0, and who walks the same noise schedule without."""


def exact_and_deterministic(scheduler: Any) -> Any:
    """Return the solver to use in place of a pipeline's own; most are returned as they are.

    Where noise is drawn at every step a draft would not resemble the final of its seed.
    """
    replacement = _DETERMINISTIC.get(type(scheduler))
    return scheduler if replacement is None else replacement.from_config(scheduler.config)
