"""Shell completion: the values that options and arguments take, and texts that shells can read.

Typer asks when a shell does, in a process of its own. Knows names of settings, presets and runs.
"""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path

_INSTRUCTION = "_PHYT2V_COMPLETE"
_ENDLESS_WIDTH = 1_000_000
_FOLDER_OF_SETS = "batches"
_FOLDERS_OF_RUNS = ("runs", _FOLDER_OF_SETS)
_MAX_RUNS = 1000


@contextmanager
def answering_the_shell() -> Iterator[None]:
    """Inside the block Typer's answers are what the shell expects; without a question nothing is done."""
    instruction = os.environ.get(_INSTRUCTION, "")
    if not instruction.startswith("complete_"):
        yield
        return
    from typer import rich_utils

    width = rich_utils.MAX_WIDTH
    rich_utils.MAX_WIDTH = _ENDLESS_WIDTH  # a broken line is another candidate for the shell
    begun = _join_words() if instruction == "complete_bash" else ""
    answer = io.StringIO()
    try:
        with redirect_stdout(answer):
            yield
    finally:
        rich_utils.MAX_WIDTH = width
        for line in answer.getvalue().splitlines():
            sys.stdout.write(line.removeprefix(begun) + "\n")


def _join_words() -> str:
    """Join what bash splits at ``=``; returns the part of the last word that bash takes as complete."""
    words = os.environ.get("COMP_WORDS", "").split("\n")
    last = int(os.environ.get("COMP_CWORD", "0"))
    joined: list[str] = []
    for word in words[: last + 1]:
        if joined and (word == "=" or joined[-1].endswith("=")):
            joined[-1] += word
        else:
            joined.append(word)
    os.environ.update(COMP_WORDS="\n".join(joined), COMP_CWORD=str(len(joined) - 1))
    key, equals, _ = joined[-1].rpartition("=")
    return key + equals


def presets(incomplete: str) -> list[str]:
    """Names of the presets."""
    from phyt2v_cli.config.presets import list_presets

    return [name for name in list_presets() if name.startswith(incomplete)]


def scorers(incomplete: str) -> list[str]:
    """Names of the presets of scorers."""
    from phyt2v_cli.config.scorer_presets import list_scorer_presets

    return [name for name in list_scorer_presets() if name.startswith(incomplete)]


def schedules() -> Sequence[str]:
    """Kinds of schedules."""
    return _choices("schedule.kind")


def solvers() -> Sequence[str]:
    """Names of the solvers."""
    return _choices("generator.solver")


def assignments(incomplete: str) -> list[str]:
    """Settings, as ``section.key=``; of a single one its values too."""
    from phyt2v_cli.config.layers import KEYS

    key, equals, _ = incomplete.partition("=")
    keys = [key] if equals else [name for name in KEYS if name.startswith(key)]
    if len(keys) > 1:
        return [f"{name}=" for name in keys]
    return [f"{name}={value}" for name in keys if name in KEYS for value in _choices(name) or ("",)]


def runs() -> list[str]:
    """Run directories below the usual folders."""
    from phyt2v_cli.errors import FilesError
    from phyt2v_cli.runs.reader import find_runs

    found: list[str] = []
    for folder in _FOLDERS_OF_RUNS:
        with suppress(FilesError):  # there is none yet
            found += map(str, find_runs(Path(folder)))
    return found[:_MAX_RUNS]


def sets() -> list[str]:
    """Folders of prompt sets in the usual place."""
    from phyt2v_cli.sets.manifest import has_manifest

    with suppress(OSError):  # there is none yet
        return sorted(str(path) for path in Path(_FOLDER_OF_SETS).iterdir() if has_manifest(path))[:_MAX_RUNS]
    return []


def sets_and_runs() -> list[str]:
    """Folders of prompt sets, then run directories."""
    return [*sets(), *runs()]


def _choices(key: str) -> Sequence[str]:
    """Values of a setting that has a fixed list of them; none for another."""
    from typing import Literal, get_args, get_origin

    from phyt2v_cli.config.layers import SECTIONS

    section, _, name = key.partition(".")
    annotation = SECTIONS[section].model_fields[name].annotation
    if annotation is bool:
        return ("true", "false")
    parts = [annotation, *get_args(annotation)]
    return [str(value) for part in parts if get_origin(part) is Literal for value in get_args(part)]
