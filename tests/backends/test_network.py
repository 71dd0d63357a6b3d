"""Proxy and certificate variables: broken ones are said before a request, and those at work are named."""

from pathlib import Path

import certifi
import pytest

from phyt2v_cli.backends import network
from phyt2v_cli.backends.server.client import OpenAIClient
from phyt2v_cli.config.judges import VENDOR_URL, ServiceConfig, server_url
from phyt2v_cli.errors import BackendError, ConfigError
from tests.command_line import CommandLine as Phyt2v
from tests.scripted_server import ScriptedServer, answer
from tests.server_clients import MESSAGES, client_of

AWAY = "https://judge.example/v1"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "ALL_PROXY",
            "socks5://me:hush@gate:1",
            "ALL_PROXY names a SOCKS proxy, which needs the package socksio",
        ),
        ("all_proxy", "socks://me:hush@gate:1", "all_proxy names a proxy of the kind socks; supported are"),
        ("HTTPS_PROXY", "http://me:hush@gate:http", "HTTPS_PROXY is not the URL of a proxy"),
        ("HTTP_PROXY", "http://", "HTTP_PROXY is not the URL of a proxy"),
        ("SSL_CERT_FILE", "/hush/gone.pem", "SSL_CERT_FILE names a file that cannot be used: No such file"),
        ("SSL_CERT_FILE", __file__, "SSL_CERT_FILE names a file that cannot be used: no certificates"),
        ("SSL_CERT_DIR", "/hush/gone", "SSL_CERT_DIR names a folder that is not there"),
        ("SSLKEYLOGFILE", "/hush/gone", "SSLKEYLOGFILE names a file that cannot be written"),
        ("SSLKEYLOGFILE", "/", "SSLKEYLOGFILE names a file that cannot be written"),
    ],
)
def test_fault_58_a_broken_variable_is_one_line_before_anything_is_rendered(
    name: str, value: str, said: str, phyt2v: Phyt2v, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    judge = ("--set", f"llm.base_url={AWAY}", "--set", "llm.model=m")
    for more in ((), ("--dry-run",)):
        ended = phyt2v("refine", "--prompt", "a ball drops", *judge, *more)
        assert ended.code == 2
        assert said in " ".join(ended.err.split())
        assert "hush" not in ended.err
    assert not list(network.complaints("http://127.0.0.1:8000/v1"))


def test_a_log_of_keys_is_not_begun_by_a_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "log"))
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    assert list(network.complaints(AWAY)) == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", ["http://gate:3128", "gate:3128", "https://me:hush@gate"])
def test_a_proxy_that_can_be_used_is_no_fault(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    assert list(network.complaints(AWAY)) == []
    assert network.at_work(AWAY) == "The environment has it use the proxy of HTTPS_PROXY."
    monkeypatch.setenv("NO_PROXY", "judge.example")
    assert network.at_work(AWAY) == ""


def test_what_is_at_work_is_named_where_a_request_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:hush@127.0.0.1:9")
    with pytest.raises(BackendError) as caught:
        client_of("http://judge.example/v1", max_retries=0).complete(MESSAGES)
    assert "The environment has it use the proxy of HTTP_PROXY." in caught.value.hint
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://gate:1", "socks://gate:1"])
def test_fault_58_a_server_of_this_machine_is_asked_past_proxies(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    with ScriptedServer(answer("hi")) as server:
        assert client_of(server.url).complete(MESSAGES).text == "hi"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:1/v1", True),
        ("http://127.3.2.1/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://10.0.0.1/v1", False),
        (AWAY, False),
    ],
)
def test_hosts_of_this_machine(url: str, expected: bool) -> None:
    assert network.is_loopback(url) is expected


@pytest.mark.parametrize(
    ("settings", "environment", "expected"),
    [
        ({}, {}, VENDOR_URL),
        ({}, {"OPENAI_BASE_URL": AWAY}, AWAY),
        ({}, {"OPENAI_BASE_URL": " "}, VENDOR_URL),
        ({"base_url": "http://mine/v1"}, {"OPENAI_BASE_URL": AWAY}, "http://mine/v1"),
        ({"api_key_env": "OTHER_KEY"}, {"OPENAI_BASE_URL": AWAY}, VENDOR_URL),
    ],
)
def test_fault_45_the_key_goes_to_the_host_that_was_named(
    settings: dict[str, str], environment: dict[str, str], expected: str
) -> None:
    assert server_url(ServiceConfig.model_validate(settings), environment) == expected


@pytest.mark.parametrize("url", ["localhost:1/v1", "http://me:hush@host/v1", "http://h/v1\n"])
def test_no_base_url_is_said_in_words(url: str, phyt2v: Phyt2v) -> None:
    ended = phyt2v("config", "show", "--set", f"llm.base_url={url}")
    assert ended.code == 2
    assert "llm.base_url: must be a URL such as http://localhost:8000/v1" in ended.err
    assert "hush" not in ended.err
    with pytest.raises(ConfigError, match="OPENAI_BASE_URL must be a URL"):
        server_url(ServiceConfig(), {"OPENAI_BASE_URL": f"{url}?"})


def test_the_vendors_variable_is_followed_by_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(answer("hi")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
        OpenAIClient(ServiceConfig(model="m"), "llm").complete(MESSAGES)
        assert server.requests[0].headers["authorization"] == "Bearer sk-canary-0123456789"
