"""Validation of single model files: complete safetensors files, and JSON files within a size limit.

Safetensors are checked by header and file size, without reading weights. This file must not import torch or
safetensors, because it serves checks that run before anything is loaded. It must not know any library's
layout or any family.
"""

import json
import re
from pathlib import Path
from typing import Any

from phyt2v_cli.backends.checkpoints.model_config import check_sizes
from phyt2v_cli.errors import ModelLoadError
from phyt2v_cli.files.untrusted import read_plain_file
from phyt2v_cli.quantities import count

_MAX_HEADER_BYTES = 100_000_000
"""Limit of the safetensors library."""

_FETCH_IT_AGAIN = "Fetch it again."
_LFS_POINTER = b"version https://git-lfs"


def find_weights(folder: Path) -> list[Path]:
    """Paths of the safetensors files in a folder, without the ._NAME that a Mac leaves beside NAME."""
    return _find(folder, "*.safetensors")


def variant_of(folder: Path) -> str | None:
    """Variant of all weights in a folder, `fp16` or `bf16`, as in ``model.fp16.safetensors``; else None."""
    found = [re.search(r"\.(fp16|bf16)[.-]", path.name) for path in find_weights(folder)]
    variants = {match[1] if match else None for match in found}
    return variants.pop() if len(variants) == 1 else None


def check_weights(folder: Path) -> None:
    """Check the weights in a folder: what is read of them, their completeness, and what config.json asks for.

    Raises ModelLoadError for the first fault.
    """
    check_what_is_read(folder)
    weights = find_weights(folder)
    for path in weights:
        if fault := fault_of(path):
            raise fault
    config_path = folder / "config.json"
    if weights and config_path.is_file():
        num_tensors = sum(len(_read_header(path)) for path in weights)
        check_sizes(read_json(config_path), num_tensors=num_tensors, path=config_path)


def check_what_is_read(folder: Path, *, whole: bool = True) -> None:
    """Check that the weights a library would read from a folder are safetensors, by what their indexes name.

    A library reads the files that an index names, whatever else lies beside it. If the folder is `whole`,
    they must be there too. Raises ModelLoadError for the first fault.
    """
    if (folder / "adapter_config.json").exists():
        raise ModelLoadError(
            f"{folder} holds an adapter, whose base model could be anything.",
            "Merge it into its base model, and name that folder.",
        )
    for index_path in _find(folder, "*.safetensors.index*.json"):
        weight_map = read_json(index_path).get("weight_map")
        named = set(weight_map.values()) if isinstance(weight_map, dict) else set()
        for name in sorted(map(str, named)):
            if not name.endswith(".safetensors") or Path(name).name != name:
                raise ModelLoadError(
                    f"{index_path} names {name!r}, and weights are only read from *.safetensors beside it.",
                    "Fetch the model elsewhere, or convert it to safetensors.",
                )
        if whole and (missing := [name for name in named if not (folder / name).is_file()]):
            raise ModelLoadError(
                f"{folder} lacks {len(missing)} of {count(len(named), 'file')} of weights.", _FETCH_IT_AGAIN
            )


def fault_of(path: Path) -> ModelLoadError | None:
    """Check one safetensors file; return the error if it is incomplete or broken, else None.

    Raises OSError if it cannot be read.
    """
    if not path.is_file():
        return ModelLoadError(f"{path} is no plain file.", _FETCH_IT_AGAIN)
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(len(_LFS_POINTER))
    if start == _LFS_POINTER:
        return ModelLoadError(
            f"{path} is only a pointer of git-lfs to the weights.", "Fetch them with `git lfs pull`."
        )
    header_bytes = int.from_bytes(start[:8], "little")
    if len(start) < 8 or header_bytes > min(size - 8, _MAX_HEADER_BYTES):
        return ModelLoadError(f"{path} is cut short, or no safetensors file.", _FETCH_IT_AGAIN)
    try:
        ends = [tensor["data_offsets"][1] for tensor in _read_header(path).values()]
        needed = 8 + header_bytes + max(ends, default=0)
    except (ValueError, RecursionError, AttributeError, LookupError, TypeError):
        return ModelLoadError(f"{path} is no safetensors file.", _FETCH_IT_AGAIN)
    if size < needed:
        return ModelLoadError(
            f"{path} is cut short: {size:,} of {needed:,} bytes are there.", _FETCH_IT_AGAIN
        )
    return None


_MAX_BYTES = 16 * 2**20


def read_json(path: Path, max_bytes: int = _MAX_BYTES) -> dict[str, Any]:
    """Read a JSON object from a file of at most `max_bytes`.

    Raises ModelLoadError if the file is missing, larger, broken, not a plain file, or holds no object.
    """
    try:
        content = json.loads(read_plain_file(path, max_bytes))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelLoadError(f"{path} cannot be read as json: {error}.", "Fetch the model again.") from error
    if not isinstance(content, dict):
        raise ModelLoadError(f"{path} holds no json object.", "Fetch the model again.")
    return content


def _read_header(path: Path) -> dict[str, Any]:
    """Read what a safetensors file says of each of its tensors, by name."""
    with path.open("rb") as file:
        tensors: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    tensors.pop("__metadata__", None)
    return tensors


def _find(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("._"))
