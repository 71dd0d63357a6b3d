"""Templates of pages: every value that they print is cut, made visible and escaped here.

A page may load only its own style, run only the script of this package, and what its content security policy
names. Knows no run.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli import __version__
from phyt2v_cli.files.untrusted import read_start, visible
from phyt2v_cli.quantities import count, score

if TYPE_CHECKING:
    from jinja2 import Environment

GENERATOR = f"phyt2v {__version__}"
"""What a page says it is made by."""
MAX_CHARS = 20_000
"""Limit of one text on a page; what phyt2v itself records is shorter."""
_HEAD_BYTES = 1024


def render(name: str, **values: object) -> str:
    """HTML of the template `name` of this package, with its style, its script and these values."""
    for part, file in (("style", "style.css"), ("script", "in_step.js")):
        values[part] = text = Path(__file__).with_name(file).read_text(encoding="utf-8")
        values[f"{part}_digest"] = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return _environment().get_template(name).render(generator=GENERATOR, version=__version__, **values)


def head_of(path: Path) -> str:
    """Head of a page, with its policy and generator; empty if `render` has not made the file."""
    try:
        head = read_start(path, _HEAD_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
    return head if "default-src 'none'; style-src 'sha256-" in head else ""


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["score"] = score
    environment.globals["count"] = count
    return environment


def _shown(value: object) -> object:
    """Safe text of any value that the template prints: cut, and without controls; jinja2 then escapes it."""
    if hasattr(value, "__html__"):  # our own markup: of a macro, or marked safe by the template
        return value
    text = str(value)
    return visible(text if len(text) <= MAX_CHARS else text[:MAX_CHARS] + " …")
