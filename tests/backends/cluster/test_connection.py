"""Connection to a cluster that is not there, or named wrongly."""

import gc
import socket
from pathlib import Path

import pytest
import ray
from ray._private import services

from phyt2v_cli.backends.cluster.connection import connect, start_local
from phyt2v_cli.errors import BackendError, ConfigError


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
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_ray_that_ends_while_it_starts_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not killed from here: a Ray that dies once it has started takes its driver along, which is this process.
    first, raylet = tmp_path / "first", tmp_path / "raylet"
    raylet.write_text(f'#!/bin/sh\nmkdir "{first}" && exit 1\nexec "{services.RAYLET_EXECUTABLE}" "$@"\n')
    raylet.chmod(0o755)
    monkeypatch.setattr(services, "RAYLET_EXECUTABLE", str(raylet))
    try:
        start_local(num_cpus=1)
        assert first.exists()
        assert ray.cluster_resources()["CPU"] == 1
    finally:
        ray.shutdown()
        gc.collect()  # Ray leaves helpers of a failed start to the end of its driver; Python warns of them
