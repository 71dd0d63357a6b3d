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
from phyt2v_cli.backends.checkpoints.lora_gguf_files import find_lora
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import ConfigError, ModelLoadError
from phyt2v_cli.quantities import count

_ADAPTER = "phyt2v"


def check(config: GeneratorConfig, pipeline_class: Any, transformer_class: str | None) -> None:
    """Check that the config's LoRA and GGUF can be loaded; raise ConfigError if not.

    The package, the file or a loader in diffusers may be missing.
    """
    lines = []
    if (config.lora or config.lora_2) and not hasattr(pipeline_class, "load_lora_weights"):
        lines.append(f"generator.lora: {pipeline_class.__name__} takes no LoRA; leave it out")
    if (config.gguf or config.gguf_2) and not _reads_single_files(transformer_class):
        lines.append(
            f"generator.gguf: {transformer_class or 'this model'} cannot be read from one; leave it out"
        )
    lines = lines or [*lora_gguf_files.complaints(config)]
    if lines:
        raise ConfigError("\n".join(lines))


def load_transformer(
    config: GeneratorConfig, folder: ModelFolder, transformer_class: str | None, dtype: torch.dtype
) -> dict[str, Any]:
    """Load the transformers from the config's GGUF files, as arguments of `from_pretrained`.

    Empty if no file is set. Raises ModelLoadError if the file is broken or does not fit the model; an
    out-of-memory error is passed on.
    """
    given = {"transformer": config.gguf, "transformer_2": config.gguf_2}
    files = {name: file for name, file in given.items() if file is not None}
    remedy = "Fetch it again, or name one that was made from this model."
    transformers = {}
    for name, file in files.items():
        with _failures_translated(
            f"generator.{name.replace('transformer', 'gguf')}: {file} cannot be loaded", remedy
        ):
            transformers[name] = getattr(diffusers, str(transformer_class)).from_single_file(
                file,
                quantization_config=diffusers.GGUFQuantizationConfig(compute_dtype=dtype),
                config=folder.source,
                config_revision=folder.revision,
                subfolder=name,
                torch_dtype=dtype,
            )
    return transformers


def add_lora(pipeline: Any, config: GeneratorConfig) -> None:
    """Load the config's LoRAs into the pipeline at their scale; do nothing if none is set.

    Raises ModelLoadError if one cannot be loaded, or if fewer than half of its weights are for this model; an
    out-of-memory error is passed on.
    """
    for field, lora in (("lora", config.lora), ("lora_2", config.lora_2)):
        if lora is None:
            continue
        into_second = {"load_into_transformer_2": True} if field == "lora_2" else {}
        what, remedy = f"generator.{field}: {lora} does not fit this model", "Name a LoRA of this family."
        with _failures_translated(what, remedy):
            pipeline.load_lora_weights(
                find_lora(lora), adapter_name=_ADAPTER, use_safetensors=True, **into_second
            )
        if not pipeline.get_list_adapters():
            raise ModelLoadError(f"{what}: it has no weights for it.", remedy)
        num_weights, left = _find_left_over(pipeline, lora, in_second=field == "lora_2")
        if 2 * len(left) > num_weights:
            raise ModelLoadError(
                f"{what}: no place for {len(left)} of its {count(num_weights, 'weight')}, {left[0]} for one.",
                remedy,
            )
    if config.lora or config.lora_2:
        pipeline.set_adapters(_ADAPTER, config.lora_scale)


def describe_misfit(pipeline: Any, config: GeneratorConfig) -> str:
    """Describe what the config's LoRAs leave out: weights without a place, or the second transformer."""
    parts = []
    for field, lora in (("lora", config.lora), ("lora_2", config.lora_2)):
        if lora is None:
            continue
        num_weights, left = _find_left_over(pipeline, lora, in_second=field == "lora_2")
        if left:
            parts.append(f"no place for {len(left)} of {count(num_weights, 'weight')}: {', '.join(left[:3])}")
    has_second = getattr(pipeline, "transformer_2", None) is not None
    for field, first, second in (("lora", config.lora, config.lora_2), ("gguf", config.gguf, config.gguf_2)):
        if has_second and (first is None) != (second is None):
            missing = f"generator.{field}" if first is None else f"generator.{field}_2"
            parts.append(f"one of two transformers goes without; name its file with {missing}")
    return "; ".join(parts)


def _find_left_over(pipeline: Any, lora: str, *, in_second: bool) -> tuple[int, list[str]]:
    """Count the weights of a loaded LoRA, and name those that no module took."""
    found = pipeline.lora_state_dict(find_lora(lora), use_safetensors=True)
    names = [name for name in (found[0] if isinstance(found, tuple) else found) if _is_weight(name)]
    taken = {
        f"{component}.{name.replace(f'.{_ADAPTER}.', '.')}"
        for component, module in pipeline.components.items()
        if isinstance(module, torch.nn.Module)
        for name, _ in module.named_parameters()
        if f".{_ADAPTER}." in name
    }
    if in_second:  # diffusers wants the names of the first in its file
        taken = {
            name.replace("transformer_2.", "transformer.", 1) for name in taken if "transformer_2." in name
        }
    return len(names), [name for name in names if name not in taken]


def _is_weight(name: str) -> bool:
    # Older forms for U-nets are renamed while they are loaded, and are not followed here.
    return name.endswith((".lora_A.weight", ".lora_B.weight"))


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
