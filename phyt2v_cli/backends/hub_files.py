"""Single files of a model on the hub, fetched where it can be reached and else found in the cache.

Knows no layout and no role.
"""

from collections.abc import Sequence
from pathlib import Path

from phyt2v_cli.backends.hub_cache import unreachable
from phyt2v_cli.errors import ModelLoadError


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
        raise unreachable(hub_id) from error
    except HfHubHTTPError as error:
        raise ModelLoadError(f"The hub refuses {hub_id}: {str(error).strip().splitlines()[0]}") from error
