"""The solvers we put in place of a pipeline's own, so that any step count ends on a clean video.

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


class _StepsByList:
    """Makes a stock step go to the next timestep of the list, where it would go to `t - 1000 // n`.

    The stock step computes that quotient from the number of steps; it is told the number that gives it the
    distance to the next timestep, or to just below 0, which stands for x0.
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
        """Take the stock step, over the right distance."""
        parameters = inspect.signature(super().step)  # type: ignore[misc]
        timestep = int(parameters.bind(*args, **kwargs).arguments["timestep"])
        num_inference_steps = self.num_inference_steps
        self.num_inference_steps = Fraction(self.config.num_train_timesteps, self._distance[timestep])
        try:
            return super().step(*args, **kwargs)  # type: ignore[misc]
        finally:
            self.num_inference_steps = num_inference_steps


class ExactDDIMScheduler(_StepsByList, DDIMScheduler):  # type: ignore[misc]
    """DDIM that ends on x0 at any number of steps, and not on the noise of the first training timestep."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**{**config, "set_alpha_to_one": True})


class ExactCogVideoXDPMScheduler(_StepsByList, CogVideoXDPMScheduler):  # type: ignore[misc]
    """CogVideoX's own DPM, noise and all, that ends on x0 at any number of steps."""


class _StepsAsAsked:
    """Drops the timestep below 0 that stock `trailing` spacing adds at some step counts, 61 for one."""

    timesteps: torch.Tensor
    sigmas: torch.Tensor
    num_inference_steps: int

    def set_timesteps(self, num_inference_steps: int | None = None, *args: Any, **kwargs: Any) -> None:
        """Set exactly `num_inference_steps` timesteps, or as many as there are in other arguments."""
        super().set_timesteps(num_inference_steps, *args, **kwargs)  # type: ignore[misc]
        if num_inference_steps is not None and len(self.timesteps) > num_inference_steps:
            self.timesteps = self.timesteps[:num_inference_steps]
            self.sigmas = torch.cat([self.sigmas[:num_inference_steps], self.sigmas[-1:]])
            self.num_inference_steps = num_inference_steps


class ExactUniPCMultistepScheduler(_StepsAsAsked, UniPCMultistepScheduler):  # type: ignore[misc]
    """UniPC of exactly as many steps as asked for."""


class ExactDPMSolverMultistepScheduler(_StepsAsAsked, DPMSolverMultistepScheduler):  # type: ignore[misc]
    """DPM-Solver++ of exactly as many steps as asked for."""


_EXACT: Mapping[type, Any] = {
    CogVideoXDDIMScheduler: ExactCogVideoXDDIMScheduler,
    CogVideoXDPMScheduler: ExactCogVideoXDPMScheduler,
    DDIMScheduler: ExactDDIMScheduler,
    UniPCMultistepScheduler: ExactUniPCMultistepScheduler,
    DPMSolverMultistepScheduler: ExactDPMSolverMultistepScheduler,
}
"""Solvers that miss x0 or the number of steps at some counts, and the same ones mended."""

_DETERMINISTIC: Mapping[type, Any] = {
    **_EXACT,
    CogVideoXDPMScheduler: ExactCogVideoXDDIMScheduler,
    DDPMScheduler: ExactDDIMScheduler,
    EulerAncestralDiscreteScheduler: EulerDiscreteScheduler,
}
"""Beside those, solvers that draw noise at every step, and who walks the same noise schedule without."""

_NAMED: Mapping[str, Any] = {
    "ddim": ExactDDIMScheduler,
    "unipc": ExactUniPCMultistepScheduler,
    "dpm++": ExactDPMSolverMultistepScheduler,
    "flow-euler": FlowMatchEulerDiscreteScheduler,
}


def choose_solver(scheduler: Any, solver: str, flow_shift: float | None) -> Any:
    """Return the solver of that name on the noise schedule of a pipeline's own; `solver_rules` allows it.

    `own` is the pipeline's, mended where it stops short of x0; `auto` is that too, or one like it that draws
    no noise: otherwise a draft would not resemble the final of its seed.
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
