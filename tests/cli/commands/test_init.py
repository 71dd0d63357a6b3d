"""`phyt2v init`: what it writes is loaded, and nothing is asked where nobody answers."""

import json
import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from phyt2v_cli.config.files import find_user_file, read_found, read_toml
from phyt2v_cli.config.layers import load_config
from phyt2v_cli.config.presets import list_presets
from tests.command_line import CommandLine
from tests.faults.processes import PHYT2V

CTRL_C = "\x03"
SERVER = ("--server", "http://localhost:8000/v1", "--judge-model", "vlm")


@pytest.fixture(autouse=True)
def _home_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PHYT2V_ISOLATED")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))


@pytest.mark.parametrize("preset", list_presets())
def test_what_it_writes_is_the_preset(preset: str, phyt2v: CommandLine) -> None:
    assert phyt2v("init", "--preset", preset).code == 0
    loaded = load_config(found=read_found(phyt2v.folder), environment={})
    assert loaded.preset == preset
    assert loaded.config == load_config(preset=preset, environment={}).config


@pytest.mark.parametrize("words", [("--yes",), SERVER])
def test_each_comment_that_is_a_setting_is_valid_and_the_value_of_the_preset(
    words: tuple[str, ...], phyt2v: CommandLine
) -> None:
    phyt2v("init", *words)
    path = phyt2v.folder / "phyt2v.toml"
    as_written = load_config(found=read_found(phyt2v.folder), environment={}).config
    all_set = re.sub(r"^# (\w+ = |\[)", r"\1", path.read_text("utf-8"), flags=re.MULTILINE)
    path.write_text(all_set, encoding="utf-8")
    layer = read_toml(path, "all set")
    assert {"schedule.kind", "refinement.rounds", "run.seed", "scorer.model"} <= layer.keys()
    loaded = load_config(found=[layer], environment={}).config
    assert (loaded.schedule, loaded.refinement, loaded.run) == (
        as_written.schedule,
        as_written.refinement,
        as_written.run,
    )


def test_a_server_takes_the_place_of_the_judges(phyt2v: CommandLine) -> None:
    shown = json.loads(phyt2v("init", "--preset", "mochi", *SERVER, "--json").out)
    assert shown["schema"] == "phyt2v.init/1"
    assert shown["path"] == str(phyt2v.folder / "phyt2v.toml")
    config = load_config(found=read_found(phyt2v.folder), environment={}).config
    for role in (config.llm, config.captioner, config.scorer):
        assert (role.backend, role.base_url, role.model) == ("openai", "http://localhost:8000/v1", "vlm")


def test_nothing_is_overwritten_without_force(phyt2v: CommandLine) -> None:
    path = phyt2v.folder / "phyt2v.toml"
    path.write_text("# mine\n")
    refused = phyt2v("init", "--yes")
    assert (refused.code, refused.out, path.read_text()) == (3, "", "# mine\n")
    assert "--force" in refused.hints()[0]
    assert phyt2v("init", "--yes", "--force").out.strip() == str(path)
    assert (phyt2v.folder / "phyt2v.toml.old-1").read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "huge"), "there is no preset 'huge'"),
        (("--server", "http://localhost:8000/v1"), "--server and --judge-model go together"),
        (("--server", "nonsense", "--judge-model", "m"), "base_url"),
        (("--server", "https://elsewhere.example/v1", "--judge-model", "m"), "this is for the user file"),
        (("--server", "http://localhost/v1", "--judge-model", "\x7f"), "phyt2v.toml is not TOML"),
    ],
)
def test_what_would_not_load_is_not_written(
    words: tuple[str, ...], message: str, phyt2v: CommandLine
) -> None:
    path = phyt2v.folder / "phyt2v.toml"
    path.write_text("# mine\n")
    ended = phyt2v("init", "--force", *words)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.errors()[0]
    assert [file.name for file in phyt2v.folder.iterdir()] == ["phyt2v.toml"]
    assert path.read_text() == "# mine\n"


def test_a_user_file_may_name_any_server(phyt2v: CommandLine) -> None:
    words = ("--server", "https://elsewhere.example/v1", "--judge-model", "m")
    assert phyt2v("init", "--user", *words).out.strip() == str(find_user_file())
    (layer,) = read_found(phyt2v.folder)
    assert layer["scorer.base_url"].value == "https://elsewhere.example/v1"


@pytest.mark.parametrize(
    ("answers", "code", "judge"),
    [
        ("mochi\nhttp://localhost:8000/v1\nvlm\n", 0, "vlm"),
        pytest.param("mochi\n\n", 0, "gpt-4o", marks=pytest.mark.slow),
        (CTRL_C, 130, None),
    ],
)
def test_at_most_three_questions_on_a_terminal(
    answers: str, code: int, judge: str | None, tmp_path: Path
) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*PHYT2V, "init"],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        cwd=tmp_path,
        start_new_session=True,
    )
    os.close(terminal)
    asked = b""
    for answer in re.findall(r"[^\n]*\n|\x03", answers):
        while not asked.endswith(b":\r\n"):
            asked += os.read(controller, 1024)
        if answer == CTRL_C:
            time.sleep(0.3)  # Python misses a signal that comes just before it begins to read
            process.send_signal(signal.SIGINT)
        else:
            os.write(controller, answer.encode())
        asked += b"\n"
    out, _ = process.communicate(timeout=60)
    os.close(controller)
    assert process.returncode == code
    assert (out.decode().strip() == str(tmp_path / "phyt2v.toml")) is (code == 0)
    assert (tmp_path / "phyt2v.toml").exists() is (code == 0)
    if judge is not None:
        loaded = load_config(found=read_found(tmp_path), environment={})
        assert (loaded.preset, loaded.config.scorer.model) == ("mochi", judge)
