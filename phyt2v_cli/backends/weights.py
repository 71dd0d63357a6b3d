"""What replaces or changes a pipeline's weights: a GGUF file for its transformer, and a LoRA.

This file knows diffusers' loaders and no family. Only GGUF and safetensors are read, which hold no code.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.loaders import FromOriginalModelMixin

from phyt2v_cli.errors import ConfigError, ModelLoadError
from phyt2v_cli.settings import GeneratorConfig

_ADAPTER = "phyt2v"


def check(config: GeneratorConfig, pipeline_class: Any, transformer_class: str | None) -> None:
    """Raise ConfigError where LoRA or GGUF cannot be loaded: package, file or loader missing."""
    lines = []
    if config.lora is not None:
        path = Path(config.lora)
        if not hasattr(pipeline_class, "load_lora_weights"):
            lines.append(f"generator.lora: {pipeline_class.__name__} takes no LoRA; leave it out")
        elif find_spec("peft") is None:
            lines.append("generator.lora: it needs the package peft; pip install 'phyt2v[lora]'")
        elif path.is_dir() and not list(path.glob("*.safetensors")):
            lines.append(f"generator.lora: {path} has no *.safetensors in it")
        elif path.suffix and path.is_file() and path.suffix != ".safetensors":
            lines.append(
                f"generator.lora: {path} is no *.safetensors; other formats can run code when loaded"
            )
        elif not path.exists() and config.lora.count("/") != 1:
            lines.append(f"generator.lora: there is no {path}; give a file, a folder or a hub id")
    if config.gguf is not None:
        if not _reads_single_files(transformer_class):
            lines.append(
                f"generator.gguf: {transformer_class or 'this model'} cannot be read from a GGUF file"
            )
        elif find_spec("gguf") is None:
            lines.append("generator.gguf: it needs the package gguf; pip install 'phyt2v[gguf]'")
        elif not Path(config.gguf).is_file():
            lines.append(f"generator.gguf: there is no file {config.gguf}")
    if lines:
        raise ConfigError("\n".join(lines))


def load_transformer(
    config: GeneratorConfig, source: str, transformer_class: str | None, dtype: torch.dtype
) -> dict[str, Any]:
    """Return the transformer of the GGUF file as an argument of `from_pretrained`; nothing without a file."""
    if config.gguf is None:
        return {}
    quantization = diffusers.GGUFQuantizationConfig(compute_dtype=dtype)
    transformer = getattr(diffusers, str(transformer_class)).from_single_file(
        config.gguf,
        quantization_config=quantization,
        config=source,
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
