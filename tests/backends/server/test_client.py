"""The client: what it sends, what it makes of answers, and what it remembers of a server.

Servers that misbehave are in tests/faults/test_servers.py.
"""

import json
import ssl
import threading
from pathlib import Path

import certifi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyt2v_cli.backends.server import bodies
from phyt2v_cli.backends.server.answers import Answer, Failure, read_answer, read_rejection
from phyt2v_cli.backends.server.client import OpenAIClient
from phyt2v_cli.config.judges import ServiceConfig
from phyt2v_cli.errors import BackendError, ConfigError, ReplyError
from tests.scripted_server import Behaviour, ScriptedServer, answer, completion, either, raw, status
from tests.server_clients import KEY, MESSAGES, ask, client_of, fail

pytestmark = pytest.mark.usefixtures("loopback")


def test_what_is_sent_and_what_comes_back() -> None:
    reply, server = ask(answer("hi"), temperature=0.5, max_tokens=77)
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("hi", 10, 2)
    [request] = server.requests
    assert request.path.endswith("/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "some/model",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0.5,
        "max_tokens": 77,
    }


def test_a_temperature_that_is_not_set_is_not_sent() -> None:
    assert "temperature" not in ask(answer("hi"))[1].bodies[0]


def test_the_vendors_own_variables_go_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-canary")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-canary")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "admin-canary")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/elsewhere")
    _, server = ask(answer("hi"))
    assert "canary" not in str({k: v for k, v in server.requests[0].headers.items() if k != "authorization"})


def test_fault_45_only_the_named_key_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = "Authorization: Bearer other\nX-Api-Key: other\nCookie: other\nApi-Key: other"
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", headers)
    _, server = ask(answer("hi"))
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "other" not in str(server.requests[0].headers)


@pytest.mark.parametrize("name", ["OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"])
@pytest.mark.parametrize("value", ["é", "X-É: ü", "a: b\rc: d\n"])
def test_variables_that_are_no_headers_do_not_matter_to_others(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert ask(answer("hi"))[0].text == "hi"


@pytest.mark.parametrize("name", ["OPENAI_ORG_ID", "OPENAI_PROJECT_ID"])
def test_variables_that_the_vendor_cannot_get_are_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "é")
    with pytest.raises(BackendError, match=f"variable {name} cannot be sent"):
        OpenAIClient(ServiceConfig(model="m", api_key_env="CANARY_KEY"), "llm").complete(MESSAGES)


def test_a_server_without_keys_gets_a_placeholder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CANARY_KEY")
    _, server = ask(answer("hi"))
    assert server.requests[0].headers["authorization"] == "Bearer none"


def test_the_vendor_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CANARY_KEY")
    with pytest.raises(BackendError, match="variable CANARY_KEY is not set"):
        OpenAIClient(ServiceConfig(model="m", api_key_env="CANARY_KEY"), "llm").complete(MESSAGES)


@pytest.mark.parametrize("url", ["http://[::1", "http://host:99999999", "https:///v1"])
def test_what_is_no_url_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError, match=r"llm\.base_url"):
        client_of(url)


def test_json_that_is_whole_does_not_break_off() -> None:
    huge = json.dumps(completion("hi", usage={"prompt_tokens": 0})).replace(": 0}", f": {'9' * 5000}}}")
    text, _ = fail(raw(huge.encode()), max_retries=0)
    assert "its answer is no JSON: number out of range" in text


@pytest.mark.parametrize("wait", ["1e308", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_wait_without_an_end_is_said_in_words(wait: str) -> None:
    text, server = fail(status(429, None, {"Retry-After": wait}))
    assert "It asked to wait for more than a day." in text
    assert len(server.requests) == 1


def test_an_empty_account_is_not_asked_again() -> None:
    text, server = fail(status(429, {"error": {"message": "pay first", "code": "insufficient_quota"}}))
    assert len(server.requests) == 1
    assert "pay first" in text


def test_a_server_that_is_down_is_one_clear_line() -> None:
    with ScriptedServer(answer("hi")) as server:
        url = server.url
    with pytest.raises(BackendError, match="gave no answer after 2 attempts") as caught:
        client_of(url, max_retries=1).complete(MESSAGES)
    assert len(caught.value.message.splitlines()) == 1
    assert caught.value.hint == "Is the server running, and is `llm.base_url` right?"


# Answers that are none


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


def test_certificates_are_loaded_once_for_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded: list[bool] = []
    load = bodies.http.create_ssl_context

    def count(**settings: bool) -> ssl.SSLContext:
        loaded.append(settings["trust_env"])
        return load(**settings)

    monkeypatch.setattr(bodies.http, "create_ssl_context", count)
    for number in (1, 2):
        bundle = tmp_path / f"{number}.pem"
        bundle.write_bytes(Path(certifi.where()).read_bytes())
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        with ScriptedServer(status(503), answer("hi")) as server:
            assert client_of(server.url).complete(MESSAGES).text == "hi"
            assert client_of(server.url).complete(MESSAGES).text == "hi"
        assert len(loaded) == number
    assert not any(loaded), "on this machine the environment does not count"
