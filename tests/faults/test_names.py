"""Prompts, ids and links that want to be a path somewhere else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyt2v_cli.errors import RunDirError
from phyt2v_cli.identity import run_key, slugify
from phyt2v_cli.run_dir import default_run_dir
from phyt2v_cli.settings import Config
from tests.doubles import PROMPT, make_config, open_run
from tests.faults.processes import Doubled

NAMES = [
    ("A red ball, dropped!", "a-red-ball-dropped"),
    ("../../x", "x"),
    ("/etc/passwd", "etc-passwd"),
    ("\0", "prompt"),
    ("", "prompt"),
    ("…", "prompt"),
    ("红球落下", "红球落下"),
    ("x" * 5000, "x" * 40),
]


@pytest.mark.parametrize(("prompt", "slug"), NAMES)
def test_fault_41_slugs(prompt: str, slug: str) -> None:
    assert slugify(prompt) == slug


@given(st.text())
def test_fault_41_any_prompt_gives_one_plain_folder_name(prompt: str) -> None:
    path = default_run_dir(prompt, Config())
    assert path.parent == Path("runs")
    assert path.name not in (".", "..")
    assert path.name.replace("-", "").isalnum()
    assert len(path.name.encode()) <= 49


@pytest.mark.parametrize("prompt", ["../../x", "/etc/passwd", "a" * 5000, "红球落下", "-rf ~; $(touch evil)"])
def test_fault_41_the_run_stays_below_its_root(prompt: str, tmp_path: Path, doubled: Doubled) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "prompt.txt").write_text(prompt)
    arguments = ("refine", "prompt.txt", "--rounds", "0", "--max", "2", "--min", "2", "--set", "run.seed=1")
    ended = doubled.run(*arguments, "--allow-truncation", cwd=tmp_path / "here")
    assert ended.code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calls.log", "here"]
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["prompt.txt", "runs"]
    (run,) = (tmp_path / "here" / "runs").iterdir()
    assert (tmp_path / "here" / ended.out.strip()).parent == run


def test_fault_41_symlinks_and_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(RunDirError, match="symbolic link"):
        open_run(tmp_path / "link")
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunDirError, match="is a file"):
        open_run(tmp_path / "file")
    assert not list((tmp_path / "real").iterdir())


def test_fault_42_the_digits_tell_runs_apart() -> None:
    base = make_config()
    assert run_key(PROMPT, base) == run_key(PROMPT, make_config())
    assert run_key(PROMPT, base) != run_key(PROMPT + ".", base)
    assert run_key(PROMPT, base) != run_key(PROMPT, make_config(rounds=3))
    assert run_key(PROMPT, base) != run_key(PROMPT, make_config(seed=1))
    # Where it runs and which video is picked changes neither prompts nor pixels.
    assert run_key(PROMPT, base) == run_key(PROMPT, make_config(control=True, select="best"))
    on_gpu = Config.model_validate({**base.model_dump(), "generator": {"device": "cuda"}})
    assert run_key(PROMPT, base) == run_key(PROMPT, on_gpu)
