"""Attempts: what is noted of each start of a run. Its times, and the versions of what it runs with."""

import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

from pydantic import Field

from phyt2v_cli import __version__
from phyt2v_cli.runs.stored import Record

Timestamp = Annotated[str, Field(pattern="^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}Z$")]
"""Time in UTC, ISO 8601, in whole seconds. Sorted as texts, they are sorted by time."""


def utc_now() -> str:
    """Present time as a `Timestamp`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


MAX_ATTEMPTS = 100


class AttemptRecord(Record):
    """Times of one attempt, from its first stage on."""

    started: Timestamp
    finished: Timestamp | None = None
    """None while it runs, and if it was killed."""


_VERSIONED = ("torch", "diffusers", "transformers", "av", "numpy")


def installed_versions() -> dict[str, str]:
    """Versions of phyt2v, Python and the large libraries, by name; without what is not installed."""
    known = {package: _version_of(package) for package in _VERSIONED}
    versions = {name: number for name, number in known.items() if number is not None}
    return {"phyt2v": __version__, "python": platform.python_version(), **versions}


@cache
def _version_of(package: str) -> str | None:
    """Version when this process first asked, which is the one that it runs; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
