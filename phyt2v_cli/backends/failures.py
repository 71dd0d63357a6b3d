"""Logging, progress bars and error messages of torch, diffusers and transformers, kept short.

This file must not know any model or role. It imports neither diffusers nor transformers, which take seconds.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any

import torch
from huggingface_hub.utils.tqdm import progress_bar_states

from phyt2v_cli.errors import BackendError

_OUT_OF_MEMORY = (
    "can't allocate memory",  # torch's allocator on a CPU
    "CUDA error: out of memory",  # memory outside of torch's allocator, such as page-locked memory
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""Out-of-memory messages that come as a bare RuntimeError."""


_turn = Lock()
_num_inside = 0
_undo = ExitStack()


@contextmanager
def silenced(*libraries: Any) -> Iterator[None]:
    """Silence the progress bars and the log messages below ERROR of diffusers or transformers.

    Failures come as exceptions and progress through the roles instead. The switches are global, so all
    threads are affected; the last thread to leave restores what the first one found.
    """
    global _num_inside
    with _turn:
        _num_inside += 1
    try:
        with _turn:
            for library in libraries:
                _silence(library)
        yield
    finally:
        with _turn:
            _num_inside -= 1
            if not _num_inside:
                _undo.close()


def _silence(library: Any) -> None:
    logger, switches = logging.getLogger(library.__name__), library.utils.logging
    # Undone from the last to the first. transformers also switches huggingface_hub's bars with its own.
    _undo.callback(progress_bar_states.update, dict(progress_bar_states))
    _undo.callback(progress_bar_states.clear)
    if switches.is_progress_bar_enabled():
        _undo.callback(switches.enable_progress_bar)
    _undo.callback(logger.setLevel, logger.level)
    switches.disable_progress_bar()
    logger.setLevel(max(logger.level, logging.ERROR))


def is_out_of_memory(error: BaseException) -> bool:
    """Check if an error means that the host or the accelerator is out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


def first_line(error: BaseException) -> str:
    """First line of a library's error message, without a full stop or colon at its end.

    The name of the error's type if the message is empty.
    """
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__


@contextmanager
def translated(
    doing: str,
    *,
    raised: type[BackendError] = BackendError,
    let_through: Callable[[Exception], bool] = lambda _: False,
) -> Iterator[None]:
    """Raise `raised` for whatever a model's library raises inside the block.

    `doing` says what failed, as in "denoising". Without memory it is always BackendError. Errors that
    `let_through` accepts, and those that are a BackendError already, come out as they are.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, BackendError) or let_through(error):
            raise
        if is_out_of_memory(error):
            raise _out_of_memory(doing, error) from error
        raise raised(f"The model failed while {doing}: {first_line(error)}.") from error


@contextmanager
def memory_shortage_translated(doing: str) -> Iterator[None]:
    """Raise BackendError if memory runs out inside the block; other errors come out as they are."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise _out_of_memory(doing, error) from error
        raise


def _out_of_memory(doing: str, error: Exception) -> BackendError:
    return BackendError(
        f"Out of memory while {doing}: {first_line(error)}.",
        "Use fewer frames, a smaller size, or a smaller model.",
    )
