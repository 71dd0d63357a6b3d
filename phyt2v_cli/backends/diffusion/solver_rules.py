"""Which solvers fit a model, judged by the config of the scheduler that it was saved with.

This file must not import torch or diffusers: it serves checks that run before anything is loaded. It knows
noise schedules, and no family.
"""

from collections.abc import Mapping
from typing import Any

_DIFFUSION_CLASSES = (
    "DDIMScheduler",
    "DDPMScheduler",
    "PNDMScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "UniPCMultistepScheduler",
)
"""They describe one kind of noise schedule, by betas, in one and the same way."""


def allowed_solvers(scheduler_config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the solvers that walk the noise schedule of this config; none where it is of an unknown kind."""
    class_name = scheduler_config.get("_class_name", "")
    if class_name in ("CogVideoXDDIMScheduler", "CogVideoXDPMScheduler"):
        # The others know no such shift and would ignore it without a word.
        is_shifted = scheduler_config.get("snr_shift_scale", 3.0) != 1.0
        return ("ddim",) if is_shifted else ("ddim", "unipc", "dpm++")
    if class_name == "FlowMatchEulerDiscreteScheduler":
        # Its pipelines set the noise levels themselves, in a way that the others do not take.
        return ("flow-euler",)
    if scheduler_config.get("use_flow_sigmas"):
        return ("unipc", "dpm++", "flow-euler")
    return ("ddim", "unipc", "dpm++") if class_name in _DIFFUSION_CLASSES else ()


def has_flow_shift(scheduler_config: Mapping[str, Any]) -> bool:
    """Tell whether the noise schedule has a shift that can be set: not where it follows from the size."""
    is_flow = (
        scheduler_config.get("use_flow_sigmas")
        or scheduler_config.get("_class_name") == "FlowMatchEulerDiscreteScheduler"
    )
    by_size = scheduler_config.get("use_dynamic_shifting") or scheduler_config.get("invert_sigmas")
    return bool(is_flow and not by_size)
