"""Pool of equal workers: hands each call to a free one, and to another if that one dies.

Invariants:

1. A worker has at most one call of the pool at a time.
2. A call that ends with its worker's death is given to another, at most `MAX_ATTEMPTS` times in all. So the
   work of a stage may be begun again, and its result is used once.
3. A worker that died comes back once Ray has started it again and it has loaded.
4. Workers for which the cluster has no room wait for it; that is told once.

Placing, starting and restarting are Ray's. Knows Ray and workers; knows no role and no run.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    WorkerCrashedError,
)

from phyt2v_cli.backends.cluster.connection import free_resources
from phyt2v_cli.errors import BackendError, ModelLoadError, Phyt2vError, RunInterruptedError
from phyt2v_cli.quantities import count
from phyt2v_cli.roles import Cancelled, never_cancelled
from phyt2v_cli.turns import waiting

MAX_ATTEMPTS = 4
POLL_S = 0.25
"""Seconds between two looks at a call in progress."""
PLACED_WITHIN_S = 30.0
"""Seconds after which a worker that Ray has not started is told to wait for room."""
CLOSED_WITHIN_S = 30.0
"""Seconds to wait for a thread that loads a worker which has been ended."""

LOST = (RayActorError, WorkerCrashedError, NodeDiedError, ObjectLostError, OutOfMemoryError)
"""Errors of a call whose worker is gone."""

Listen = Callable[[Any, bool], None]
"""Callback while a call is in progress, with the worker and whether the call is cancelled."""


class Pool:
    """Workers of one kind. Thread-safe."""

    def __init__(
        self,
        label: str,
        start: Callable[[], Any],
        *,
        on_ready: Callable[[int], None] = lambda _: None,
        on_notice: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Set how a worker is started.

        `on_ready` hears how many have loaded whenever that changes, `on_notice` of workers that are lost or
        that wait for room.
        """
        self._label = label
        self._start = start
        self._on_ready = on_ready
        self._on_notice = on_notice
        self._changed = threading.Condition()
        self._workers: list[Any] = []
        self._ready: set[Any] = set()
        self._free: list[Any] = []
        self._placed: set[Any] = set()
        self._loading: list[threading.Thread] = []
        self._has_told_of_room = False
        self._num_wanted = 0
        self._failure: Phyt2vError | None = None
        self._seconds = 0.0
        self.facts: Any = None
        """What the first worker that loaded has told of itself."""

    @property
    def size(self) -> int:
        """Number of workers that are wanted."""
        return self._num_wanted

    @property
    def seconds(self) -> float:
        """Seconds that workers have spent in calls so far."""
        with self._changed:
            return self._seconds

    def resize(self, num_workers: int) -> None:
        """Start workers or let them go until there are `num_workers`; busy ones go after their call."""
        with self._changed:
            self._num_wanted = num_workers
            while len(self._workers) < num_workers:
                worker = self._start()
                self._workers.append(worker)
                self._start_loading(worker)
            while len(self._workers) > num_workers and self._free:
                self._let_go(self._free.pop())

    def wait_until_ready(self, cancelled: Cancelled = never_cancelled) -> None:
        """Wait until one worker has loaded; raise the error of loading if none can."""
        with self._changed:
            self._wait_for_free(cancelled)

    def call(
        self,
        method: str,
        *arguments: Any,
        listen: Listen | None = None,
        cancelled: Cancelled = never_cancelled,
    ) -> Any:
        """Call a method of a free worker; raises what the method raises.

        `listen` is called now and then while the method works. Raises RunInterruptedError if `cancelled()`
        becomes true while no worker is free, and BackendError if one worker after the other is lost.
        """
        for _ in range(MAX_ATTEMPTS):
            worker = self._take(cancelled)
            began = time.monotonic()
            try:
                result = _result(getattr(worker, method).remote(*arguments), worker, listen, cancelled)
            except LOST:
                self._set_ready(worker, False)
                self._on_notice(f"a worker was lost ({self._label}); what it did is done again")
                with self._changed:
                    self._start_loading(worker)
                continue
            except BaseException:
                self._give_back(worker)
                raise
            with self._changed:
                self._seconds += time.monotonic() - began
            self._give_back(worker)
            return result
        raise BackendError(
            f"{MAX_ATTEMPTS} workers in a row were lost while they worked ({self._label}).",
            "Look into Ray's logs: a worker that runs out of memory is killed by the system.",
        )

    def ask_any(self, method: str, *arguments: Any) -> Any:
        """Call a method of any worker that has loaded, free or not, in a lane of its own."""
        for _ in range(MAX_ATTEMPTS):
            with self._changed:
                workers = list(self._ready)
            for worker in workers:
                try:
                    return _get(getattr(worker, method).remote(*arguments))
                except LOST:
                    continue
            time.sleep(POLL_S)
        raise BackendError(f"No worker answers ({self._label}).", "Look into Ray's logs.")

    def close(self) -> None:
        """End all workers, and wait for the threads that load them.

        A thread that asks Ray for something after this process has left the cluster would start another one.
        """
        with self._changed:
            for worker in [*self._workers]:
                self._let_go(worker)
            self._free.clear()
            self._num_wanted = 0
            loading = list(self._loading)
        for thread in loading:
            thread.join(CLOSED_WITHIN_S)

    def _start_loading(self, worker: Any) -> None:
        """Load a worker in a thread of its own; `_changed` is held."""
        self._loading = [thread for thread in self._loading if thread.is_alive()]
        thread = threading.Thread(target=self._load, args=(worker,), name="load", daemon=True)
        self._loading.append(thread)
        thread.start()

    def _is_let_go(self, worker: Any) -> bool:
        with self._changed:
            return worker not in self._workers

    def _load(self, worker: Any) -> None:
        if self._is_let_go(worker):
            return
        try:
            self._watch_placing(worker)
            facts = self._loaded(worker)
        except LOST as error:
            self._lose(worker, ModelLoadError(f"A worker cannot be started ({self._label}): {_why(error)}."))
        except Phyt2vError as error:
            self._lose(worker, error)
        except Exception as error:
            self._lose(worker, ModelLoadError(f"A worker cannot load ({self._label}): {_why(error)}."))
        else:
            with self._changed:
                self.facts = self.facts or facts
            self._set_ready(worker, True)
            self._give_back(worker)

    def _watch_placing(self, worker: Any) -> None:
        """Wait until Ray has started a worker, or tell of those that it has not."""
        with self._changed:
            self._placed.discard(worker)  # Ray starts it again after a loss
        started, _ = ray.wait([worker.__ray_ready__.remote()], timeout=PLACED_WITHIN_S)
        with self._changed:
            if started or worker not in self._workers:
                self._placed.add(worker)
                return
            num_waiting = sum(one not in self._placed for one in self._workers)
            if self._has_told_of_room:
                return
            self._has_told_of_room = True
            num_workers = len(self._workers)
        self._on_notice(
            f"no room on the cluster yet for {num_waiting} of {count(num_workers, 'worker')} "
            f"({self._label}); {free_resources()} are free"
        )

    def _loaded(self, worker: Any) -> Any:
        for _ in range(MAX_ATTEMPTS - 1):
            try:
                return _get(worker.load.remote())
            except LOST:  # Ray starts it again
                if self._is_let_go(worker):
                    raise
                time.sleep(POLL_S)
        return _get(worker.load.remote())

    def _lose(self, worker: Any, failure: Phyt2vError) -> None:
        if len(self._workers) > 1:  # of the last one the caller hears
            self._on_notice(f"one worker less ({self._label}): {failure.message}")
        with self._changed:
            self._failure = failure
            if worker in self._workers:
                self._let_go(worker)
            self._changed.notify_all()

    def _take(self, cancelled: Cancelled) -> Any:
        with waiting(), self._changed:
            self._wait_for_free(cancelled)
            return self._free.pop()

    def _wait_for_free(self, cancelled: Cancelled) -> None:
        while not self._free:
            if not self._workers:
                raise self._failure or BackendError(f"There is no worker ({self._label}).")
            if not self._changed.wait(POLL_S) and cancelled():
                raise RunInterruptedError("The run was stopped while it waited for a worker.")

    def _give_back(self, worker: Any) -> None:
        with self._changed:
            if worker in self._workers and len(self._workers) > self._num_wanted:
                self._let_go(worker)
            elif worker in self._workers:
                self._free.append(worker)
            self._changed.notify_all()

    def _let_go(self, worker: Any) -> None:
        self._workers.remove(worker)
        self._placed.discard(worker)
        self._set_ready(worker, False)
        ray.kill(worker)

    def _set_ready(self, worker: Any, is_ready: bool) -> None:
        with self._changed:
            (self._ready.add if is_ready and worker in self._workers else self._ready.discard)(worker)
            self._on_ready(max(1, len(self._ready)))


def _result(ref: Any, worker: Any, listen: Listen | None, cancelled: Cancelled) -> Any:
    if listen is None:
        return _get(ref)
    while True:
        done, _ = ray.wait([ref], timeout=POLL_S)
        if done:
            return _get(ref)
        try:
            listen(worker, cancelled())
        except BaseException:
            worker.listen.remote(True)  # nobody wants the result any more
            ray.wait([ref])
            raise


def _get(ref: Any) -> Any:
    """Result of a call, or the error that it raised in the worker, as it was there."""
    try:
        return ray.get(ref)
    except RayTaskError as error:
        raise error.cause from None


def _why(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0].rstrip(".")
