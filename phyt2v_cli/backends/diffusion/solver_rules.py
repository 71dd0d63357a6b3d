"""Compatibility of solvers with a model, judged by the config of the scheduler it was saved with.

This file must not import torch or diffusers, because it serves checks that run before anything is loaded. It
knows noise schedules; it must not know any family.
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
"""Schedulers whose configs describe a noise schedule by betas in the same way."""


def allowed_solvers(scheduler_config: Mapping[str, Any]) -> tuple[str, ...]:
    """Solvers that fit the noise schedule of a scheduler's config; empty for an unknown kind of schedule."""
    class_name = scheduler_config.get("_class_name", "")
    if class_name in ("CogVideoXDDIMScheduler", "CogVideoXDPMScheduler"):
        # The other solvers do not support an SNR shift and would silently ignore it.
        is_shifted = scheduler_config.get("snr_shift_scale", 3.0) != 1.0
        return ("ddim",) if is_shifted else ("ddim", "unipc", "dpm++")
    if class_name == "FlowMatchEulerDiscreteScheduler":
        # Its pipelines pass their own sigmas, which the other solvers do not take.
        return ("flow-euler",)
    if scheduler_config.get("use_flow_sigmas"):
        return ("unipc", "dpm++", "flow-euler")
    return ("ddim", "unipc", "dpm++") if class_name in _DIFFUSION_CLASSES else ()


def has_flow_shift(scheduler_config: Mapping[str, Any]) -> bool:
    """Check if the noise schedule has a flow shift that can be set; False if the video's size decides it."""
    is_flow = (
        scheduler_config.get("use_flow_sigmas")
        or scheduler_config.get("_class_name") == "FlowMatchEulerDiscreteScheduler"
    )
    by_size = scheduler_config.get("use_dynamic_shifting") or scheduler_config.get("invert_sigmas")
    return bool(is_flow and not by_size)
