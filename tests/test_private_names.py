"""Tests and benchmarks use public names of the product only.

Ruff sees `generator._pipeline` (rule SLF). Here are the two ways that it does not see: a private name that is
imported, and one that is patched or read by way of a string.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
BY_STRING = {"setattr", "delattr", "getattr", "hasattr", "attrgetter", "object"}
"""Functions that take a name as a string, on their own or of `monkeypatch` or `mock.patch`."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name != "_exit"  # which is public, in os


def private_names(code: str) -> Iterator[str]:
    """Find the private names that `code` takes out of a module of the product, or names in a string."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("phyt2v_cli"):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names if alias.name.startswith("phyt2v_cli")]
            names = [part for module in modules for part in module.split(".")]
        elif isinstance(node, ast.Call) and name_of(node.func) in BY_STRING:
            texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            names = [part for text in texts if isinstance(text, str) for part in text.split(".")]
        else:
            continue
        yield from filter(is_private, names)


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_private_name_is_imported_or_patched(path: Path) -> None:
    assert list(private_names(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from phyt2v_cli.backends.local.roles import _Sampling", ["_Sampling"]),
        ("from phyt2v_cli.timing import speeds, _files", ["_files"]),
        ("import phyt2v_cli._hidden.name", ["_hidden"]),
        ('monkeypatch.setattr(families, "_FAMILY_OF_PIPELINE", {})', ["_FAMILY_OF_PIPELINE"]),
        ('patch.setattr("phyt2v_cli.timing.speeds._read", None)', ["_read"]),
        ('getattr(generator, "_pipeline")', ["_pipeline"]),
        ("from torch import _dynamo", []),
        ('monkeypatch.setattr(module, "__name__", "x"); monkeypatch.setattr(os, "replace", None)', []),
    ],
)
def test_they_are_found(code: str, found: list[str]) -> None:
    assert list(private_names(code)) == found
