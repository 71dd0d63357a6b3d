"""Untrusted files, text and paths: read within limits, shown without control characters, named in errors.

Knows no format, and not which option or role named a path.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from phyt2v_cli.errors import Phyt2vError

_CHUNK_BYTES = 2**16


def read_up_to(file: BinaryIO, num_bytes: int) -> bytes:
    """Read up to `num_bytes` bytes, and take no more memory than there is to read.

    One call of `read` would allocate all of `num_bytes` first. It raises what that does.
    """
    chunks: list[bytes] = []
    while num_bytes > 0 and (chunk := file.read(min(num_bytes, _CHUNK_BYTES))):
        chunks.append(chunk)
        num_bytes -= len(chunk)
    return b"".join(chunks)


def read_plain_file(path: Path, max_bytes: int) -> bytes:
    """Read a plain file of at most `max_bytes` bytes.

    Raises ValueError if it is larger, or if it is a folder, a pipe or a device, which could block for ever;
    OSError if the operating system refuses.
    """
    content = read_start(path, max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"it is larger than {max_bytes // 1024:,} KiB")
    return content


def read_start(path: Path, num_bytes: int) -> bytes:
    """Read up to the first `num_bytes` bytes of a plain file; raises as `read_plain_file` does otherwise."""
    with open_plain_file(path) as file:
        return read_up_to(file, num_bytes)


@contextmanager
def open_plain_file(path: Path) -> Iterator[BinaryIO]:
    """Open a plain file for reading; raises ValueError if it is none, OSError if it cannot be opened."""
    # O_NONBLOCK: opening a pipe that nobody writes to would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a plain file")
        yield file


# C0 and C1 controls except tab and newline, line separators, bidirectional controls and lone surrogates:
# they could control a terminal, reorder a line, or not be printed at all.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Escape everything in `text` that could control a terminal, as in ``\\x1b``."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


_MAX_SHOWN_CHARS = 200


def expand(name: str) -> Path:
    """Expand `~` in a path. The home of an unknown user is left as it is, and does not exist."""
    try:
        return Path(os.path.expanduser(name))  # noqa: PTH111  a Path raises if there is no such user
    except ValueError:  # characters that a user name cannot have
        return Path(name)


def is_hub_id(name: str) -> bool:
    """Check if a name could be a model id of the hub. Only such names are ever looked up there."""
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
    """Translate an OSError inside the block into `error`, with the path in the message.

    Even checking that a file exists fails for a name that is too long, links in a circle, or a closed folder
    on the way. `prefix` comes before the message, as in `generator.image: `.
    """
    try:
        yield
    except OSError as refusal:
        reason = refusal.strerror or str(refusal)
        raise error(
            f"{prefix}{_short(name)} cannot be used: {reason}.", "Fix that, or name another."
        ) from refusal


def _short(name: str | Path) -> str:
    text = str(name)
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[: _MAX_SHOWN_CHARS - 1]}…"
