"""Prompts, ids and links that want to be a path somewhere else."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import RunDirError
from phyt2v_cli.runs.identity import run_key, slugify
from phyt2v_cli.runs.opening import default_run_dir
from phyt2v_cli.sets.prompt_set import read_prompt_set
from tests.fake_runs import PROMPT, make_config, open_run
from tests.faults.processes import Doubled, read_record

BATCH = ("batch", "--rounds", "0", "--min", "2", "--max", "2")

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


HOSTILE_IDS = [
    *("../../x", "/etc/passwd", "\0", "", " ", ".", "..", "x" * 5000, "红球落下", "-rf ~; $(touch evil)"),
    *("CON", "nul.txt", "C:\\x", "a\nb", "\u202etxt.exe", "\x1b[2J", ".phyt2v-batch.lock", "run.json"),
]


def write_set(path: Path, entries: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


@pytest.mark.slow
def test_fault_41_hostile_prompt_ids_stay_inside_the_root(tmp_path: Path, doubled: Doubled) -> None:
    here = tmp_path / "here"
    here.mkdir()
    write_set(here / "set.jsonl", [{"id": name, "prompt": "a ball"} for name in HOSTILE_IDS])
    ended = doubled.run(*BATCH, "set.jsonl", "--out", "root", cwd=here)
    assert ended.code == 0, ended.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calls.log", "here"]
    assert sorted(path.name for path in here.iterdir()) == ["root", "set.jsonl"]
    runs = [here / line for line in ended.out.splitlines()]
    assert len({run.parent for run in runs}) == len(HOSTILE_IDS)
    for run in runs:
        assert run.is_file()
        assert run.parent.parent == here / "root"
        assert re.fullmatch(r"[^\W_]+(-[^\W_]+)*-[0-9a-f]{8}", run.parent.name)
    assert f"{'x' * 40}-" in ended.out
    assert "红球落下-" in ended.out


def test_fault_41_links_in_the_place_of_folders_are_refused(tmp_path: Path, doubled: Doubled) -> None:
    path = write_set(tmp_path / "set.jsonl", [{"prompt": "a ball"}, {"prompt": "a cube"}])
    ball, _ = read_prompt_set(str(path)).entries
    for name in ("root", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "root" / ball.folder).symlink_to(tmp_path / "outside")
    ended = doubled.run(*BATCH, path, "--out", tmp_path / "root")
    assert (ended.code, len(ended.out.splitlines())) == (5, 1)
    assert f"error: prompt 1 (line 1): {tmp_path / 'root' / ball.folder} is a symbolic link" in ended.err
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    refused = doubled.run(*BATCH, path, "--out", tmp_path / "link")
    assert (refused.code, refused.out) == (3, "")
    assert "is a symbolic link" in refused.err
    assert not list((tmp_path / "outside").iterdir())


@pytest.mark.slow
def test_fault_42_duplicate_prompts_and_ids_are_all_kept(tmp_path: Path, doubled: Doubled) -> None:
    entries: list[dict[str, object]] = [
        *({"prompt": "a ball"}, {"prompt": "a ball"}, {"prompt": "A  ball"}),
        *({"id": "x", "prompt": "a ball"}, {"id": "x", "prompt": "a ball"}),
        *({"id": "x", "prompt": "a cube"}, {"id": "X", "prompt": "a cube"}),
    ]
    path = write_set(tmp_path / "set.jsonl", entries)
    ended = doubled.run(*BATCH, path, "--out", tmp_path / "root")
    assert ended.code == 0, ended.err
    runs = [Path(line).parent for line in ended.out.splitlines()]
    assert len({run.name.lower() for run in runs}) == len(entries)
    records = [read_record(run, "run.json") for run in runs]
    assert sorted(record["prompt"] for record in records) == sorted(str(one["prompt"]) for one in entries)
    assert all(record["status"] == "complete" for record in records)
    assert all((run / "output1.mp4").is_file() for run in runs)
    calls = doubled.calls()
    assert calls.count("load:1") == 1
    assert doubled.count("denoise") == len(entries)
    again = doubled.run(*BATCH, path, "--out", tmp_path / "root")
    assert (again.code, sorted(again.out.splitlines())) == (0, sorted(ended.out.splitlines()))
    assert doubled.calls() == calls


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
