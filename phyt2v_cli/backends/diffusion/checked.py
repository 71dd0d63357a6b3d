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
from phyt2v_cli.backends.diffusion.family_rules import most_gpus, num_split_branches, split_complaints
from phyt2v_cli.backends.diffusion.several_gpus import Sharing
from phyt2v_cli.backends.diffusion.signature import choose_pipeline_class
from phyt2v_cli.backends.memory.device import choose_device, choose_other_gpus
from phyt2v_cli.config.generator import GeneratorConfig


class Checked(NamedTuple):
    """What is known of a model before its weights are loaded."""

    folder: ModelFolder
    family: Family
    pipeline_class: Any
    device: torch.device
    sharing: Sharing
    """GPUs that share each video with `device`."""
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
    most = 1 if any(split_complaints(family, config)) else most_gpus(family, config)
    others = choose_other_gpus(config.gpus, device, most=most)
    branches = num_split_branches(family, config) if len(others) % 2 else 1
    dtypes = _choose_dtypes(config, family, device.type)
    attention.check(config.attention, device)
    quantization.check(config, device, dtypes.get("transformer", dtypes["default"]))
    lora_gguf.check(
        config, pipeline_class, folder.component_configs.get("transformer", {}).get("_class_name")
    )
    return Checked(folder, family, pipeline_class, device, Sharing(others, branches), dtypes)


def _choose_dtypes(config: GeneratorConfig, family: Family, device: str) -> dict[str, torch.dtype]:
    """Dtype by component, with a `default`; float32 on a CPU, where half precision is slower."""
    if config.dtype == "auto":
        names = {"default": "float32"} if device == "cpu" else dict(family.half_dtypes)
    else:
        # Components that the family keeps in float32 stay so, whatever is chosen for the rest.
        whole = {part: name for part, name in family.half_dtypes.items() if name == "float32"}
        names = {"default": config.dtype, **whole}
    return {part: getattr(torch, name) for part, name in names.items()}
