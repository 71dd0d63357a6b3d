"""What is asked instead if an endpoint cannot take a request as it is."""

from typing import Any

import pytest

from phyt2v_cli.backends.server.questions import room_for_answer
from phyt2v_cli.errors import BackendError
from phyt2v_cli.roles import Message
from tests.scripted_server import Behaviour, Body, ScriptedServer, answer, either, status
from tests.server_clients import client_of

pytestmark = pytest.mark.usefixtures("loopback")

WITH_SYSTEM = [Message("system", "Be brief."), Message("user", "hello")]


def limit_of(body: Body) -> int:
    limit: int = body.get("max_tokens") or body["max_completion_tokens"]
    return limit


def complaining(words: str, when: Any, code: int = 400) -> Behaviour:
    return either(when, status(code, {"error": {"message": words}}), answer("hi"))


@pytest.mark.parametrize(
    ("said", "room"),
    [
        ("max_tokens too large for a context of 4096", 2048),
        ("This model's maximum context length is 4,096 tokens and your request has 1,200 input tokens", 2896),
        ("maximum context length is 4097 tokens. However, you requested 5297 tokens (1200 in the messages, "
         "4097 in the completion)", 2897),
        ("`inputs` tokens + `max_new_tokens` must be <= 4097. Given: 1000 `inputs` tokens and 4096", 3097),
        ("max_tokens is too large: 100000. This model supports at most 16384 completion tokens", 16384),
        ("max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens", 8192),
        ("`max_tokens` must be less than or equal to `8192`, the maximum value", 8192),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", 8192),
        ("temperature must be less than or equal to 2", None),
        ("the request exceeds the available context size", None),
        ("slow down", None),
    ],
)  # fmt: skip
def test_how_much_room_a_server_says_there_is(said: str, room: int | None) -> None:
    assert room_for_answer(said.casefold()) == room


def test_a_small_context_is_asked_for_less_at_once() -> None:
    words = "max_tokens or max_completion_tokens too large for a context of 4096"
    with ScriptedServer(complaining(words, lambda body: limit_of(body) > 3000)) as server:
        assert client_of(server.url).complete(WITH_SYSTEM).text == "hi"
        assert [limit_of(body) for body in server.bodies] == [4096, 2048]


def test_a_context_without_room_names_the_setting() -> None:
    words = "maximum context length is 1000 tokens and your request has 990 input tokens"
    with ScriptedServer(complaining(words, lambda _: True)) as server:
        with pytest.raises(BackendError, match=r"(?s)too small a context .*`llm\.max_tokens`"):
            client_of(server.url).complete(WITH_SYSTEM)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "words",
    [
        "no system role in this template",
        "System role not supported",
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        "Developer instruction is not enabled for models/gemma-3",
        "Only user and assistant roles are supported!",
    ],
)
@pytest.mark.parametrize("code", [400, 500])
def test_a_template_without_a_system_role_gets_the_text_in_the_users_turn(words: str, code: int) -> None:
    complaint = complaining(words, lambda body: body["messages"][0]["role"] == "system", code)
    with ScriptedServer(complaint) as server:
        client = client_of(server.url)
        client.complete(WITH_SYSTEM)
        client.complete(WITH_SYSTEM)  # remembered
        sent = [[(turn["role"], turn["content"]) for turn in body["messages"]] for body in server.bodies]
    merged = [("user", "Be brief.\n\nhello")]
    assert sent == [[("system", "Be brief."), ("user", "hello")], merged, merged]


@pytest.mark.parametrize("code", [400, 403, 404])
def test_logprobs_that_may_not_be_asked_for_are_left_out(code: int) -> None:
    complaint = complaining("logprobs may not be asked of this model", lambda body: "logprobs" in body, code)
    with ScriptedServer(complaint) as server:
        client = client_of(server.url)
        assert client.complete(WITH_SYSTEM, wants_logprobs=True).text == "hi"
        assert not client.gives_logprobs


def test_a_page_says_nothing_of_parameters() -> None:
    page = "<html><!-- schema.org --><title>404</title></html>"
    with ScriptedServer(status(404, page)) as server:
        with pytest.raises(BackendError, match="is not there"):
            client_of(server.url).complete(WITH_SYSTEM, schema={"type": "object"})
        assert len(server.requests) == 1
