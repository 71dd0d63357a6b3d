import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

import phyt2v_cli
from phyt2v_cli.backends.checkpoints import diffusers_folder
from phyt2v_cli.checks import machine
from phyt2v_cli.checks.machine import Gpu
from phyt2v_cli.config.layers import load_config
from phyt2v_cli.config.schema import Config


def config(text: str, tmp_path: Path) -> Config:
    (tmp_path / "mine.toml").write_text(text)
    return load_config(config=tmp_path / "mine.toml", environment={}).config


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A server that is not well at /models, and remembers what it was asked and told."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.path} {self.headers}")
            self.send_error(500)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{http.server_address[1]}", seen
        http.shutdown()
        thread.join()


def test_this_machine_runs_the_default_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = [*machine.quick_checks(Config()), machine.check_libraries(), machine.check_gpu(None)]
    checks = {check.what: check for check in found}
    assert all(check.state == "ok" for check in checks.values() if check.essential)
    assert {"libraries", "disk for runs", "codecs", "embedded model"} == {
        check.what for check in checks.values() if check.essential
    }
    assert "torch 2" in checks["libraries"].detail
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_is_told_with_its_memory() -> None:
    assert machine.check_gpu(Gpu("H200", 139.04, 150)).detail == "H200, 139.0 of 150.0 GB free"
    assert machine.check_gpu(None).state == "missing"


def test_a_broken_embedded_model_is_essential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = shutil.copytree(diffusers_folder.MODEL_DIR, tmp_path / "model")
    (model / "vae" / "config.json").unlink()
    monkeypatch.setattr(diffusers_folder, "MODEL_DIR", model)
    check = machine.check_embedded_model()
    assert (check.state, check.essential) == ("problem", True)
    assert "vae has no config.json" in check.detail


def test_a_folder_without_room_is_essential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/proc")
    check = next(machine.check_disks())
    assert (check.state, check.essential) == ("problem", True)


def test_keys_are_named_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("EMPTY_KEY", "")
    text = '[llm]\napi_key_env = "MY_KEY"\n[[scorer.others]]\napi_key_env = "EMPTY_KEY"'
    checks = list(machine.check_keys(config(text, tmp_path)))
    assert [(check.what, check.state, check.detail) for check in checks] == [
        ("key", "missing", "OPENAI_API_KEY is not set"),
        ("key", "ok", "MY_KEY is set"),
        ("key", "missing", "EMPTY_KEY is not set"),
    ]
    needed = next(machine.check_keys(config('[llm]\nbackend = "openai"\nmodel = "m"', tmp_path)))
    assert (needed.state, needed.todo) == ("problem", "export it: llm needs it")
    assert "secret" not in str(checks)


def test_any_http_answer_is_an_answer(
    server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    address, seen = server
    url = f'base_url = "http://{address}/v1/"\nmodel = "m"'
    checks = list(machine.check_endpoints(config(f"[llm]\n{url}\n[[scorer.others]]\n{url}", tmp_path)))
    assert [(check.what, check.state) for check in checks] == [("server", "ok")]
    assert checks[0].detail == f"llm, scorer.others[0]: http://{address}/v1 answers (HTTP 500)"
    assert len(seen) == 1
    assert seen[0].startswith("/v1/models ")
    assert "secret" not in seen[0]
    assert "secret" not in str(checks)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://127.0.0.1:x/v1", "http://[::1/v1"])
def test_a_server_that_does_not_answer(url: str, tmp_path: Path) -> None:
    check = next(machine.check_endpoints(config(f'[captioner]\nbase_url = "{url}"', tmp_path)))
    assert check.state == "problem"
    assert check.detail.startswith("captioner: no answer: ")
    assert "captioner.base_url" in check.todo


def test_programs_of_scorers_are_looked_up(tmp_path: Path) -> None:
    text = '[scorer]\nbackend = "command"\ncommand = ["sh"]\n[[scorer.others]]\nbackend = "command"\n'
    checks = list(machine.check_programs(config(f'{text}command = ["no-such-judge"]', tmp_path)))
    assert [check.state for check in checks] == ["ok", "problem"]
    assert checks[0].detail.startswith("scorer: /")
    assert checks[1].detail.startswith("scorer.others[0]: there is no program no-such-judge")


def test_the_computer_is_named() -> None:
    versions, cpu, ram = machine.check_computer()
    assert versions.detail.startswith(f"phyt2v {phyt2v_cli.__version__}, Python 3.")
    assert cpu.detail.endswith(" cores")
    assert float(ram.detail.removesuffix(" GB")) > 0.1


@pytest.mark.parametrize(
    ("checks", "state", "detail"),
    [
        ([("GPU", "missing", False)], "ok", "nothing is broken"),
        ([("key", "problem", False)] * 2, "missing", "this needs fixing: key"),
        ([("key", "problem", False), ("codecs", "problem", True)], "problem", "runs here: key, codecs"),
    ],
)
def test_the_verdict(checks: list[tuple[str, machine.State, bool]], state: str, detail: str) -> None:
    found = machine.verdict([machine.Check(what, of, "", "", essential) for what, of, essential in checks])
    assert (found.what, found.state) == ("verdict", state)
    assert found.detail.endswith(detail)
