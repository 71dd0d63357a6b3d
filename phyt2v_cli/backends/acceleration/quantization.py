"""FP8 quantization of the linear layers in the denoiser's blocks, for GPUs with 8-bit matrix products.

Weights are quantized once and activations at each call, both by row (torchao). So the result is approximate.
This file knows modules; it must not know prompts, rounds, families or memory.
"""

from typing import Any

import torch

from phyt2v_cli.backends.acceleration.compilation import denoisers_of, repeated_blocks
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import ConfigError

_FP8_CAPABILITY = (8, 9)
"""Smallest compute capability with 8-bit floating-point products: Ada, and later Hopper."""

_MULTIPLE = 16
"""Divisor that such a product demands of a layer's input and output features."""

_NOT_OVER_TOKENS = ("norm", "modulation", "lora")
"""Parts of names of layers that are left out: those that map the timestep, a handful of rows, to a scale for
each channel, and the low ranks of a LoRA."""


def check(config: GeneratorConfig, device: torch.device, dtype: torch.dtype) -> None:
    """Check that `config.quantize` fits the device, the dtype of the transformer and the GGUF file.

    Raises ConfigError if not.
    """
    if config.quantize == "off":
        return
    if device.type != "cuda":
        raise ConfigError("generator.quantize: fp8 needs a GPU", "Leave it off on a CPU.")
    capability = torch.cuda.get_device_capability(device)
    if capability < _FP8_CAPABILITY:
        have = ".".join(map(str, capability))
        raise ConfigError(
            f"generator.quantize: fp8 needs a GPU of compute capability 8.9 or newer, this one has {have}",
            "Leave it off.",
        )
    if dtype != torch.bfloat16:
        raise ConfigError(
            f"generator.quantize: fp8 replaces bfloat16, and this model runs in {str(dtype)[6:]}",
            "Leave it off, or use `generator.dtype=bfloat16`.",
        )
    if config.gguf is not None:
        raise ConfigError("generator.quantize: a GGUF file is quantised already", "Leave it off.")


def quantize_blocks(pipeline: Any, device: torch.device) -> None:
    """Quantize the linear layers in the blocks of a pipeline on the CPU, block by block on `device`."""
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerRow, quantize_

    # torchao's recommended compiler settings would apply to the whole process.
    config = Float8DynamicActivationFloat8WeightConfig(granularity=PerRow(), set_inductor_config=False)
    for block in repeated_blocks(denoisers_of(pipeline)):
        quantize_(block, config, filter_fn=is_over_tokens, device=device)
        block.to("cpu")


def is_over_tokens(module: torch.nn.Module, name: str) -> bool:
    return (
        isinstance(module, torch.nn.Linear)
        and not any(word in name for word in _NOT_OVER_TOKENS)
        and module.in_features % _MULTIPLE == module.out_features % _MULTIPLE == 0
    )
