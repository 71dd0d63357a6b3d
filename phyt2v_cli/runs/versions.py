"""Versions of what a run is made with. Imports none of it."""

import platform
from importlib.metadata import PackageNotFoundError, version

from phyt2v_cli import __version__

_VERSIONED = ("torch", "diffusers", "transformers", "av", "numpy")


def installed_versions() -> dict[str, str]:
    """Versions of phyt2v, Python and the large libraries, by name; without what is not installed."""
    versions = {"phyt2v": __version__, "python": platform.python_version()}
    for package in _VERSIONED:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
