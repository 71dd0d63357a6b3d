"""Connection to a Ray cluster, or to one that is started on this machine. Knows Ray; knows no role."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import ray

from phyt2v_cli.errors import BackendError, ConfigError, message_of

_PORT = 6379
_CONNECT_TIMEOUT_S = 5.0
_SETTLING_S, _SETTLED_WITHIN_S = 1.5, 10.0
_MAX_STARTS = 3
_QUIET = {"log_to_driver": False, "configure_logging": False, "logging_level": logging.ERROR}


@dataclass(frozen=True)
class Resources:
    """What a cluster has, or has free."""

    num_gpus: float
    num_cpus: float


@dataclass(frozen=True)
class Cluster:
    """Resources of a cluster at the moment of connecting."""

    total: Resources
    free: Resources
    """What is not taken, by other drivers or by this one."""


def connect(address: str, *, num_workers_here: int | None = None) -> Cluster:
    """Connect this process to Ray, unless it is connected, and return what the cluster has.

    `address` is ``local`` (a cluster of this machine alone, which ends with the process), ``auto`` (one that
    runs on this machine or that RAY_ADDRESS names, else as ``local``) or ``HOST[:PORT]``. A local cluster has
    room for at least `num_workers_here` workers on the CPU. Raises BackendError if nothing answers there.
    """
    if not ray.is_initialized():
        with _signals_kept():
            _init(address, num_workers_here)
    return Cluster(_total(), _settled_free())


def free_resources() -> str:
    """What is free in the cluster now, of what it has, in words."""
    total, free = _total(), _free()
    return f"{free.num_gpus:g} of {total.num_gpus:g} GPUs and {free.num_cpus:g} of {total.num_cpus:g} CPUs"


def _total() -> Resources:
    return _resources(ray.cluster_resources())


def _free() -> Resources:
    # A cluster of which nothing is reported yet is a new one. One that is full still has its nodes' names.
    return _resources(ray.available_resources() or ray.cluster_resources())


def _settled_free() -> Resources:
    """What is free once no more comes back: workers that have just been ended hold theirs a little longer."""
    free, deadline = _free(), time.monotonic() + _SETTLED_WITHIN_S
    while free != _total() and time.monotonic() < deadline:
        time.sleep(_SETTLING_S)
        before, free = free, _free()
        if free == before:
            break
    return free


def _resources(found: Mapping[str, float]) -> Resources:
    """GPUs and CPUs among the resources that Ray names; it leaves out those of which there is none."""
    return Resources(found.get("GPU", 0.0), found.get("CPU", 0.0))


def _init(address: str, num_workers_here: int | None) -> None:
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or "auto"
    if address == "auto":
        try:
            ray.init(address="auto", **_QUIET)
            return
        except ConnectionError:  # none runs here
            address = "local"
    if address == "local":
        start_local(num_cpus=max(os.cpu_count() or 1, num_workers_here or 1))
        return
    host, port = _host_and_port(address)
    try:
        # Ray itself tries for two minutes, and then ends the process.
        socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S).close()
        ray.init(address=f"{host}:{port}", **_QUIET)
    except (OSError, RuntimeError) as error:  # ConnectionError is an OSError
        raise _no_answer(f"{host}:{port}") from error


def start_local(*, num_cpus: int, num_gpus: int | None = None) -> None:
    """Start a cluster of this machine alone, which ends with the process.

    Ray gives its own helper processes 15 s to start, and ends itself if a busy machine takes longer
    (https://github.com/ray-project/ray/issues/65983), so it is started again. What Ray leaves of a start that
    failed, idle, ends with the process. Raises BackendError if it never starts.
    """
    for starts_left in reversed(range(_MAX_STARTS)):
        try:
            ray.init(address="local", num_cpus=num_cpus, num_gpus=num_gpus, include_dashboard=False, **_QUIET)
            return
        except Exception as error:  # Ray raises a plain Exception
            ray.shutdown()
            if not starts_left:
                raise BackendError(
                    f"Ray does not start on this machine: {message_of(error)}.",
                    "The machine may be too busy: try again, or use `execution.executor=threads`.",
                ) from error


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":") if ":" in address else (address, "", "")
    if "://" in address:  # ray:// is the protocol of Ray's client, which has no actors' lanes
        raise ConfigError("execution.ray_address: must be auto, local or HOST:PORT")
    if not host or (port and not port.isdecimal()) or int(port or _PORT) > 65_535:
        raise ConfigError("execution.ray_address: must be auto, local or HOST:PORT")
    return host, int(port or _PORT)


def _no_answer(address: str) -> BackendError:
    return BackendError(
        f"No Ray cluster answers at {address}.",
        "Start one with `ray start`, correct `ray_address`, or use `execution.ray_address=local`.",
    )


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Undo what Ray does to the handler of SIGTERM, which belongs to the host."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
