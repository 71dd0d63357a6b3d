"""Matrix products of the denoiser's blocks in 8-bit floating point: faster where a GPU has them.

Weights are quantised once, activations as they come, both by row (torchao); so it is not exact. This
file knows modules; it must not know prompts, rounds, families or memory.
"""

from typing import Any

import torch

from phyt2v_cli.backends.acceleration.compilation import repeated_blocks
from phyt2v_cli.config.schema import GeneratorConfig
from phyt2v_cli.errors import ConfigError

_FP8_CAPABILITY = (8, 9)
"""The first GPUs with products of 8-bit floating-point numbers: Ada and Hopper."""

_MULTIPLE = 16
"""Rows and columns that such a product takes."""

_NOT_OVER_TOKENS = ("norm", "modulation", "lora")
"""What computes a scale for each channel from the time, a handful of rows, and the low ranks of a LoRA."""


def check(config: GeneratorConfig, device: torch.device, dtype: torch.dtype) -> None:
    """Raise ConfigError where `config.quantize` needs another device or dtype, or cannot be with a GGUF."""
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
    """Quantise the linear layers of a pipeline that is on the CPU, block by block on `device`."""
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerRow, quantize_

    # its recommended settings of the compiler would be set for the whole process
    config = Float8DynamicActivationFloat8WeightConfig(granularity=PerRow(), set_inductor_config=False)
    for block in repeated_blocks(pipeline):
        quantize_(block, config, filter_fn=_is_over_tokens, device=device)
        block.to("cpu")


def _is_over_tokens(module: torch.nn.Module, name: str) -> bool:
    return (
        isinstance(module, torch.nn.Linear)
        and not any(word in name for word in _NOT_OVER_TOKENS)
        and module.in_features % _MULTIPLE == module.out_features % _MULTIPLE == 0
    )
