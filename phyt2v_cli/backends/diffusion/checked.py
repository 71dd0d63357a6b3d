"""What is checked of a model and its settings before any weights are loaded.

This file knows the checks, and in which order they are made; it must not load weights.
"""

from typing import Any, NamedTuple

import torch

from phyt2v_cli.backends.acceleration import attention, quantization
from phyt2v_cli.backends.checkpoints.diffusers_folder import ModelFolder, find_model
from phyt2v_cli.backends.diffusion import lora_gguf
from phyt2v_cli.backends.diffusion.families.family import Family
from phyt2v_cli.backends.diffusion.families.table import family_of
from phyt2v_cli.backends.diffusion.family_rules import split_complaints
from phyt2v_cli.backends.diffusion.signature import choose_pipeline_class
from phyt2v_cli.backends.memory.device import choose_device, choose_second_gpu
from phyt2v_cli.config.generator import GeneratorConfig


class Checked(NamedTuple):
    """What is known of a model before its weights are loaded."""

    folder: ModelFolder
    family: Family
    pipeline_class: Any
    device: torch.device
    second_gpu: torch.device | None
    """GPU that shares each video with `device`, if any."""
    dtypes: dict[str, torch.dtype]
    """By component, with a `default`."""


def check(config: GeneratorConfig) -> Checked:
    """Check all that can be checked before the weights are loaded, with torch and diffusers at hand.

    Raises ConfigError if the family cannot make the wanted frames or sizes, the device is missing, or the
    pipeline does not take a setting; ModelLoadError if the model is missing, broken, unsafe or makes no video
    from a text.
    """
    folder = find_model(config.model, config.revision)
    family = family_of(folder.pipeline_class, folder.component_configs)
    pipeline_class = choose_pipeline_class(config, folder, family)
    device = choose_device(config.device, "generator")
    can_split = not any(split_complaints(family, config))
    second_gpu = choose_second_gpu(config.gpus, device, can_split=can_split)
    dtypes = _choose_dtypes(config, family, device.type)
    attention.check(config.attention, device)
    quantization.check(config, device, dtypes.get("transformer", dtypes["default"]))
    lora_gguf.check(
        config, pipeline_class, folder.component_configs.get("transformer", {}).get("_class_name")
    )
    return Checked(folder, family, pipeline_class, device, second_gpu, dtypes)


def _choose_dtypes(config: GeneratorConfig, family: Family, device: str) -> dict[str, torch.dtype]:
    """Dtype by component, with a `default`; float32 on a CPU, where half precision is slower."""
    if config.dtype == "auto":
        names = {"default": "float32"} if device == "cpu" else dict(family.half_dtypes)
    else:
        # Components that the family keeps in float32 stay so, whatever is chosen for the rest.
        whole = {part: name for part, name in family.half_dtypes.items() if name == "float32"}
        names = {"default": config.dtype, **whole}
    return {part: getattr(torch, name) for part, name in names.items()}
