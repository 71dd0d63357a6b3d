"""Connection to a cluster that is not there, or named wrongly."""

import os
import signal
import socket
import threading
import time

import pytest
import ray

from phyt2v_cli.backends.cluster.connection import connect, start_local
from phyt2v_cli.errors import BackendError, ConfigError
from tests.backends.cluster.ray_processes import PATIENCE_S, is_ray_of


@pytest.mark.parametrize(
    "address", ["http://host:1", "host:port", ":6379", "host:70000", "a b://c", "ray://h:10001"]
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^execution.ray_address: must be auto, local or HOST:PORT$"):
        connect(address)


def test_an_address_at_which_nothing_answers() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]
        with pytest.raises(BackendError, match=rf"^No Ray cluster answers at 127\.0\.0\.1:{port}\."):
            connect(f"127.0.0.1:{port}")


def test_the_address_of_the_environment_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(BackendError, match=r"No Ray cluster answers at 127\.0\.0\.1:1"):
        connect("auto")


@pytest.mark.slow
@pytest.mark.enable_socket
@pytest.mark.xdist_group("ray")
def test_a_ray_that_ends_while_it_starts_is_started_again() -> None:
    killed: list[int] = []

    def kill_the_first() -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not killed and time.monotonic() < deadline:
            for process in is_ray_of(os.getpid()):
                os.kill(process, signal.SIGKILL)
                killed.append(process)
            time.sleep(0.05)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    try:
        start_local(num_cpus=1)
        killer.join()
        assert killed
        assert ray.cluster_resources()["CPU"] == 1
    finally:
        ray.shutdown()
