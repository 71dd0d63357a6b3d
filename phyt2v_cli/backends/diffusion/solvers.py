"""Solvers that replace a pipeline's own scheduler, so that any step count ends on a clean video.

This file knows noise schedules. It must not know prompts, sizes, configs or how a pipeline is loaded.
"""

import inspect
from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)


class ExactCogVideoXDDIMScheduler(CogVideoXDDIMScheduler):  # type: ignore[misc]
    """DDIM of CogVideoX whose steps follow its own list of timesteps, down to x0.

    The stock class steps to `t - 1000 // n`. If 1000 / n is not an integer, that drifts off the list. If its
    fraction is 0.5 or more, the last step stops short of x0: 0.033 rms of noise remains at 28 and 35 steps.
    At 61 steps the stock class also makes 62 timesteps, the last of them -1. Upstream's fix (diffusers PR
    13125) was closed unmerged. If n divides 1000, the results equal the stock class bit for bit.
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
        """Step to the next timestep of the list; return the sample there and the predicted x0.

        DDIM, arXiv 2010.02502, formula 12 with eta 0. All tensors have the shape of the latents. Always
        returns a tuple, since pipelines ask for one. Raises ValueError for an unknown prediction type.
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


class _StepsByList:
    """Mixin that makes a stock step go to the next timestep of the list instead of `t - 1000 // n`.

    The stock step computes that quotient from the number of steps. It is given the number whose quotient is
    the distance to the next timestep, or to -1, which stands for x0.
    """

    config: Any
    num_inference_steps: Any

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Set exactly `num_inference_steps` timesteps."""
        super().set_timesteps(num_inference_steps, device)  # type: ignore[misc]
        self.timesteps: torch.Tensor = self.timesteps[:num_inference_steps]
        timesteps = self.timesteps.tolist()
        self._distance = {t: t - following for t, following in pairwise([*timesteps, -1])}

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """Take the stock step over the distance to the next timestep of the list."""
        parameters = inspect.signature(super().step)  # type: ignore[misc]
        timestep = int(parameters.bind(*args, **kwargs).arguments["timestep"])
        num_inference_steps = self.num_inference_steps
        self.num_inference_steps = Fraction(self.config.num_train_timesteps, self._distance[timestep])
        try:
            return super().step(*args, **kwargs)  # type: ignore[misc]
        finally:
            self.num_inference_steps = num_inference_steps


class ExactDDIMScheduler(_StepsByList, DDIMScheduler):  # type: ignore[misc]
    """DDIM that ends on x0 at any number of steps, instead of at the noise of the first training timestep."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**{**config, "set_alpha_to_one": True})


class ExactCogVideoXDPMScheduler(_StepsByList, CogVideoXDPMScheduler):  # type: ignore[misc]
    """DPM solver of CogVideoX, with its noise, that ends on x0 at any number of steps."""


class _StepsAsAsked:
    """Mixin that drops the timestep below 0 of stock `trailing` spacing at some step counts, such as 61."""

    timesteps: torch.Tensor
    sigmas: torch.Tensor
    num_inference_steps: int

    def set_timesteps(self, num_inference_steps: int | None = None, *args: Any, **kwargs: Any) -> None:
        """Set exactly `num_inference_steps` timesteps; if it is None, those of the other arguments."""
        super().set_timesteps(num_inference_steps, *args, **kwargs)  # type: ignore[misc]
        if num_inference_steps is not None and len(self.timesteps) > num_inference_steps:
            self.timesteps = self.timesteps[:num_inference_steps]
            self.sigmas = torch.cat([self.sigmas[:num_inference_steps], self.sigmas[-1:]])
            self.num_inference_steps = num_inference_steps


class ExactUniPCMultistepScheduler(_StepsAsAsked, UniPCMultistepScheduler):  # type: ignore[misc]
    """UniPC with exactly `num_inference_steps` steps."""


class ExactDPMSolverMultistepScheduler(_StepsAsAsked, DPMSolverMultistepScheduler):  # type: ignore[misc]
    """DPM-Solver++ with exactly `num_inference_steps` steps."""


_EXACT: Mapping[type, Any] = {
    CogVideoXDDIMScheduler: ExactCogVideoXDDIMScheduler,
    CogVideoXDPMScheduler: ExactCogVideoXDPMScheduler,
    DDIMScheduler: ExactDDIMScheduler,
    UniPCMultistepScheduler: ExactUniPCMultistepScheduler,
    DPMSolverMultistepScheduler: ExactDPMSolverMultistepScheduler,
}
"""Fixed versions of solvers that miss x0 or the number of steps at some step counts."""

_DETERMINISTIC: Mapping[type, Any] = {
    **_EXACT,
    CogVideoXDPMScheduler: ExactCogVideoXDDIMScheduler,
    DDPMScheduler: ExactDDIMScheduler,
    EulerAncestralDiscreteScheduler: EulerDiscreteScheduler,
}
"""As `_EXACT`; and for each solver that draws noise, a deterministic one on the same noise schedule."""

_NAMED: Mapping[str, Any] = {
    "ddim": ExactDDIMScheduler,
    "unipc": ExactUniPCMultistepScheduler,
    "dpm++": ExactDPMSolverMultistepScheduler,
    "flow-euler": FlowMatchEulerDiscreteScheduler,
}


def choose_solver(scheduler: Any, solver: str, flow_shift: float | None) -> Any:
    """Make the solver called `solver` on the noise schedule of the pipeline's own `scheduler`.

    `own` is the pipeline's solver, fixed if it misses x0 or the number of steps at some step counts. `auto`
    is the same, or a deterministic solver in place of one that draws noise; with noise a draft would not
    resemble the final of its seed. Other names and `flow_shift` must be allowed by `solver_rules`.
    """
    if flow_shift is not None:
        name = "shift" if isinstance(scheduler, FlowMatchEulerDiscreteScheduler) else "flow_shift"
        scheduler = type(scheduler).from_config(scheduler.config, **{name: flow_shift})
    if solver in ("auto", "own"):
        chosen = (_DETERMINISTIC if solver == "auto" else _EXACT).get(type(scheduler))
        return scheduler if chosen is None else chosen.from_config(scheduler.config)
    is_cogvideox = isinstance(scheduler, CogVideoXDDIMScheduler | CogVideoXDPMScheduler)
    chosen = ExactCogVideoXDDIMScheduler if is_cogvideox and solver == "ddim" else _NAMED[solver]
    changes: dict[str, object] = {}
    if solver in ("unipc", "dpm++"):
        changes = {"final_sigmas_type": "zero"}
    if solver == "flow-euler" and not isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        changes = {"shift": scheduler.config.flow_shift}
    return chosen.from_config(scheduler.config, **changes)
