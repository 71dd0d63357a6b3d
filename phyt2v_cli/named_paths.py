"""Paths and models as somebody else names them: on the command line, in a config, in a stranger's run.

It must not know which option or role named one, nor what should lie there.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phyt2v_cli.errors import Phyt2vError

_MAX_SHOWN_CHARS = 200


def expand(name: str) -> Path:
    """Return the path that a name means, with `~`; the home of nobody stays as it is, and is not there."""
    try:
        return Path(os.path.expanduser(name))  # noqa: PTH111  a Path raises where there is no such user
    except ValueError:  # characters that no user's name can have
        return Path(name)


def is_hub_id(name: str) -> bool:
    """Return whether a name could be that of a model on the hub; no other is ever asked for there."""
    if re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name) is None:
        return False
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # is in its docs

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


@contextmanager
def refusals_as(error: type[Phyt2vError], name: str | Path, *, prefix: str = "") -> Iterator[None]:
    """Raise `error`, naming the path, for whatever the operating system refuses inside the block.

    A name that is too long, links in a circle and a closed folder on the way make even the question whether
    a file is there fail. `prefix` comes before the message, as in `generator.image: `.
    """
    try:
        yield
    except OSError as refusal:
        reason = refusal.strerror or str(refusal)
        raise error(
            f"{prefix}{_short(name)} cannot be used: {reason}. Mend that, or name another."
        ) from refusal


def _short(name: str | Path) -> str:
    text = str(name)
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[: _MAX_SHOWN_CHARS - 1]}…"
