"""The client against a server that misbehaves in every way that servers do."""

import json
import threading
import time
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from phyt2v_cli.backends.openai_answers import Answer, Failure, read_answer, read_rejection
from phyt2v_cli.backends.openai_client import OpenAIClient
from phyt2v_cli.errors import BackendError, ConfigError, ReplyError
from phyt2v_cli.settings import ServiceConfig
from tests.scripted_server import (
    Behaviour,
    Body,
    ScriptedServer,
    answer,
    completion,
    cut_short,
    drip_body,
    drip_headers,
    drop,
    either,
    end_early,
    raw,
    stall,
    status,
)

KEY = "sk-canary-0123456789"
MESSAGES = [{"role": "user", "content": "hello"}]
SCHEMA = {
    "title": "Reply",
    "type": "object",
    "properties": {
        "a": {"type": "string", "default": "", "maxLength": 9},
        "b": {"type": "number", "minimum": 0},
    },
    "required": ["b"],
}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def client_of(url: str, *, backoff_s: float = 0.01, **settings: object) -> OpenAIClient:
    config = ServiceConfig.model_validate(
        {"model": "some/model", "base_url": url, "api_key_env": "CANARY_KEY", "timeout_s": 20, **settings}
    )
    return OpenAIClient(config, "llm", backoff_s=backoff_s)


def ask(*script: Behaviour, **settings: Any) -> tuple[Answer, ScriptedServer]:
    with ScriptedServer(*script) as server:
        return client_of(server.url, **settings).complete(MESSAGES), server


def fail(*script: Behaviour, **settings: Any) -> tuple[str, ScriptedServer]:
    """Return the one line that the user reads."""
    with ScriptedServer(*script) as server:
        with pytest.raises(BackendError) as caught:
            client_of(server.url, **settings).complete(MESSAGES)
        text = str(caught.value)
        assert "\n" not in text
        assert KEY not in text
        return text, server


def test_what_is_sent_and_what_comes_back() -> None:
    reply, server = ask(answer("hi"), temperature=0.5, max_tokens=77)
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("hi", 10, 2)
    [request] = server.requests
    assert request.path.endswith("/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "some/model",
        "messages": MESSAGES,
        "temperature": 0.5,
        "max_tokens": 77,
    }


def test_a_temperature_that_is_not_set_is_not_sent() -> None:
    assert "temperature" not in ask(answer("hi"))[1].bodies[0]


def test_the_vendors_own_variables_go_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-canary")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-canary")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/elsewhere")
    _, server = ask(answer("hi"))
    assert "canary" not in str({k: v for k, v in server.requests[0].headers.items() if k != "authorization"})


def test_a_server_without_keys_gets_a_placeholder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CANARY_KEY")
    _, server = ask(answer("hi"))
    assert server.requests[0].headers["authorization"] == "Bearer none"


def test_the_vendor_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CANARY_KEY")
    with pytest.raises(BackendError, match="variable CANARY_KEY is not set"):
        OpenAIClient(ServiceConfig(model="m", api_key_env="CANARY_KEY"), "llm").complete(MESSAGES)


@pytest.mark.parametrize("key", ["sk-canary\nX-Evil: 1", "sk-canary 2", "sk-canäry"])
def test_fault_44_a_key_that_is_none_is_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", key)
    text, server = fail(answer("hi"))
    assert "CANARY_KEY" in text
    assert "sk-can" not in text
    assert not server.requests


def test_fault_44_a_key_that_a_server_repeats_is_kept_back(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(answer(f"your key is {KEY}"))[0].text == "your key is [key]"
    monkeypatch.setenv("CANARY_KEY", "none")  # a placeholder, which is also a word
    assert ask(answer("there is none"))[0].text == "there is none"


@pytest.mark.parametrize(
    "url", ["http://user:hush@host/v1", "http://host/v1?token=hush", "http://host/v1#hush"]
)
def test_fault_44_secrets_in_a_url_are_refused(url: str) -> None:
    with pytest.raises(ValidationError) as caught:  # it would be stored with the run
        client_of(url)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http://host:99999999", "https:///v1"])
def test_what_is_no_url_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError, match=r"llm\.base_url"):
        client_of(url)


# Retries


def test_fault_26_retry_after_is_waited_for() -> None:
    start = time.monotonic()
    reply, server = ask(status(429, headers={"Retry-After": "1"}), answer("hi"))
    assert reply.text == "hi"
    assert 1.0 <= time.monotonic() - start < 4
    assert len(server.requests) == 2


def test_fault_26_retry_after_does_not_outlive_the_deadline() -> None:
    start = time.monotonic()
    text, server = fail(status(429, headers={"Retry-After": "600"}))
    assert time.monotonic() - start < 5
    assert "asked to wait for 600 s" in text
    assert "llm.timeout_s" in text
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"retry-after": "7"}, 7, 7),
        ({"retry-after": "0.5"}, 0.5, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25, 0.25),
        ({"retry-after": formatdate(time.time() + 3600, usegmt=True)}, 3500, 3600),
        ({"retry-after": formatdate(0, usegmt=True)}, 0, 0),
        ({"retry-after": "-5"}, 0, 0),
    ],
)
def test_fault_26_retry_after_in_all_its_forms(headers: dict[str, str], low: float, high: float) -> None:
    wait = read_rejection(429, headers, "").retry_after_s
    assert wait is not None
    assert low <= wait <= high


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
    monkeypatch.setattr("random.uniform", lambda low, high: spreads.append((low, high)) or 0.0)
    fail(status(503), max_retries=3, backoff_s=0.5)
    assert spreads == [(0, 0.5), (0, 1.0), (0, 2.0)]


def test_fault_27_there_is_an_end_to_trying() -> None:
    text, server = fail(status(503, {"error": {"message": "overloaded"}}), max_retries=2)
    assert len(server.requests) == 3
    assert "after 3 attempts" in text
    assert "503: overloaded" in text


def test_an_empty_account_is_not_asked_again() -> None:
    text, server = fail(status(429, {"error": {"message": "pay first", "code": "insufficient_quota"}}))
    assert len(server.requests) == 1
    assert "pay first" in text


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
    assert 0.9 < time.monotonic() - start < 3
    assert "within 1 s" in text


def test_fault_29_the_deadline_is_for_all_attempts_together() -> None:
    start = time.monotonic()
    text, _ = fail(status(500, {"message": "ouch"}), stall, timeout_s=1)
    assert time.monotonic() - start < 3
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


def test_a_server_that_is_down_is_one_clear_line() -> None:
    with ScriptedServer(answer("hi")) as server:
        url = server.url
    with pytest.raises(BackendError, match=r"Is the server running, and is llm\.base_url right\?"):
        client_of(url, max_retries=1).complete(MESSAGES)


# Answers that are none


def test_fault_32_a_cut_answer_gets_a_larger_budget_once() -> None:
    reply, server = ask(answer("half", finish_reason="length"), answer("whole"), max_tokens=50)
    assert [body["max_tokens"] for body in server.bodies] == [50, 100]
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("whole", 20, 4)


@pytest.mark.parametrize("second", [answer("half", finish_reason="length"), status(400, "too many tokens")])
def test_fault_32_an_answer_that_is_cut_twice_is_none(second: Behaviour) -> None:
    with ScriptedServer(answer("half", finish_reason="length"), second) as server:
        with pytest.raises(ReplyError, match=r"cut off .* llm\.max_tokens"):
            client_of(server.url).complete(MESSAGES)
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (answer(None, refusal="I cannot\nhelp"), "refused to answer: I cannot help"),
        (answer("", finish_reason="content_filter"), "content filter"),
        (answer(None), "empty"),
        (answer(" \n"), "empty"),
    ],
)
def test_fault_35_refusals_and_empty_answers_are_said(behaviour: Behaviour, why: str) -> None:
    with ScriptedServer(behaviour) as server, pytest.raises(ReplyError, match=why):
        client_of(server.url).complete(MESSAGES)


@pytest.mark.parametrize(
    ("behaviour", "what"),
    [
        (raw(b"<!DOCTYPE html><title>Welcome</title>", "text/html"), "an HTML page"),
        (raw(b"It works!", "text/plain"), "It works!"),
        (raw(b""), "an empty body"),
        (raw(b"[1, 2]"), "JSON that is no chat completion"),
        (raw(b'{"choices": []}'), "JSON that is no chat completion"),
        (raw(b'{"choices": [{"message": "hi"}]}'), "JSON that is no chat completion"),
        (raw(b"null"), "JSON that is no chat completion"),
        (raw(b"\xff\xfe\x00"), ""),
    ],
)
def test_an_endpoint_that_is_not_openais_is_said(behaviour: Behaviour, what: str) -> None:
    text, server = fail(behaviour)
    assert len(server.requests) == 1
    assert "not OpenAI-compatible" in text
    assert what in text
    assert "llm.base_url" in text


def test_an_error_under_a_good_status_is_an_error() -> None:
    reply, server = ask(raw(b'{"error": {"message": "upstream", "code": 502}}'), answer("hi"))
    assert reply.text == "hi"
    text, server = fail(raw(b'{"error": {"message": "bad thing", "code": "x"}}'))
    assert "bad thing" in text
    assert len(server.requests) == 1


def test_a_redirect_takes_no_key_anywhere() -> None:
    with ScriptedServer(answer("hi")) as other:
        text, _ = fail(status(307, headers={"Location": f"{other.url}/chat/completions"}))
        assert "redirects" in text
        assert not other.requests


@pytest.mark.parametrize(
    "body",
    [
        '"plain"',
        "[]",
        "{}",
        "null",
        "<html>\n<body>Bad gateway</body></html>",
        "",
        "\x00\x1b]52;c;x\x07",
        '{"error": "text"}',
        '{"error": null}',
        '{"error": {"message": {"a": [1]}, "code": [], "param": 7, "type": {}}}',
        '{"detail": [{"loc": ["body", "messages", 0], "msg": "Field required"}]}',
        '{"error": [[["deep"]]]}',
        "[" * 100_000,
        '{"message": "' + "x" * 100_000 + '"}',
    ],
)
@pytest.mark.parametrize("code", [400, 401, 404, 418, 503])
def test_error_bodies_of_any_shape_give_one_short_line(body: str, code: int) -> None:
    text, _ = fail(status(code, body), max_retries=0)
    assert len(text) < 800


_KEYS = ["error", "message", "detail", "msg", "loc", "choices", "usage", "logprobs", "content", "code"]


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(_KEYS), inner),
    ).map(json.dumps)
)
def test_any_body_is_read_without_a_traceback(body: str) -> None:
    assert isinstance(read_answer(body, "application/json"), Failure)
    assert read_rejection(500, {}, body).status == 500


@pytest.mark.parametrize("usage", [None, {}, "many", {"prompt_tokens": -1}, {"prompt_tokens": None}, [1]])
def test_odd_usage_does_not_spoil_an_answer(usage: object) -> None:
    reply = read_answer(json.dumps({**completion("hi"), "usage": usage}), "application/json")
    assert isinstance(reply, Answer)
    assert (reply.text, reply.prompt_tokens) == ("hi", 0)


# What endpoints do not understand


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


def test_the_other_name_of_max_tokens_is_remembered() -> None:
    complaint = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    with ScriptedServer(
        either(
            lambda body: "max_tokens" in body, status(400, {"error": {"message": complaint}}), answer("hi")
        )
    ) as server:
        client = client_of(server.url, max_tokens=9)
        client.complete(MESSAGES)
        client.complete(MESSAGES)
        limits = [{k: v for k, v in body.items() if "tokens" in k} for body in server.bodies]
    assert limits == [{"max_tokens": 9}, {"max_completion_tokens": 9}, {"max_completion_tokens": 9}]


# Logprobs


@pytest.mark.parametrize("rejects", [True, False])
def test_endpoints_without_logprobs_are_remembered(rejects: bool) -> None:
    complaint = status(400, {"error": {"message": "logprobs are not supported"}}) if rejects else answer("no")
    with ScriptedServer(either(lambda body: "logprobs" in body, complaint, answer("no"))) as server:
        client = client_of(server.url)
        assert client.gives_logprobs
        assert client.complete(MESSAGES, wants_logprobs=True).logprobs == {}
        assert not client.gives_logprobs
        client.complete(MESSAGES, wants_logprobs=True)
        assert "logprobs" not in server.bodies[-1]


def test_a_refusal_says_nothing_about_logprobs() -> None:
    with ScriptedServer(answer(None, refusal="no")) as server:
        client = client_of(server.url)
        with pytest.raises(ReplyError):
            client.complete(MESSAGES, wants_logprobs=True)
        assert client.gives_logprobs


def test_logprobs_of_the_first_word() -> None:
    tokens = [
        {"token": "\n", "logprob": -0.1, "top_logprobs": []},
        {"token": " Yes", "logprob": -0.2, "top_logprobs": [{"token": " Yes", "logprob": -0.2}]},
    ]
    body = completion("\n Yes, indeed", finish_reason="length")
    body["choices"][0]["logprobs"] = {"content": tokens}
    reply, server = ask(raw(json.dumps(body).encode()))
    assert (reply.first_token, reply.logprobs) == (" Yes", {" Yes": -0.2})
    assert len(server.requests) == 1  # the rest does not matter


def test_threads_share_a_client() -> None:
    with ScriptedServer(status(503), status(429), answer("hi")) as server:
        client = client_of(server.url)
        texts: list[str] = []
        threads = [
            threading.Thread(target=lambda: texts.append(client.complete(MESSAGES).text)) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == ["hi"] * 6
