"""Workers for which a real local Ray has no room, and drivers that find it taken."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import ray

from phyt2v_cli.backends.cluster import pool as pools
from phyt2v_cli.backends.cluster.connection import start_local
from phyt2v_cli.backends.cluster.factory import ClusterRoles
from phyt2v_cli.backends.cluster.pool import Pool
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.schema import Config
from tests.backends.cluster.ray_processes import PATIENCE_S, workers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.enable_socket,
    pytest.mark.xdist_group("ray"),
]

NUM_CPUS = 4


class Worker:
    """A worker with nothing to load."""

    def load(self) -> None:
        pass

    def answer(self) -> int:
        return 1


def start_worker(num_cpus: int = 1) -> Any:
    return ray.remote(Worker).options(num_cpus=num_cpus).remote()


class Nothing:
    """A generator that is only loaded."""

    fps = 8
    settings: dict[str, str] = {}  # noqa: RUF012  part of the protocol


def load_nothing(_: GeneratorConfig, *, num_planned_steps: int = 0) -> Any:
    assert num_planned_steps >= 0
    return Nothing()


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    # Workers find no tests, so these are sent to them.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    start_local(num_cpus=NUM_CPUS)
    yield
    ray.shutdown()


@pytest.fixture
def taken() -> Iterator[Any]:
    """All CPUs but one, taken as by another driver."""
    wait_for(lambda: ray.available_resources().get("CPU") == NUM_CPUS)
    other = start_worker(NUM_CPUS - 1)
    wait_for(lambda: ray.available_resources().get("CPU") == 1)
    yield other
    ray.kill(other)


def wait_for(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_workers_without_room_are_told_of_once_and_come_when_there_is_room(
    taken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "PLACED_WITHIN_S", 15.0)
    notices, ready = list[str](), list[int]()
    pool = Pool("scorer", start_worker, on_ready=ready.append, on_notice=notices.append)
    pool.resize(3)
    pool.wait_until_ready()
    assert notices == []
    wait_for(lambda: bool(notices))
    time.sleep(1)  # the other that waits says nothing
    told = "no room on the cluster yet for 2 of 3 workers (scorer); 0 of 0 GPUs and 0 of 4 CPUs are free"
    assert notices == [told]
    assert pool.call("answer") == 1, "the one that is there works"
    ray.kill(taken)
    wait_for(lambda: max(ready) == 3)
    pool.close()
    assert len(notices) == 1


def test_a_driver_asks_for_no_cpu_that_another_has(taken: Any) -> None:
    config = Config.model_validate(
        {
            "llm": {"backend": "rulebook"},
            "captioner": {"backend": "tracker"},
            "scorer": {"backend": "tracker"},
            "execution": {"executor": "ray", "workers": NUM_CPUS},
        }
    )
    notices: list[str] = []
    roles = ClusterRoles(config, load_in_worker=load_nothing, on_notice=notices.append)
    assert notices == [f"1 of the {NUM_CPUS} workers that are wanted are started, for want of CPUs (1 free)"]
    roles.load_generator(config.generator)
    ray.kill(taken)
    time.sleep(5)  # in which workers that wait for room would come
    assert ray.available_resources().get("CPU") == NUM_CPUS - 1
    assert (len(workers()), roles.turns.num_places) == (1, 1)
    roles.close()


def test_once_closed_no_thread_asks_ray_for_anything() -> None:
    # After this process has left the cluster, such a question would start another one.
    pool = Pool("scorer", start_worker)
    pool.resize(2)
    pool.close()
    assert [thread.name for thread in threading.enumerate() if thread.name == "load"] == []
