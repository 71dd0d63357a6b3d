"""Checks of LoRA and GGUF files, and of the packages that load them and quantize.

This file must not import torch or diffusers, because it serves checks that run before anything is loaded. It
must not know which classes can load a file; `diffusion/lora_gguf.py` does.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from phyt2v_cli.backends.checkpoints.files import fault_of, find_weights
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.files.untrusted import is_hub_id, refusals_as


def complaints(config: GeneratorConfig) -> Iterator[str]:
    """Check LoRA, GGUF and quantization; yield a `field: message` line for each bad file or missing package.

    Raises ConfigError if the operating system refuses access to a path.
    """
    if config.quantize != "off" and find_spec("torchao") is None:
        yield "generator.quantize: it needs the package torchao; pip install 'phyt2v[fp8]'"
    for field, lora in (("lora", config.lora), ("lora_2", config.lora_2)):
        if lora is not None:
            with refusals_as(ConfigError, lora, prefix=f"generator.{field}: "):
                yield from (f"generator.{field}: {fault}" for fault in _faults_of_lora(lora))
    for field, gguf in (("gguf", config.gguf), ("gguf_2", config.gguf_2)):
        if gguf is not None:
            with refusals_as(ConfigError, gguf, prefix=f"generator.{field}: "):
                if find_spec("gguf") is None:
                    yield f"generator.{field}: it needs the package gguf; pip install 'phyt2v[gguf]'"
                elif not Path(gguf).is_file():
                    yield f"generator.{field}: there is no file {gguf}"


def find_lora(lora: str) -> str:
    """Path of the only weights in a folder; a file or a hub id as it is."""
    found = find_weights(Path(lora))
    return str(found[0]) if found else lora


def _faults_of_lora(lora: str) -> Iterator[str]:
    path = Path(lora)
    weights = find_weights(path)
    if find_spec("peft") is None:
        yield "it needs the package peft; pip install 'phyt2v[lora]'"
    elif path.is_dir() and not weights:
        yield f"{path} has no *.safetensors in it; name the folder or the file of a LoRA"
    elif weights[1:]:
        names = ", ".join(found.name for found in weights[:3])
        yield f"{path} has {len(weights)} files of weights ({names}); name one of them"
    elif path.suffix and path.is_file() and path.suffix != ".safetensors":
        yield f"{path} is no *.safetensors; other formats can run code when loaded"
    elif (file := weights[0] if weights else path).is_file() and (fault := fault_of(file)):
        yield f"{fault.message} {fault.hint}"
    elif not path.exists() and not is_hub_id(lora):
        yield f"there is no {path}; give a file, a folder or a hub id"
