"""Requests to one real server at a time, over all threads and roles."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from phyt2v_cli.backends.server.client import OpenAIClient
from phyt2v_cli.config.judges import CaptionerConfig, LlmConfig, ServiceConfig
from phyt2v_cli.roles import Message
from phyt2v_cli.turns import waited_s
from tests.scripted_server import Behaviour, Exchange, ScriptedServer, answer, status

pytestmark = pytest.mark.usefixtures("loopback")
MESSAGES = [Message("user", "hello")]


class InFlight:
    """Behaviour of a server that counts the requests it works on, and answers after `delay_s` seconds.

    Before the first answer it waits until `num_expected` requests have come.
    """

    def __init__(self, delay_s: float = 0.05, *, num_expected: int = 1) -> None:
        self.most = self.now = 0
        self._delay_s = delay_s
        self._num_expected = num_expected
        self._have_come = threading.Event()
        self._lock = threading.Lock()
        self._answer: Behaviour = answer("hi")

    def __call__(self, exchange: Exchange) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            if self.now == self._num_expected:
                self._have_come.set()
        assert self._have_come.wait(60)
        time.sleep(self._delay_s)
        with self._lock:
            self.now -= 1
        self._answer(exchange)


def client_of(url: str, section: type[ServiceConfig] = LlmConfig, **settings: object) -> OpenAIClient:
    values = {"backend": "openai", "model": "m", "base_url": url, "api_key_env": "CANARY_KEY", **settings}
    return OpenAIClient(section.model_validate(values), "llm" if section is LlmConfig else "captioner")


def ask_all(*asks: Callable[[], object]) -> None:
    with ThreadPoolExecutor(len(asks)) as threads:
        for future in [threads.submit(ask) for ask in asks]:
            future.result(60)


@pytest.mark.parametrize(("settings", "most"), [({"concurrency": 3}, 3), ({"concurrency": 1}, 1), ({}, 8)])
def test_no_more_requests_are_in_flight_than_the_config_says(settings: dict[str, int], most: int) -> None:
    requests = InFlight(num_expected=most)
    with ScriptedServer(requests) as server:
        client = client_of(server.url, **settings)
        ask_all(*[lambda: client.complete(MESSAGES)] * 16)
    assert requests.most == most


def test_roles_with_one_url_share_the_smallest_number() -> None:
    requests = InFlight(num_expected=2)
    with ScriptedServer(requests) as server:
        llm = client_of(server.url, concurrency=5)
        captioner = client_of(server.url, CaptionerConfig, concurrency=2)
        ask_all(*[lambda: llm.complete(MESSAGES)] * 6, *[lambda: captioner.complete(MESSAGES)] * 6)
    assert requests.most == 2


def test_other_servers_have_their_own_number() -> None:
    meeting = threading.Barrier(2, timeout=60)

    def meet(exchange: Exchange) -> None:
        meeting.wait()
        answer("hi")(exchange)

    with ScriptedServer(meet) as one, ScriptedServer(meet) as other:
        clients = [client_of(server.url, concurrency=1) for server in (one, other)]
        ask_all(*(lambda client=client: client.complete(MESSAGES) for client in clients))  # type: ignore[misc]


@pytest.mark.slow
def test_the_wait_for_a_turn_is_no_part_of_the_timeout_nor_of_the_work() -> None:
    with ScriptedServer(InFlight(0.4)) as server:
        client = client_of(server.url, concurrency=1, timeout_s=3.5, max_retries=0)
        waited: list[float] = []

        def ask() -> None:
            before = waited_s()
            client.complete(MESSAGES)
            waited.append(waited_s() - before)

        ask_all(*[ask] * 12)  # the last waits 4.4 seconds
    assert max(waited) >= 3.5
    assert min(waited) < 0.4


def test_what_one_request_learns_of_the_server_saves_those_that_wait_their_rejections() -> None:
    def reject_schemas(exchange: Exchange) -> None:
        time.sleep(0.05)
        if "response_format" in exchange.body:
            status(400, {"error": {"message": "response_format is not supported"}})(exchange)
        else:
            answer("{}")(exchange)

    with ScriptedServer(reject_schemas) as server:
        client = client_of(server.url, concurrency=1)
        ask_all(*[lambda: client.ask(MESSAGES, schema={"type": "object"})] * 4)
    assert ["response_format" in body for body in server.bodies] == [True, True, *[False] * 4]


def test_one_probe_is_enough_for_all_that_wait_for_it() -> None:
    requests = InFlight(0.2)
    with ScriptedServer(requests) as server:
        clients = [client_of(server.url, concurrency=1) for _ in range(4)]
        ask_all(*(client.probe for client in clients))
        assert (requests.most, len(server.requests)) == (1, 1)
        for client in clients:
            client.probe()
    assert len(server.requests) == 1
