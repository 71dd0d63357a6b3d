"""Text from models, files and other people: what of it must not be shown as it is."""

import re

# C0 and C1 controls but for tab and newline, line separators, bidirectional controls and lone surrogates:
# what could drive a terminal, reorder a line, or not be printed at all.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Return `text` with everything that could drive a terminal written out, as in ``\\x1b``."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
