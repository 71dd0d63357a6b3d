"""Pictures in the terminal, if it can show them: by Sixel, or by the graphics protocol of Kitty."""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import RenderableType

MAX_COLUMNS = 90


def picture(path: Path, *, columns: int) -> RenderableType | None:
    """Picture of a file, for a terminal of `columns`; None if that shows none, or the file is none."""
    kind = _kind()
    if kind is None:
        return None
    try:
        shown: RenderableType = kind(path, width=min(columns, MAX_COLUMNS), height="auto")
    except OSError:  # it may have been replaced or deleted
        return None
    return shown


@cache
def _kind() -> Any:
    """Ask the terminal, once, which it can show."""
    if not _can_be_asked():
        return None
    from textual_image import renderable

    kinds = (renderable.SixelImage, renderable.TGPImage)
    return renderable.Image if issubclass(renderable.Image, kinds) else None


def _can_be_asked() -> bool:
    stdin, stdout = sys.__stdin__, sys.__stdout__
    if stdin is None or stdout is None or not (stdin.isatty() and stdout.isatty()):
        return False
    try:
        is_in_front = os.tcgetpgrp(stdin.fileno()) == os.getpgrp()
        if not all(os.get_terminal_size(stdout.fileno())):
            return False  # a terminal that does not know its size
    except OSError:  # it is not the terminal that this process belongs to
        return False
    # A job in the background that reads is stopped, and Linux's own console prints the question.
    return is_in_front and os.environ.get("TERM") != "linux"
