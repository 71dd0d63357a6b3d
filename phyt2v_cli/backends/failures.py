"""How torch, diffusers and transformers behave in a process that is not theirs: quiet, and with few words.

This file knows no model and no role. It imports neither diffusers nor transformers, which take seconds.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any

import torch
from huggingface_hub.utils.tqdm import progress_bar_states

_OUT_OF_MEMORY = (
    "can't allocate memory",  # torch's allocator on a CPU
    "CUDA error: out of memory",  # what torch's allocator does not hand out, page-locked memory among it
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""What bare RuntimeErrors say."""


_turn = Lock()
_num_inside = 0
_undo = ExitStack()


@contextmanager
def silenced(*libraries: Any) -> Iterator[None]:
    """Let diffusers or transformers draw no progress and say nothing below an error meanwhile.

    What goes wrong comes as exceptions, progress through the roles. It is so for all threads; the last one to
    leave gives the host back what the first one found.
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
    # Undone from the last to the first. transformers switches the bars of huggingface_hub along with its own.
    _undo.callback(progress_bar_states.update, dict(progress_bar_states))
    _undo.callback(progress_bar_states.clear)
    if switches.is_progress_bar_enabled():
        _undo.callback(switches.enable_progress_bar)
    _undo.callback(logger.setLevel, logger.level)
    switches.disable_progress_bar()
    logger.setLevel(max(logger.level, logging.ERROR))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the host or the accelerator had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


def first_line(error: BaseException) -> str:
    """Return what an error of a library says, cut to one line without its full stop or colon."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__
