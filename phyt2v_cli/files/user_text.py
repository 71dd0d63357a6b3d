"""Read the user's text files and standard input: prompts, prompt sets, settings. Knows no format of them."""

import codecs
import os
import sys
import unicodedata
from pathlib import Path

from phyt2v_cli.errors import UsageError
from phyt2v_cli.files.untrusted import read_up_to

STANDARD_INPUT = "-"

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and a symbol that show nothing: fillers of Hangul, and Braille without a dot."""


def read_text(source: str, max_bytes: int, error: type[UsageError], hint: str) -> str:
    """Read a file, or standard input if `source` is ``-``, as text.

    The text is UTF-8, or UTF-16 with a byte order mark, as Windows writes it; byte order marks are left out.
    Raises `error` if it cannot be read, is larger than `max_bytes`, or is no text; `hint` says which file to
    give instead.
    """
    name = _name_of(source)
    content = _read(source, max_bytes + 1, error, hint)
    if len(content) > max_bytes:
        raise error(f"{name} is larger than {max_bytes // 1024:,} KiB", hint)
    encoding = "utf-16" if content.startswith(_UTF16) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as fault:
        if b"\0" in content:
            raise error(f"{name} is a binary file", hint) from fault
        line = content.count(b"\n", 0, fault.start) + 1
        raise error(f"{name}:{line}: not UTF-8 text", "Save it as UTF-8.") from fault


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: white space, controls, zero-width characters, marks without a letter."""
    return all(unicodedata.category(char)[0] in "CMZ" or char in _BLANK_LETTERS for char in text)


def _name_of(source: str) -> str:
    return "standard input" if source == STANDARD_INPUT else source


def _read(source: str, num_bytes: int, error: type[UsageError], hint: str) -> bytes:
    name = _name_of(source)
    try:
        if source == STANDARD_INPUT:
            if sys.stdin is None:
                raise error(f"{name} is closed", hint)
            return read_up_to(sys.stdin.buffer, num_bytes)
        if os.path.isdir(source):  # noqa: PTH112  a Path raises if a name is too long
            raise error(f"{name} is a directory", hint)
        with Path(source).open("rb") as file:
            return read_up_to(file, num_bytes)
    except FileNotFoundError as fault:
        raise error(f"there is no file {source}", hint) from fault
    except (OSError, ValueError) as fault:  # the latter for a name with NUL
        raise error(f"{name} cannot be read: {getattr(fault, 'strerror', None) or fault}", hint) from fault
