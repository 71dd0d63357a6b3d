"""A program of somebody's that uses the library: what of it is not as it was before.

    python -m tests.host_process import
    python -m tests.host_process refine DIR URL
    python -m tests.host_process chat MODEL

It sets itself up like a notebook with settings of its own, does one thing with the library, and prints as
JSON what has changed, by name: before and after. `refine` makes a run with the embedded model and an LLM at a
server, `chat` loads a local model.
"""

import asyncio
import gc
import importlib
import json
import locale
import logging
import mimetypes
import multiprocessing
import os
import pkgutil
import random
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIBRARIES = (
    "accelerate",
    "av",
    "diffusers",
    "huggingface_hub",
    "numpy",
    "openai",
    "PIL.Image",
    "ray",
    "scipy.optimize",
    "torch",
    "transformers",
)
LOGGERS = (
    "accelerate",
    "asyncio",
    "diffusers",
    "httpx2",
    "huggingface_hub",
    "openai",
    "ray",
    "torch",
    "transformers",
)


def umask() -> str:
    """Return the umask where the system tells it; `os.umask` would change it."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((line for line in lines if line.startswith("Umask")), "")


def log_settings(logger: logging.Logger) -> tuple[object, ...]:
    return logger.level, logger.propagate, logger.disabled, list(logger.handlers), list(logger.filters)


def event_loop() -> asyncio.AbstractEventLoop | None:
    """Return the one that this thread has set; None if somebody has taken it away."""
    try:
        return asyncio.get_event_loop()
    except RuntimeError:
        return None


def bars() -> tuple[bool, ...]:
    """Whether the libraries draw progress."""
    from diffusers.utils import logging as of_diffusers
    from huggingface_hub.utils import are_progress_bars_disabled
    from transformers.utils import logging as of_transformers

    return (
        of_diffusers.is_progress_bar_enabled(),
        of_transformers.is_progress_bar_enabled(),
        are_progress_bars_disabled(),
        are_progress_bars_disabled("mine"),
    )


def random_states() -> tuple[str, ...]:
    import numpy as np
    import torch

    return (
        str(hash(random.getstate())),
        str(np.random.get_state()),
        str(hash(torch.get_rng_state().numpy().tobytes())),
    )


def torch_settings() -> dict[str, object]:
    import torch

    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "float32": torch.get_float32_matmul_precision(),
        "cudnn": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark),
        "tf32": (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32),
        "attention": (
            torch.backends.cuda.flash_sdp_enabled(),
            torch.backends.cuda.mem_efficient_sdp_enabled(),
            torch.backends.cuda.math_sdp_enabled(),
        ),
        "onednn": torch.backends.mkldnn.enabled,
    }


SETTINGS: dict[str, Callable[[], object]] = {
    "environment": lambda: dict(os.environ),
    "folder": os.getcwd,
    "umask": umask,
    "locale": lambda: locale.setlocale(locale.LC_ALL),
    "argv": lambda: list(sys.argv),
    "import paths": lambda: (list(sys.path), list(sys.meta_path), list(sys.path_hooks)),
    "streams": lambda: (sys.stdin, sys.stdout, sys.stderr, sys.displayhook),
    "what hears of errors": lambda: (sys.excepthook, sys.unraisablehook, threading.excepthook),
    "signals": lambda: {number: signal.getsignal(number) for number in signal.valid_signals()},
    "timer": lambda: signal.getitimer(signal.ITIMER_REAL),
    "garbage": lambda: (gc.get_freeze_count(), gc.get_threshold(), gc.isenabled(), list(gc.callbacks)),
    "warnings": lambda: (list(warnings.filters), warnings.showwarning),
    "all logging": lambda: (logging.root.manager.disable, logging.getLoggerClass(), logging.lastResort),
    "last resort": lambda: logging.lastResort and logging.lastResort.level,
    "root logger": lambda: log_settings(logging.root),
    "loggers": lambda: {name: log_settings(logging.getLogger(name)) for name in LOGGERS},
    "progress bars": bars,
    "event loop": event_loop,
    "event loop policy": asyncio.get_event_loop_policy,
    "random numbers": random_states,
    "torch": torch_settings,
    "limits": lambda: (sys.getrecursionlimit(), sys.getswitchinterval(), threading.stack_size()),
    "tracing": lambda: (sys.gettrace(), sys.getprofile()),
    "sockets": socket.getdefaulttimeout,
    "temporary folder": lambda: tempfile.tempdir,
    "kinds of files": lambda: dict(mimetypes.types_map),
    "start of processes": lambda: multiprocessing.get_start_method(allow_none=True),
}


def set_up() -> None:
    """Have settings that nobody has by default."""
    for name in LIBRARIES:
        importlib.import_module(name)
    import diffusers
    import torch
    import transformers
    from huggingface_hub.utils import disable_progress_bars

    torch.set_num_threads(1)
    torch.manual_seed(7)
    random.seed(7)
    asyncio.set_event_loop(asyncio.new_event_loop())
    warnings.filterwarnings("once", message="mine")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    diffusers.utils.logging.set_verbosity_info()
    transformers.utils.logging.set_verbosity_warning()
    disable_progress_bars("mine")
    mimetypes.init()
    tempfile.gettempdir()


def import_all() -> None:
    import phyt2v_cli

    for module in pkgutil.walk_packages(phyt2v_cli.__path__, "phyt2v_cli."):
        if not module.name.startswith(("phyt2v_cli.cli", "phyt2v_cli.__main__")):
            importlib.import_module(module.name)


def refine(path: Path, url: str) -> None:
    import phyt2v_cli
    from phyt2v_cli.config.schema import Config

    config = Config.model_validate(
        {
            "llm": {"backend": "openai", "model": "scripted", "base_url": url},
            "captioner": {"backend": "tracker"},
            "scorer": {"backend": "tracker"},
            "schedule": {"min_steps": 2, "max_steps": 3},
            "refinement": {"rounds": 1},
        }
    )
    result = phyt2v_cli.refine("a red ball drops", config=config, out=path)
    assert result.video == path / "output2.mp4"


def chat(model: str) -> None:
    from phyt2v_cli.backends.local.models import load
    from phyt2v_cli.config.judges import LlmConfig

    load(LlmConfig(backend="transformers", model=model, device="cpu"), role="llm")


ACTIONS: dict[str, Callable[..., None]] = {
    "import": import_all,
    "refine": lambda path, url: refine(Path(path), url),
    "chat": chat,
}


def main() -> None:
    set_up()
    before = {name: look() for name, look in SETTINGS.items()}
    ACTIONS[sys.argv[1]](*sys.argv[2:])
    after = {name: look() for name, look in SETTINGS.items()}
    changed: dict[str, Any] = {
        name: [str(before[name]), str(after[name])] for name in SETTINGS if before[name] != after[name]
    }
    print(json.dumps(changed))


if __name__ == "__main__":
    main()
