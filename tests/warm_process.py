"""Processes that need no seconds to import torch and diffusers: forks of one that has imported them.

    WarmPopen([sys.executable, "-m", "phyt2v_cli", …], stdout=PIPE, env={…}, cwd=…, start_new_session=True)

is a `subprocess.Popen` of a Python module in all that can be seen: a child of this process, with a pid,
signals, pipes and an exit code of its own. What the fork has that a new process has not: the tool and its
libraries, which read their environment long ago (`is_warm` refuses what they would read), and the hash seed
of all other forks. So it is not for tests of importing, starting or being equal in any process. Linux only.
"""

import atexit
import ctypes
import functools
import gc
import io
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, NoReturn

import phyt2v_cli
from phyt2v_cli.cli.running import host

ROOT = Path(__file__).parents[1]
LIBRARIES = (
    "torch",
    "diffusers.pipelines.cogvideo.pipeline_cogvideox",
    "transformers.models.t5.modeling_t5",
    "accelerate",
    "safetensors.torch",
    "av",
    "PIL.Image",
    "jinja2",
    "pydantic",
    "rich.progress",
    "typer.main",
)
READ_AT_IMPORT = (
    *("HF_", "HUGGINGFACE", "USE_", "TRANSFORMERS", "DIFFUSERS", "ACCELERATE", "TORCH", "PYTORCH", "CUDA"),
    *("TRITON", "OMP", "MKL"),
)
READ_AT_START = ("PYTHON", "OPENBLAS", "LANG", "LC_", "LD_", "HOME", "XDG_")
STANDARD = (0, 1, 2)
ENVIRONMENT = dict(os.environ)
"""What the libraries have read: that of the tests' own start, before any test has changed it."""
PREPARED = {"DIFFUSERS_VERBOSITY": "error", "TRANSFORMERS_VERBOSITY": "error"}
"""What a command sets for them, in the tests' own process too."""
PR_SET_CHILD_SUBREAPER = 36
_asking = threading.Lock()


def is_warm(command: Sequence[str], environment: Mapping[str, str] | None) -> bool:
    """Check if a fork does with `command` what a new process does."""
    if not _can_inherit() or tuple(command[:2]) != (sys.executable, "-m"):
        return False
    environment = os.environ if environment is None else environment
    changed = {
        name for name, value in environment.items() ^ ENVIRONMENT.items() if PREPARED.get(name) != value
    }
    # The caches are other ones in each test; those that fetch a model name a folder of their own.
    changed -= {"PYTHONPATH", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR"}
    return not any(name.startswith(READ_AT_IMPORT + READ_AT_START) for name in changed)


class WarmPopen(subprocess.Popen[str]):
    """A Popen whose process is a fork of the warm one; its options are those in the module's docstring."""

    def _execute_child(self, *arguments: Any) -> None:
        told = signature(super()._execute_child).bind(*arguments).arguments  # type: ignore[misc]
        environment = os.environ if told["env"] is None else told["env"]
        asked = {
            "module": told["args"][2:],
            "environment": dict(environment),
            "folder": str(told["cwd"] or Path.cwd()),
            "session": told["start_new_session"],
        }
        ends = [told[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        self.pid = _fork(asked, [own if end == -1 else end for own, end in zip(STANDARD, ends, strict=True)])
        self._child_created = True
        names = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(told[name] for name in names))  # type: ignore[attr-defined]


def _fork(asked: Mapping[str, Any], standard: Sequence[int]) -> int:
    """Let the warm process fork; the fork becomes a child of this process. Returns its process id.

    Raises OSError if the warm process has ended; the next call starts another.
    """
    with _asking:
        warm = _warm()
        _inherit(True)  # the fork's parent ends at once
        try:
            socket.send_fds(warm, [json.dumps(asked).encode()], list(standard))
            told = warm.recv(100)
            if not told:
                raise ConnectionResetError("the warm process has ended")
            return int(told)
        except OSError:
            _warm.cache_clear()
            raise
        finally:
            _inherit(False)


def _inherit(orphans: bool) -> bool:
    """Let orphans become children of this process, or no longer; returns whether the system can."""
    return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(orphans), 0, 0, 0) == 0)


@functools.cache
def _can_inherit() -> bool:
    return sys.platform == "linux" and _inherit(False)


@functools.cache
def _warm() -> socket.socket:
    """Start the warm process, once; it ends when nobody holds the other end of its socket."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm_process", str(there.fileno())],
            env=ENVIRONMENT,
            cwd=ROOT,
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop() -> None:
        here.close()
        process.wait()

    atexit.register(stop)
    return here


def serve(connection: socket.socket) -> list[str]:
    """Fork for each request until the other side is gone. Returns in forks only: a module and its words."""
    while True:
        message, standard, _, _ = socket.recv_fds(connection, 1 << 20, len(STANDARD))
        if not message:
            sys.exit()
        told, tell = os.pipe()
        if between := os.fork():
            os.close(tell)
            os.waitpid(between, 0)  # then its child has another parent
            connection.send(os.read(told, 100))
            for end in (told, *standard):
                os.close(end)
            continue
        between = os.getpid()
        if pid := os.fork():
            os.write(tell, str(pid).encode())
            os._exit(0)
        while os.getppid() == between:
            time.sleep(0.001)
        connection.close()
        for end in (told, tell):
            os.close(end)
        asked = json.loads(message)
        _become(asked, standard)
        module: list[str] = asked["module"]
        return module


def _become(asked: Mapping[str, Any], standard: Sequence[int]) -> None:
    """Take what a new process is given."""
    if asked["session"]:
        os.setsid()
    for number, end in zip(STANDARD, standard, strict=True):
        os.dup2(end, number)
        os.close(end)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.path[0:1] = [asked["folder"], str(ROOT)]
    # streams decide when they are made how they buffer
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        raw = io.FileIO(number, "wb" if number else "rb", closefd=False)
        buffer = io.BufferedWriter(raw) if number else io.BufferedReader(raw)
        old, is_line = getattr(sys, name), name == "stderr" or raw.isatty()
        new = io.TextIOWrapper(buffer, encoding=old.encoding, errors=old.errors, line_buffering=is_line)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def _of_the_product() -> list[str]:
    """Every module that a command may import, most of what a start takes once the libraries are there.

    But for those that are run as `__main__`, and those that import Ray.
    """
    names = [module.name for module in pkgutil.walk_packages(phyt2v_cli.__path__, "phyt2v_cli.")]
    return [name for name in names if not name.endswith("__main__") and ".cluster" not in name]


def main() -> NoReturn:
    """Import, serve, and in each fork run its module."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    host.prepare()
    for library in (*LIBRARIES, *_of_the_product()):
        import_module(library)
    gc.collect()
    gc.freeze()
    module, *words = serve(connection)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    main()
