"""What replaces or changes a pipeline's weights: a GGUF file for its transformer, and a LoRA.

This file knows diffusers' loaders and no family. Only GGUF and safetensors are read, which hold no code.
"""

from typing import Any

import diffusers
import torch
from diffusers.loaders import FromOriginalModelMixin

from phyt2v_cli.backends import weight_files
from phyt2v_cli.backends.model_folder import ModelFolder
from phyt2v_cli.errors import ConfigError, ModelLoadError
from phyt2v_cli.settings import GeneratorConfig

_ADAPTER = "phyt2v"


def check(config: GeneratorConfig, pipeline_class: Any, transformer_class: str | None) -> None:
    """Raise ConfigError where LoRA or GGUF cannot be loaded: package, file or loader missing."""
    lines = []
    if config.lora is not None and not hasattr(pipeline_class, "load_lora_weights"):
        lines.append(f"generator.lora: {pipeline_class.__name__} takes no LoRA; leave it out")
    if config.gguf is not None and not _reads_single_files(transformer_class):
        lines.append(f"generator.gguf: {transformer_class or 'this model'} cannot be read from a GGUF file")
    lines = lines or [*weight_files.complaints(config)]
    if lines:
        raise ConfigError("\n".join(lines))


def load_transformer(
    config: GeneratorConfig, folder: ModelFolder, transformer_class: str | None, dtype: torch.dtype
) -> dict[str, Any]:
    """Return the transformer of the GGUF file as an argument of `from_pretrained`; nothing without a file."""
    if config.gguf is None:
        return {}
    quantization = diffusers.GGUFQuantizationConfig(compute_dtype=dtype)
    transformer = getattr(diffusers, str(transformer_class)).from_single_file(
        config.gguf,
        quantization_config=quantization,
        config=folder.source,
        config_revision=folder.revision,
        subfolder="transformer",
        torch_dtype=dtype,
    )
    return {"transformer": transformer}


def add_lora(pipeline: Any, config: GeneratorConfig) -> None:
    """Load the LoRA into the pipeline at its scale; raise ModelLoadError where none of it fits."""
    if config.lora is None:
        return
    pipeline.load_lora_weights(config.lora, adapter_name=_ADAPTER, use_safetensors=True)
    if not pipeline.get_list_adapters():
        raise ModelLoadError(f"{config.lora} has no weights for this model; name the LoRA of this family.")
    pipeline.set_adapters(_ADAPTER, config.lora_scale)


def _reads_single_files(transformer_class: str | None) -> bool:
    found = getattr(diffusers, transformer_class or "", None)
    return found is not None and issubclass(found, FromOriginalModelMixin)
