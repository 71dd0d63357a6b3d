"""Machines without room: too little memory to import the libraries, and no more threads."""

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from phyt2v_cli.cli.signals import can_start_thread
from phyt2v_cli.errors import (
    BackendError,
    ModelLoadError,
    OutOfThreadsError,
    failed_import_of,
    out_of_threads,
    shortage_of,
)
from phyt2v_cli.testing.fakes import FakeRoles
from tests.faults.processes import PHYT2V, Ended, default_signals, end, start
from tests.sets.test_jobs import begin, jobs_of

GENERATE = (*PHYT2V, "generate", "--prompt", "a ball", "--steps", "2")
REFINE = (*PHYT2V, "refine", "--prompt", "a ball", "--steps", "2,2")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits differ")


def limited(kind: int, limit: int) -> Callable[[], None]:
    def prepare() -> None:
        default_signals()
        resource.setrlimit(kind, (limit, resource.getrlimit(kind)[1]))

    return prepare


def run_limited(command: tuple[str, ...], kind: int, limit: int, folder: Path) -> Ended:
    return end(start(command, preexec_fn=limited(kind, limit), cwd=folder))


@pytest.mark.parametrize("command", [GENERATE, REFINE], ids=["generate", "refine"])
def test_fault_55_out_of_threads_is_no_ctrl_c(command: tuple[str, ...], tmp_path: Path) -> None:
    # No thread has a stack of 64 TiB. OpenBLAS then sends SIGINT to the process that imports it.
    ended = run_limited(command, resource.RLIMIT_STACK, 2**46, tmp_path)
    assert (ended.code, ended.out) == (1, "")
    assert (
        "error: No more threads can be started.\nhint: End other programs, or raise the limits" in ended.err
    )
    assert "stopp" not in ended.err
    assert "unexpected" not in ended.err


def test_fault_55_out_of_memory_while_libraries_are_imported(tmp_path: Path) -> None:
    ended = run_limited(GENERATE, resource.RLIMIT_AS, 300 * 2**20, tmp_path)
    assert (ended.code, ended.out) == (4, ""), ended.err
    assert "error: Out of memory.\nhint: " in ended.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_HUB_DOWNLOAD_TIMEOUT", "soon"),
        pytest.param("DIFFUSERS_ATTN_BACKEND", "none", marks=pytest.mark.slow),
        pytest.param("USE_TORCH", "0", marks=pytest.mark.slow),
    ],
)
def test_a_variable_that_a_library_does_not_understand(name: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "set.txt").write_text("a ball\na cube\n")
    for command in (GENERATE, (*PHYT2V, "batch", "set.txt", "--steps", "2,2")):
        ended = end(start(command, {**os.environ, name: value}, cwd=tmp_path))
        assert (ended.code, ended.out) == (4, ""), ended.err
        assert "error: A library of models cannot be imported: " in ended.err
        assert name in ended.err.partition("hint: ")[2]
        assert "unexpected" not in ended.err


def test_what_fails_below_an_import_is_told_from_the_rest() -> None:
    assert failed_import_of(ValueError("3")) is None
    for statement in ("import no_such_library", "from os import no_such_name"):
        with pytest.raises(ImportError) as caught:
            exec(statement, {})
        assert isinstance(failed_import_of(chained(RuntimeError("x"), caught.value)), ModelLoadError)


def test_a_thread_can_be_started_here() -> None:
    assert can_start_thread()


def chained(*errors: BaseException) -> BaseException:
    for below, above in zip(errors[1:], errors, strict=False):
        above.__cause__ = below
    return errors[0]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), BackendError),
        (chained(RuntimeError("Failed to import x"), ImportError(), MemoryError()), BackendError),
        (ImportError("libtorch.so: failed to map segment from shared object"), BackendError),
        (OSError(12, "Cannot allocate memory"), BackendError),
        (RuntimeError("can't start new thread"), OutOfThreadsError),
        (chained(RuntimeError("Failed to import x"), out_of_threads()), OutOfThreadsError),
        (ValueError("thread"), None),
        (KeyboardInterrupt(), None),
    ],
    ids=ascii,
)
def test_what_was_short(error: BaseException, kind: type[Exception] | None) -> None:
    found = shortage_of(error)
    assert found is None if kind is None else type(found) is kind


def test_a_prompt_of_a_set_says_so_too(tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError

    (outcome,) = begin(jobs_of(tmp_path, "a ball"), FakeRoles(), open_run=refuse)
    assert (outcome.error, outcome.hint[:18]) == ("Out of memory.", "End other programs")
