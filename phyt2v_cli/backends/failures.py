"""How torch, diffusers and transformers behave in a process that is not theirs: quiet, and with few words.

This file knows no model and no role. It must not import diffusers or transformers unless they are loaded.
"""

import sys
import warnings

import torch

_OUT_OF_MEMORY = (
    "can't allocate memory",  # torch's allocator on a CPU
    "CUDA error: out of memory",  # what torch's allocator does not hand out, page-locked memory among it
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""What bare RuntimeErrors say."""


def silence_libraries() -> None:
    """Keep stderr ours: what goes wrong comes as exceptions, progress through the roles."""
    for name in ("diffusers", "transformers"):
        if name in sys.modules:  # importing the other one would take seconds
            logging = sys.modules[name].utils.logging
            logging.set_verbosity_error()
            logging.disable_progress_bar()
    warnings.filterwarnings("ignore", module=r"(diffusers|transformers|accelerate|torch)\b.*")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the host or the accelerator had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


def first_line(error: BaseException) -> str:
    """Return what an error of a library says, cut to one line without its full stop or colon."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__
