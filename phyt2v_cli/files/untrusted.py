"""Files, text and paths that anybody may have made: read within limits, shown without harm, named with care.

Knows no format, and not which option or role named a path.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phyt2v_cli.errors import Phyt2vError


def read_plain_file(path: Path, max_bytes: int) -> bytes:
    """Return the content of a plain file.

    Raises ValueError where it is a folder, a pipe or a device, which could block for ever, or larger than
    `max_bytes`; OSError where the operating system refuses.
    """
    # O_NONBLOCK: opening a pipe that nobody writes to would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a plain file")
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"it is larger than {max_bytes // 1024:,} KiB")
    return content


# C0 and C1 controls but for tab and newline, line separators, bidirectional controls and lone surrogates:
# what could drive a terminal, reorder a line, or not be printed at all.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Return `text` with everything that could drive a terminal written out, as in ``\\x1b``."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


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
            f"{prefix}{_short(name)} cannot be used: {reason}.", "Mend that, or name another."
        ) from refusal


def _short(name: str | Path) -> str:
    text = str(name)
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[: _MAX_SHOWN_CHARS - 1]}…"
