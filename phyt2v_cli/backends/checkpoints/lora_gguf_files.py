"""Checks of LoRA and GGUF files, and of the packages that load them and quantize.

This file must not import torch or diffusers, because it serves checks that run before anything is loaded. It
must not know which classes can load a file; `diffusion/lora_gguf.py` does.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from phyt2v_cli.backends.checkpoints.files import fault_of
from phyt2v_cli.config.schema import GeneratorConfig
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.files.untrusted import is_hub_id, refusals_as


def complaints(config: GeneratorConfig) -> Iterator[str]:
    """Check LoRA, GGUF and quantization; yield a `field: message` line for each bad file or missing package.

    Raises ConfigError if the operating system refuses access to a path.
    """
    if config.quantize != "off" and find_spec("torchao") is None:
        yield "generator.quantize: it needs the package torchao; pip install 'phyt2v[fp8]'"
    if config.lora is not None:
        with refusals_as(ConfigError, config.lora, prefix="generator.lora: "):
            yield from _complaints_about_lora(config.lora)
    if config.gguf is not None:
        with refusals_as(ConfigError, config.gguf, prefix="generator.gguf: "):
            if find_spec("gguf") is None:
                yield "generator.gguf: it needs the package gguf; pip install 'phyt2v[gguf]'"
            elif not Path(config.gguf).is_file():
                yield f"generator.gguf: there is no file {config.gguf}"


def _complaints_about_lora(lora: str) -> Iterator[str]:
    path = Path(lora)
    if find_spec("peft") is None:
        yield "generator.lora: it needs the package peft; pip install 'phyt2v[lora]'"
    elif path.is_dir() and not list(path.glob("*.safetensors")):
        yield f"generator.lora: {path} has no *.safetensors in it; name the folder or the file of a LoRA"
    elif path.suffix and path.is_file() and path.suffix != ".safetensors":
        yield f"generator.lora: {path} is no *.safetensors; other formats can run code when loaded"
    elif path.is_file() and (fault := fault_of(path)):
        yield f"generator.lora: {fault.message} {fault.hint}"
    elif not path.exists() and not is_hub_id(lora):
        yield f"generator.lora: there is no {path}; give a file, a folder or a hub id"
