"""Fetch single files of a model on the hub, or find them in its cache. Knows no layout and no role."""

import re
from collections.abc import Sequence
from pathlib import Path

from phyt2v_cli.errors import ModelLoadError


def is_hub_id(model: str) -> bool:
    """Return whether a text can name a model on the hub."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", model) is not None


def fetch(hub_id: str, patterns: Sequence[str]) -> Path:
    """Return the folder of a model's newest revision, named by its commit, with the matching files in it.

    Raises ModelLoadError where there is no such model, or no way to it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(patterns)))
    except RepositoryNotFoundError as error:
        raise ModelLoadError(
            f"{hub_id} is neither a folder here nor a model on the hub (or it needs a login). Check the name."
        ) from error
    except LocalEntryNotFoundError as error:
        raise ModelLoadError(
            f"{hub_id} is not a folder here, not in the local cache, and the hub cannot be reached. "
            f"Fetch it where there is a network with `hf download {hub_id}`, or give a local folder."
        ) from error
    except HfHubHTTPError as error:
        raise ModelLoadError(f"The hub refuses {hub_id}: {str(error).strip().splitlines()[0]}") from error
