"""Read the JSON files of a model from anywhere: plain files of a sane size, holding an object.

It must not know any library, layout or family.
"""

import json
from pathlib import Path
from typing import Any

from phyt2v_cli.errors import ModelLoadError
from phyt2v_cli.plain_files import read_plain_file

_MAX_BYTES = 16 * 2**20


def read_json(path: Path, max_bytes: int = _MAX_BYTES) -> dict[str, Any]:
    """Return the object that a file holds; raise ModelLoadError where it is huge, broken or no plain file."""
    try:
        content = json.loads(read_plain_file(path, max_bytes))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelLoadError(f"{path} cannot be read as json: {error}. Fetch the model again.") from error
    if not isinstance(content, dict):
        raise ModelLoadError(f"{path} holds no json object. Fetch the model again.")
    return content
