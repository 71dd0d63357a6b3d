"""Connection to a cluster that is not there, or named wrongly."""

import socket

import pytest

from phyt2v_cli.backends.cluster.connection import connect
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
