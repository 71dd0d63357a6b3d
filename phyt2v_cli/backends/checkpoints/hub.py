"""Hub downloads and the local cache of models, with errors that say how to get a missing model.

Knows huggingface_hub and the sizes of models. It must not import torch or validate a model's files.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from phyt2v_cli.backends import network
from phyt2v_cli.backends.checkpoints.sizes import size_of
from phyt2v_cli.config.presets import preset_of_model
from phyt2v_cli.errors import ModelLoadError


def find_snapshot(hub_id: str, revision: str | None = None) -> Path | None:
    """Find a pipeline's folder in the local cache, complete or not; None if it has no model_index.json.

    `revision` is a branch, tag or commit, here and below; None is the main branch.
    """
    from huggingface_hub import try_to_load_from_cache

    index_path = try_to_load_from_cache(hub_id, "model_index.json", revision=revision)
    return Path(index_path).parent if isinstance(index_path, str) else None


def fetch_files(
    hub_id: str, allow: Sequence[str], ignore: Sequence[str] = (), *, revision: str | None = None
) -> Path:
    """Fetch the missing files that match `allow` but not `ignore`, and return their folder.

    An interrupted download is resumed. huggingface_hub shows its progress on stderr. Raises ModelLoadError if
    the hub cannot be reached or refuses, even if older files are cached, since those may be half a model; and
    if the cache cannot be written.
    """
    from huggingface_hub import HfApi, snapshot_download

    with _hub_errors(hub_id):
        # Without it, the next line would accept whatever is in the cache.
        HfApi().model_info(hub_id, revision=revision)
        folder = snapshot_download(
            hub_id, revision=revision, allow_patterns=list(allow), ignore_patterns=list(ignore)
        )
        return Path(folder)


def fetch(hub_id: str, patterns: Sequence[str]) -> Path:
    """Fetch the matching files of a model's newest revision; return their folder, named by the commit.

    If the hub cannot be reached, cached files are used. Raises ModelLoadError if the model does not exist,
    the hub refuses, or it is unreachable and nothing is cached.
    """
    from huggingface_hub import snapshot_download

    with _hub_errors(hub_id):
        return Path(snapshot_download(hub_id, allow_patterns=list(patterns)))


@contextmanager
def _hub_errors(hub_id: str) -> Iterator[None]:
    """Raise ModelLoadError for whatever huggingface_hub raises inside the block."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        raise ModelLoadError(
            f"{hub_id} asks for your consent.",
            "Accept its terms on the hub, log in with `hf auth login`, and fetch it again.",
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelLoadError(
            f"{hub_id} is neither a folder here nor a model on the hub (or it needs a login).",
            "Check the name.",
        ) from error
    except RevisionNotFoundError as error:
        raise ModelLoadError(
            f"{hub_id} has no such branch, tag or commit.", "Check `generator.revision`."
        ) from error
    except LocalEntryNotFoundError as error:
        raise unreachable(hub_id) from error
    except HfHubHTTPError as error:
        raise ModelLoadError(f"The hub refuses {hub_id}: {str(error).strip().splitlines()[0]}") from error
    except Exception as error:  # of the file system, or of whichever HTTP library this huggingface_hub uses
        if broken := next(network.complaints(constants.ENDPOINT), None):
            raise ModelLoadError(f"{hub_id} cannot be fetched.", broken) from error
        if isinstance(error, OSError) and error.errno is not None:
            raise ModelLoadError(
                f"{hub_id} cannot be written into the local cache: {error.strerror}.",
                "Fix that, or choose another disk with HF_HOME, and fetch it again; it resumes.",
            ) from error
        raise unreachable(hub_id) from error


def unreachable(hub_id: str) -> ModelLoadError:
    """Error for a model that is not cached if the hub is unreachable; its hint tells how to fetch it."""
    size, preset = size_of(hub_id), preset_of_model(hub_id)
    how_big = f"It is about {size.download_gb:.0f} GB; fetch" if size else "Fetch"
    command = f'`fetch_model("{hub_id}")`' if preset else f"`hf download {hub_id}`"
    return ModelLoadError(
        f"{hub_id} is not a folder here, not whole in the local cache, and the hub cannot be reached.",
        f"{how_big} it where there is a network with {command}, or give a local folder.",
    )
