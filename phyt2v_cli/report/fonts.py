"""Fonts for pictures with text: one on this machine that has the letters of a text, and lines that fit.

Pillow's own font has Latin letters only, and shows a box for every other. Knows no run.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

FOLDERS: Sequence[str] = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
)
_LIKELY = ("cjk", "unifont", "dejavusans.", "notosans", "unicode", "wqy", "gothic")
"""Parts of names of fonts with many letters, which are tried first."""
_MAX_FONTS = 500
_NO_LETTER = "\uffff"
_NO_FONT = "(no font on this machine has the letters of this prompt; the report's page shows it)"


def readable(text: str, size: int) -> "tuple[str, FreeTypeFont]":
    """Text and a font of `size` pixels that shows it without boxes.

    Signs that no font has become question marks; if most letters would, the text says so instead.
    """
    from PIL import ImageFont

    own = ImageFont.load_default(size)
    assert isinstance(own, ImageFont.FreeTypeFont)  # as it is with a size
    wanted = {char for char in text if unicodedata.category(char)[0] in "LNPS"}
    font, missing = own, _missing(wanted, own)
    for path in font_files() if missing else ():
        with suppress(OSError):  # no font, or none of this size
            other = ImageFont.truetype(path, size)
            lacking = _missing(wanted, other)
            if len(lacking) < len(missing):
                font, missing = other, lacking
        if not missing:
            break
    if len(missing) > len(wanted) / 2:
        return _NO_FONT, own
    return "".join("?" if char in missing else char for char in text), font


def wrap(text: str, font: "FreeTypeFont", width: int, *, max_lines: int) -> list[str]:
    """Break a text into lines of at most `width` pixels, at spaces if there are any; the rest is cut off."""
    lines = [""]
    for word in text.split():
        glue = " " if lines[-1] else ""
        for part in [word] if font.getlength(word) <= width else word:
            if font.getlength(lines[-1] + glue + part) <= width:
                lines[-1] += glue + part
            elif len(lines) == max_lines:
                return [*lines[:-1], _with_ellipsis(lines[-1], font, width)]
            else:
                lines.append(part)
            glue = ""
    return lines


def _with_ellipsis(line: str, font: "FreeTypeFont", width: int) -> str:
    while line and font.getlength(f"{line} …") > width:
        line = line[:-1].rstrip()
    return f"{line} …"


def _missing(wanted: Iterable[str], font: "FreeTypeFont") -> set[str]:
    """Letters that a font has not: it draws the same box for each."""
    box = _drawn(_NO_LETTER, font)
    return {char for char in wanted if _drawn(char, font) == box}


def _drawn(char: str, font: "FreeTypeFont") -> tuple[object, bytes]:
    mask = font.getmask(char)
    return mask.size, bytes(mask)


@cache
def font_files() -> tuple[str, ...]:
    """Paths of the fonts of this machine, the likeliest first."""
    folders = [Path(folder).expanduser() for folder in FOLDERS]
    found = (path for folder in folders for path in folder.rglob("*.[ot]t[fc]"))
    by_name = sorted(islice(found, _MAX_FONTS * 10), key=lambda path: (_rank(path.name), path.name))
    return tuple(map(str, by_name[:_MAX_FONTS]))


def _rank(name: str) -> int:
    flat = name.lower().replace("-", "").replace("regular", "")
    return next((rank for rank, part in enumerate(_LIKELY) if part in flat), len(_LIKELY))
