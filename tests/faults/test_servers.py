"""Servers that refuse, stall, hang up or do not understand: what one request of the client makes of them."""

import time
from email.utils import formatdate

import pytest

from phyt2v_cli.backends.server.answers import read_rejection
from phyt2v_cli.errors import BackendError, ReplyError
from tests.scripted_server import (
    Behaviour,
    Body,
    ScriptedServer,
    answer,
    cut_short,
    drip_body,
    drip_headers,
    drop,
    either,
    end_early,
    stall,
    status,
)
from tests.server_clients import KEY, MESSAGES, ask, client_of, fail

pytestmark = pytest.mark.usefixtures("loopback")

SCHEMA = {
    "title": "Reply",
    "type": "object",
    "properties": {
        "a": {"type": "string", "default": "", "maxLength": 9},
        "b": {"type": "number", "minimum": 0},
    },
    "required": ["b"],
}


def test_fault_26_retry_after_is_waited_for() -> None:
    start = time.monotonic()
    reply, server = ask(status(429, headers={"Retry-After": "1"}), answer("hi"))
    assert reply.text == "hi"
    assert time.monotonic() - start >= 1.0
    assert len(server.requests) == 2


def test_fault_26_retry_after_does_not_outlive_the_deadline() -> None:
    # Longer than a test may take: whoever waits for it, or until then, is found.
    text, server = fail(status(429, headers={"Retry-After": "600"}), timeout_s=599)
    assert "asked to wait for 600 s" in text
    assert "llm.timeout_s" in text
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": formatdate(0, usegmt=True)}, 0),
        ({"retry-after": "-5"}, 0),
    ],
)
def test_fault_26_retry_after_in_all_its_forms(headers: dict[str, str], wait_s: float) -> None:
    assert read_rejection(429, headers, "").retry_after_s == wait_s


def test_fault_26_retry_after_as_a_date() -> None:
    in_an_hour = formatdate(time.time() + 3600, usegmt=True)
    wait_s = read_rejection(429, {"retry-after": in_an_hour}, "").retry_after_s
    assert wait_s is not None
    assert 3500 <= wait_s <= 3600


@pytest.mark.parametrize("value", ["soon", "nan", "inf", "", "99999999999999999999999999-01-01"])
def test_fault_26_retry_after_that_is_none(value: str) -> None:
    assert read_rejection(429, {"retry-after": value}, "").retry_after_s is None


@pytest.mark.parametrize("code", [408, 409, 429, 500, 502, 503, 504])
def test_fault_27_what_may_pass_is_tried_again(code: int) -> None:
    reply, server = ask(status(code), status(code), answer("hi"))
    assert reply.text == "hi"
    assert len(server.requests) == 3


def test_fault_27_the_waits_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    spreads = []
    monkeypatch.setattr("random.Random.uniform", lambda _, low, high: spreads.append((low, high)) or 0.0)
    fail(status(503), max_retries=3, backoff_s=0.5)
    assert spreads == [(0, 0.5), (0, 1.0), (0, 2.0)]


def test_fault_27_there_is_an_end_to_trying() -> None:
    text, server = fail(status(503, {"error": {"message": "overloaded"}}), max_retries=2)
    assert len(server.requests) == 3
    assert "after 3 attempts" in text
    assert "503: overloaded" in text


@pytest.mark.parametrize("code", [401, 403])
def test_fault_28_a_wrong_key_names_its_variable(code: int) -> None:
    text, server = fail(status(code, {"error": {"message": f"Incorrect API key provided: {KEY}."}}))
    assert len(server.requests) == 1
    assert "CANARY_KEY" in text
    assert "llm.api_key_env" in text
    assert "[key]" in text  # what the server echoed


def test_fault_28_a_missing_key_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CANARY_KEY")
    assert "wants a key, and none is set in the environment variable CANARY_KEY" in fail(status(401))[0]


def test_fault_28_a_wrong_model_is_named_with_its_endpoint() -> None:
    text, server = fail(status(404, {"error": {"message": "no such model"}}))
    assert len(server.requests) == 1
    assert "some/model" in text
    assert server.url in text
    assert "llm.model" in text


def test_fault_28_other_mistakes_are_not_repeated() -> None:
    text, server = fail(status(400, {"error": {"message": "context too long"}}))
    assert len(server.requests) == 1
    assert "context too long" in text


@pytest.mark.parametrize("behaviour", [stall, drip_headers, drip_body])
def test_fault_29_nothing_outlives_the_deadline(behaviour: Behaviour) -> None:
    start = time.monotonic()
    text, _ = fail(behaviour, timeout_s=1)
    assert time.monotonic() - start > 0.9
    assert "within 1 s" in text


def test_fault_29_the_deadline_is_for_all_attempts_together() -> None:
    text, server = fail(status(500, {"message": "ouch"}), stall, timeout_s=1, max_retries=5)
    assert len(server.requests) <= 2, "the second one used the time up"
    assert "ouch" in text


@pytest.mark.parametrize("behaviour", [drop, cut_short, end_early])
def test_fault_30_31_a_broken_connection_is_tried_again(behaviour: Behaviour) -> None:
    reply, server = ask(behaviour, behaviour, answer("whole"))
    assert reply.text == "whole"
    assert len(server.requests) == 3


@pytest.mark.parametrize("behaviour", [drop, cut_short, end_early])
def test_fault_31_half_an_answer_is_none(behaviour: Behaviour) -> None:
    text, server = fail(behaviour, max_retries=1)
    assert len(server.requests) == 2
    assert "after 2 attempts" in text


def test_fault_32_a_cut_answer_gets_a_larger_budget_once() -> None:
    reply, server = ask(answer("half", finish_reason="length"), answer("whole"), max_tokens=50)
    assert [body["max_tokens"] for body in server.bodies] == [50, 100]
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("whole", 20, 4)


@pytest.mark.parametrize("second", [answer("half", finish_reason="length"), status(400, "too many tokens")])
def test_fault_32_an_answer_that_is_cut_twice_is_none(second: Behaviour) -> None:
    with ScriptedServer(answer("half", finish_reason="length"), second) as server:
        with pytest.raises(ReplyError, match=r"cut off .*\nRaise `llm\.max_tokens`"):
            client_of(server.url).complete(MESSAGES)
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (answer(None, refusal="I cannot\nhelp"), "refused to answer: I cannot help"),
        (answer("", finish_reason="content_filter"), "content filter"),
    ],
)
def test_fault_35_refusals_are_said(behaviour: Behaviour, why: str) -> None:
    with ScriptedServer(behaviour) as server, pytest.raises(ReplyError, match=why):
        client_of(server.url).complete(MESSAGES)


def form_of(body: Body) -> str | None:
    kind: str | None = body.get("response_format", {}).get("type")
    return kind


def rejecting(*forms: str, code: int, message: str) -> Behaviour:
    return either(lambda body: form_of(body) in forms, status(code, {"error": message}), answer('{"b": 1}'))


LADDER = ["json_schema", "json_object", None]


@pytest.mark.parametrize(
    ("forms", "code", "message"),
    [
        ((), 0, ""),
        (("json_schema",), 500, "response_format type must be one of text or json_object"),
        (("json_schema",), 400, "Invalid schema for response_format"),
        (("json_schema", "json_object"), 422, "Unknown parameter: response_format"),
    ],
)
def test_fault_36_the_ladder(forms: tuple[str, ...], code: int, message: str) -> None:
    with ScriptedServer(rejecting(*forms, code=code, message=message)) as server:
        client = client_of(server.url)
        assert client.complete(MESSAGES, schema=SCHEMA).text == '{"b": 1}'
        steps = len(forms)
        assert [form_of(body) for body in server.bodies] == LADDER[: steps + 1]
        # Another client of this process begins where this one has ended; another model does not.
        client_of(server.url).complete(MESSAGES, schema=SCHEMA)
        client_of(server.url, model="other").complete(MESSAGES, schema=SCHEMA)
        assert [form_of(body) for body in server.bodies[steps + 1 : steps + 3]] == [
            LADDER[steps],
            "json_schema",
        ]


def test_fault_36_what_is_sent_on_each_rung() -> None:
    strict = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "number", "minimum": 0}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    with ScriptedServer(rejecting("json_schema", code=400, message="json_schema?")) as server:
        client_of(server.url).complete(MESSAGES, schema=SCHEMA)
        first, second = (body["response_format"] for body in server.bodies)
    assert first["json_schema"] == {"name": "reply", "strict": True, "schema": strict}
    assert second == {"type": "json_object", "schema": strict}


def test_fault_36_other_errors_do_not_climb_down() -> None:
    with ScriptedServer(status(400, "no"), status(503, "json_schema"), answer("{}")) as server:
        client = client_of(server.url)
        with pytest.raises(BackendError):
            client.complete(MESSAGES, schema=SCHEMA)
        client.complete(MESSAGES, schema=SCHEMA)
        assert {form_of(body) for body in server.bodies} == {"json_schema"}


def test_fault_36_what_did_not_help_is_not_remembered() -> None:
    with ScriptedServer(
        status(400, "schema"), status(400, "schema"), status(400, "it is something else"), answer("{}")
    ) as server:
        client = client_of(server.url)
        with pytest.raises(BackendError, match="something else"):
            client.complete(MESSAGES, schema=SCHEMA)
        client.complete(MESSAGES, schema=SCHEMA)
        assert [form_of(body) for body in server.bodies] == [*LADDER, "json_schema"]
