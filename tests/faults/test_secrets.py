"""A key is named by its variable and never written, printed or passed on a command line."""

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from tests.faults.processes import PHYT2V, QUICK, Doubled, default_signals, start
from tests.scripted_server import ScriptedServer, answer, answer_of_any_task, answer_with, raw, status
from tests.server_clients import KEY, ask, client_of, fail

CANARY = "sk-canary/7d41c9e2b8f04a35=="
VARIABLES = ("OPENAI_API_KEY", "MY_KEY", "HF_TOKEN", "ANTHROPIC_API_KEY")
NAMED = ("--set", "llm.api_key_env=MY_KEY", "--set", "scorer.api_key_env=MY_KEY")


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, CANARY)


def end(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Return the exit code and all that was said, tracebacks too."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err


def search(path: Path) -> list[Path]:
    """Return the files below `path` that hold the canary, as JSON may write it too."""
    files = [file for file in path.rglob("*") if file.is_file()]
    return [file for file in files if CANARY.encode() in file.read_bytes().replace(b"\\/", b"/")]


@pytest.mark.slow
@pytest.mark.usefixtures("canary")
def test_fault_44_a_run_leaves_no_key(tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "run"
    process = doubled.start(
        *(*QUICK, *NAMED, "--verbose", "--out", path),
        script={"hang": ["caption:1"]},
        preexec_fn=default_signals,  # a new process, whose command line is its own
    )
    doubled.wait_for("caption:1 hangs")
    # What `ps` shows of it; the environment itself is the owner's.
    command_line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    process.terminate()
    _, said = end(process)
    assert "Traceback" in said  # --verbose asked for it
    assert b"refine" in command_line
    assert CANARY.encode() not in command_line
    for arguments in (
        ("refine", "--resume", path, "--verbose"),
        ("report", path, "--json"),
        ("refine", "--resume", path, "--json"),
    ):
        ended = doubled.run(*arguments)
        assert ended.code == 0
        said += ended.out + ended.err
    assert "MY_KEY" in (path / "run.json").read_text()
    assert (path / "report.html").exists()
    assert (path / "contact.png").exists()
    assert CANARY not in said
    assert search(tmp_path) == []


def ask_servers(url: str) -> list[str]:
    """Return the options that have a server play all three judges, with the key in $MY_KEY."""
    settings = (
        "backend=openai",
        f"base_url={url}",
        "model=some/model",
        "api_key_env=MY_KEY",
        "max_retries=0",
    )
    pairs = [f"{role}.{setting}" for role in ("llm", "captioner", "scorer") for setting in settings]
    return [word for pair in pairs for word in ("--set", pair)]


def escape(text: str) -> str:
    """Return a text as JSON may write it, with an escape for each character."""
    return "".join(f"\\u{ord(char):04X}" for char in text)


@pytest.mark.usefixtures("canary")
@pytest.mark.parametrize(
    "repeated",
    [CANARY, escape(CANARY), escape("sk-") + CANARY[3:], CANARY.replace("/", "\\/").replace("=", "\\u003d")],
)
def test_fault_44_46_a_server_that_repeats_the_key(repeated: str, tmp_path: Path, doubled: Doubled) -> None:
    def repeat_key(body: dict[str, object]) -> str:
        reply = answer_of_any_task(body)
        for words in ("It moves.", "the ball", "it hovers"):
            reply = reply.replace(words, f"{words} {repeated}")
        return reply

    path = tmp_path / "run"
    with ScriptedServer(answer_with(repeat_key)) as server:
        options = ("--verbose", "--out", path, *ask_servers(server.url))
        ended = doubled.run(*QUICK, *options, script={"real_judges": True})
        assert ended.code == 0, ended.err
        assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {CANARY}"}
        sent = json.dumps([request.body for request in server.requests])
    assert CANARY not in ended.out + ended.err + sent
    assert "It moves. [key]" in (path / "round1.json").read_text()
    assert doubled.run("report", path).code == 0
    assert search(tmp_path) == []


@pytest.mark.usefixtures("canary")
@pytest.mark.parametrize("named", ["MY_KEY", "OTHER_KEY"])
def test_fault_46_a_program_that_repeats_the_key(named: str, tmp_path: Path, doubled: Doubled) -> None:
    program = tmp_path / "judge"
    reply = {"semantic_adherence": 0.5, "physical_commonsense": 0.5, "reasons": ["said KEY"]}
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(reply)}\nEND\n".replace("KEY", escape(CANARY)))
    program.chmod(0o755)
    settings = ("scorer.backend=command", f"scorer.command={program}", f"scorer.api_key_env={named}")
    scorer = [word for setting in settings for word in ("--set", setting)]
    ended = doubled.run(*QUICK, *scorer, "--out", tmp_path / "run", script={"real_judges": True})
    assert ended.code == 0, ended.err
    assert CANARY not in ended.out + ended.err
    assert "said [key]" in (tmp_path / "run" / "round1.json").read_text()
    assert search(tmp_path) == []


@pytest.mark.usefixtures("canary")
def test_fault_44_a_server_that_rejects_the_key(tmp_path: Path, doubled: Doubled) -> None:
    complaint = {"error": {"message": f"Incorrect API key provided: {CANARY}", "code": "invalid_api_key"}}
    with ScriptedServer(status(401, complaint)) as server:
        options = ("--verbose", "--out", tmp_path / "run", *ask_servers(server.url))
        process = doubled.start(*QUICK, *options, script={"real_judges": True})
        code, said = end(process)
    assert code == 4
    assert "MY_KEY" in said
    assert CANARY not in said
    assert search(tmp_path) == []


@pytest.mark.usefixtures("canary")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("config", "show"), 0),
        (("config", "show", "--json", *NAMED), 0),
        (("config", "schema"), 0),
        (("refine", "--prompt", "x", "--dry-run", "--json", *NAMED), 0),
        (("refine", "--prompt", "x", "--set", "captioner.backend=transformers", "--verbose"), 2),
        (("generate", "--prompt", "x", "--model", "./nowhere", "--verbose"), 4),
        # The key itself where its variable's name belongs; the flag is the user's own doing, the echo ours.
        (("config", "show", "--verbose", "--set", f"llm.api_key_env={CANARY}"), 2),
        (("config", "show", "--verbose", "--set", f"llm.api_key={CANARY}"), 2),
        (("config", "show", "--verbose", "--set", f"llm.base_url=https://me:{CANARY}@host/v1"), 2),
        (("config", "show", "--verbose", "--set", f"llm.base_url=https://host/v1?key={CANARY}"), 2),
    ],
    ids=lambda value: " ".join(value).replace(CANARY, "KEY") if isinstance(value, tuple) else None,
)
def test_fault_44_no_command_shows_a_key(arguments: tuple[str, ...], code: int, tmp_path: Path) -> None:
    ended, said = end(start([*PHYT2V, *arguments], dict(os.environ), cwd=tmp_path))
    assert ended == code, said
    assert CANARY not in said
    assert search(tmp_path) == []


@pytest.mark.usefixtures("canary")
@pytest.mark.parametrize("line", ["api_key_env = KEY", "api_key = KEY", "model = {key = KEY}"])
def test_fault_44_a_key_in_a_config_file_is_not_echoed(line: str, tmp_path: Path) -> None:
    for name, text in (("llm", "[llm]\n"), ("others", "[[scorer.others]]\n")):
        path = tmp_path / f"{name}.toml"
        path.write_text(text + line.replace("KEY", f'"{CANARY}"'))
        command = [*PHYT2V, "config", "show", "--verbose", "--config", str(path)]
        code, said = end(start(command, dict(os.environ)))
        assert code == 2
        assert CANARY not in said


@pytest.mark.usefixtures("canary")
def test_fault_44_environment_settings_are_not_echoed() -> None:
    # the first is no setting, which is only a note
    for name, code in (
        ("PHYT2V_LLM__API_KEY", 0),
        ("PHYT2V_LLM__API_KEY_ENV", 2),
        ("PHYT2V_LLM__BASE_URL", 2),
    ):
        process = start([*PHYT2V, "config", "show", "--verbose"], {**os.environ, name: CANARY})
        ended, said = end(process)
        assert ended == code
        assert name in said or code == 2
        assert CANARY not in said


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize("key", ["sk-canary\nX-Evil: 1", "sk-canary 2", "sk-canäry"])
def test_fault_44_a_key_that_is_none_is_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", key)
    text, server = fail(answer("hi"))
    assert "CANARY_KEY" in text
    assert "sk-can" not in text
    assert not server.requests


@pytest.mark.usefixtures("loopback")
def test_fault_44_a_key_that_a_server_repeats_is_kept_back(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(answer(f"your key is {KEY}"))[0].text == "your key is [key]"
    monkeypatch.setenv("CANARY_KEY", "none")  # a placeholder, which is also a word
    assert ask(answer("there is none"))[0].text == "there is none"


@pytest.mark.usefixtures("loopback")
def test_fault_44_a_key_in_two_parts_of_an_answer_is_kept_back() -> None:
    texts = ("it is ", KEY[:9], KEY[9:], ".")
    message = {"content": [{"type": "text", "text": text} for text in texts]}
    assert ask(raw(json.dumps({"choices": [{"message": message}]}).encode()))[0].text == "it is [key]."


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize(
    "repeated",
    [
        quote(CANARY, safe=""),
        quote(CANARY).lower(),
        "".join(f"&#x{ord(char):X};" for char in CANARY),
        CANARY.replace("/", "&sol;").replace("=", "&#061;"),
    ],
)
def test_fault_44_a_key_that_is_escaped_for_a_page_is_kept_back(
    repeated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_KEY", CANARY)
    text, _ = fail(status(400, {"error": {"message": f"No {repeated} here"}}))
    assert "No [key] here" in text


@pytest.mark.usefixtures("loopback")
def test_fault_44_a_key_as_the_name_of_a_compression_is_kept_back() -> None:
    text, _ = fail(lambda exchange: exchange.send(200, b"x", {"Content-Encoding": KEY}))
    assert "in the compression" in text
    assert KEY not in text


@pytest.mark.parametrize(
    "url", ["http://user:hush@host/v1", "http://host/v1?token=hush", "http://host/v1#hush"]
)
def test_fault_44_secrets_in_a_url_are_refused(url: str) -> None:
    with pytest.raises(ValidationError) as caught:  # it would be stored with the run
        client_of(url)
    assert "hush" not in str(caught.value)
