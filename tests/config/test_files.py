"""Settings in a user file and in the project's phyt2v.toml."""

import json
import os
from pathlib import Path

import pytest

from phyt2v_cli.config.files import find_project_file, find_user_file, read_found
from phyt2v_cli.config.layers import LoadedConfig, load_config
from phyt2v_cli.errors import ConfigError, UsageError
from tests.command_line import CommandLine


@pytest.fixture
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Path of the user file in a home of the test's own, whose files are read."""
    monkeypatch.delenv("PHYT2V_ISOLATED")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    path = find_user_file()
    assert path is not None
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def project_file(user_file: Path, tmp_path: Path) -> Path:
    """Path of a project file beside a user file that does not exist."""
    assert not user_file.exists()
    return tmp_path / "phyt2v.toml"


def load(folder: Path, **more: object) -> LoadedConfig:
    return load_config(found=read_found(folder), environment={}, **more)  # type: ignore[arg-type]


def test_each_layer_wins_over_those_before(user_file: Path, project_file: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.toml"
    fps = {"preset": load(tmp_path).config.generator.fps, "user": 11, "project": 12, "config": 13, "set": 14}
    user_file.write_text("[generator]\nfps = 11\n")
    assert load(tmp_path).config.generator.fps == fps["user"]
    assert load(tmp_path).origins["generator.fps"] == f"user file {user_file}"
    project_file.write_text("[generator]\nfps = 12\n")
    assert load(tmp_path).config.generator.fps == fps["project"]
    assert load(tmp_path).origins["generator.fps"] == f"project file {project_file}"
    assert load(tmp_path, preset="tiny").config.generator.fps == fps["project"]
    given.write_text("[generator]\nfps = 13\n")
    assert load(tmp_path, config=given).config.generator.fps == fps["config"]
    assert load(tmp_path, config=given, assignments=["generator.fps=14"]).config.generator.fps == fps["set"]


def test_the_nearest_project_file_counts(project_file: Path, tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    project_file.write_text("")
    assert find_project_file(inner) == project_file
    nearer = tmp_path / "a" / "phyt2v.toml"
    nearer.write_text("")
    assert find_project_file(inner) == nearer


def test_a_file_names_a_preset(user_file: Path, project_file: Path, tmp_path: Path) -> None:
    user_file.write_text('preset = "mochi"\n')
    assert load(tmp_path).preset == "mochi"
    project_file.write_text('preset = "cogvideox-5b"\n')
    assert load(tmp_path).preset == "cogvideox-5b"
    assert load(tmp_path, preset="tiny").config == load_config(environment={}).config
    other = load(tmp_path, assignments=["generator.model=their/model"])
    assert other.preset is None  # sizes and steps are the other model's
    project_file.write_text('preset = "cogvideox-5b"\n[generator]\nmodel = "./mine"\n')
    assert (load(tmp_path).preset, load(tmp_path).config.generator.model) == ("cogvideox-5b", "./mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[generator]\nfsp = 3\n", "generator.fsp: no such setting (project file {}). Did you mean"),
        ('[generator]\nfps = "x"\n', "generator.fps: 'x' does not fit: "),
        (
            'preset = "cogvideox-5"\n',
            "preset: there is no preset 'cogvideox-5' (project file {}). Did you mean",
        ),
        ("preset = 3\n", "preset: there is no preset 3 (project file {})."),
    ],
)
def test_a_wrong_key_is_named_with_its_file(
    text: str, message: str, project_file: Path, tmp_path: Path
) -> None:
    project_file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    (line,) = caught.value.message.splitlines()
    assert line.startswith(message.format(project_file))
    assert str(project_file) in line


@pytest.mark.parametrize("is_of_user", [True, False])
def test_a_broken_file_ends_with_2_and_one_line(
    is_of_user: bool, user_file: Path, project_file: Path, phyt2v: CommandLine
) -> None:
    path = user_file if is_of_user else project_file
    path.write_text("[generator\n")
    ended = phyt2v("preview-schedule")
    assert (ended.code, ended.out) == (2, "")
    (line,) = ended.errors()
    assert line.startswith(f"error: {'user' if is_of_user else 'project'} file {path} is not TOML")
    assert phyt2v("--isolated", "preview-schedule").code == 0


@pytest.mark.parametrize(
    "text",
    [
        '[scorer]\nbackend = "command"\ncommand = ["sh", "judge.sh"]\n',
        '[[scorer.others]]\ncommand = ["sh", "judge.sh"]\n',
        'scorer.others = [{ base_url = "https://elsewhere.example/v1" }]\n',
        '[llm]\nbase_url = "https://elsewhere.example/v1"\n',
        '[llm]\nbase_url = "http://localhost.elsewhere.example/v1"\n',
        '[llm]\napi_key_env = "OTHER_SECRET"\n',
        '[execution]\nray_address = "elsewhere.example:6379"\n',
    ],
)
def test_a_project_file_reaches_no_program_and_no_other_machine(
    text: str, user_file: Path, project_file: Path, tmp_path: Path
) -> None:
    project_file.write_text(text)
    with pytest.raises(ConfigError, match="a project file may come from somebody else"):
        read_found(tmp_path)
    project_file.unlink()
    user_file.write_text(text)
    load(tmp_path)


def test_a_project_file_may_name_a_server_of_this_machine(project_file: Path, tmp_path: Path) -> None:
    project_file.write_text('[llm]\nbase_url = "http://localhost:8000/v1"\nmodel = "m"\n')
    assert load(tmp_path).config.llm.backend == "openai"


def test_a_project_file_of_another_user_is_refused(
    project_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_file.write_text("")
    owner = project_file.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    if owner == 0:  # root's files are everybody's
        assert read_found(tmp_path) == [{}]
        os.chown(project_file, 4242, -1)
    with pytest.raises(UsageError, match="belongs to another user"):
        read_found(tmp_path)


def test_a_dangling_link_is_an_error(project_file: Path, tmp_path: Path) -> None:
    project_file.symlink_to(tmp_path / "missing")
    with pytest.raises(UsageError, match="there is no file"):
        read_found(tmp_path)


def test_what_a_file_sets_is_the_same_run_as_what_a_flag_sets(
    project_file: Path, phyt2v: CommandLine
) -> None:
    dry = ("refine", "--prompt", "a ball falls", "--dry-run", "--json")
    by_flag = json.loads(phyt2v(*dry, "--seed", "7", "--rounds", "1").out)
    project_file.write_text("[run]\nseed = 7\n[refinement]\nrounds = 1\n")
    assert json.loads(phyt2v(*dry).out) == by_flag
    isolated = json.loads(phyt2v("--isolated", *dry).out)
    assert isolated["run_dir"] != by_flag["run_dir"]
