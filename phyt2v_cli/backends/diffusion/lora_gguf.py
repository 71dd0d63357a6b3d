"""LoRA and GGUF loading: a LoRA changes a pipeline's weights, a GGUF file replaces its transformer's.

This file knows diffusers' loaders; it must not know any family. Only GGUF and safetensors are read, which
hold no code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import diffusers
import torch
from diffusers.loaders import FromOriginalModelMixin

from phyt2v_cli.backends import failures
from phyt2v_cli.backends.checkpoints import lora_gguf_files
from phyt2v_cli.backends.checkpoints.diffusers_folder import ModelFolder
from phyt2v_cli.config.schema import GeneratorConfig
from phyt2v_cli.errors import ConfigError, ModelLoadError

_ADAPTER = "phyt2v"


def check(config: GeneratorConfig, pipeline_class: Any, transformer_class: str | None) -> None:
    """Check that the config's LoRA and GGUF can be loaded; raise ConfigError if not.

    The package, the file or a loader in diffusers may be missing.
    """
    lines = []
    if config.lora is not None and not hasattr(pipeline_class, "load_lora_weights"):
        lines.append(f"generator.lora: {pipeline_class.__name__} takes no LoRA; leave it out")
    if config.gguf is not None and not _reads_single_files(transformer_class):
        lines.append(
            f"generator.gguf: {transformer_class or 'this model'} cannot be read from one; leave it out"
        )
    lines = lines or [*lora_gguf_files.complaints(config)]
    if lines:
        raise ConfigError("\n".join(lines))


def load_transformer(
    config: GeneratorConfig, folder: ModelFolder, transformer_class: str | None, dtype: torch.dtype
) -> dict[str, Any]:
    """Load the transformer from the config's GGUF file, as an argument of `from_pretrained`.

    Empty if no file is set. Raises ModelLoadError if the file is broken or does not fit the model; an
    out-of-memory error is passed on.
    """
    if config.gguf is None:
        return {}
    quantization = diffusers.GGUFQuantizationConfig(compute_dtype=dtype)
    remedy = "Fetch it again, or name one that was made from this model."
    with _failures_translated(f"generator.gguf: {config.gguf} cannot be loaded", remedy):
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
    """Load the config's LoRA into the pipeline at its scale; do nothing if none is set.

    Raises ModelLoadError if it cannot be loaded or has no weights for this model; an out-of-memory error is
    passed on.
    """
    if config.lora is None:
        return
    what, remedy = f"generator.lora: {config.lora} does not fit this model", "Name a LoRA of this family."
    with _failures_translated(what, remedy):
        pipeline.load_lora_weights(config.lora, adapter_name=_ADAPTER, use_safetensors=True)
    if not pipeline.get_list_adapters():
        raise ModelLoadError(f"{what}: it has no weights for it.", remedy)
    pipeline.set_adapters(_ADAPTER, config.lora_scale)


@contextmanager
def _failures_translated(what: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a broken file raises any of a dozen types
        if failures.is_out_of_memory(error):
            raise
        raise ModelLoadError(f"{what}: {failures.first_line(error)}.", remedy) from error


def _reads_single_files(transformer_class: str | None) -> bool:
    found = getattr(diffusers, transformer_class or "", None)
    return found is not None and issubclass(found, FromOriginalModelMixin)
