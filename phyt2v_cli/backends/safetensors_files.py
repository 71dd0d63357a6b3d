"""Whether a safetensors file is whole, told by its header and its size, without reading the weights.

This file must not import torch or safetensors: it serves checks that run before anything is loaded.
"""

import json
from pathlib import Path

from phyt2v_cli.errors import ModelLoadError

_MAX_HEADER_BYTES = 100_000_000
"""As the library itself has it."""

_LFS_POINTER = b"version https://git-lfs"


def check_all(folder: Path) -> None:
    """Raise ModelLoadError for the first safetensors file in a folder that is not whole."""
    for path in sorted(folder.glob("*.safetensors")):
        if complaint := complaint_about(path):
            raise ModelLoadError(complaint)


def complaint_about(path: Path) -> str | None:
    """Return what is wrong with the file, and what to do; None where it is whole.

    Raises OSError where it cannot be read.
    """
    if not path.is_file():
        return f"{path} is no plain file. Fetch it again."
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(len(_LFS_POINTER))
        if start == _LFS_POINTER:
            return f"{path} is only a pointer of git-lfs to the weights. Fetch them with `git lfs pull`."
        header_bytes = int.from_bytes(start[:8], "little")
        if len(start) < 8 or header_bytes > min(size - 8, _MAX_HEADER_BYTES):
            return f"{path} is cut short, or no safetensors file. Fetch it again."
        file.seek(8)
        header = file.read(header_bytes)
    try:
        tensors = json.loads(header)
        ends = [entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__"]
        needed = 8 + header_bytes + max(ends, default=0)
    except (ValueError, RecursionError, AttributeError, LookupError, TypeError):
        return f"{path} is no safetensors file. Fetch it again."
    if size < needed:
        return f"{path} is cut short: {size:,} of {needed:,} bytes are there. Fetch it again."
    return None
