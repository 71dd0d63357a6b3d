"""Paths of which the system does not even say whether a file is there: one line, never a traceback."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from phyt2v_cli.checks.preflight import check_video_path
from phyt2v_cli.errors import FilesError
from tests.fake_runs import make_config, run_through
from tests.faults.processes import default_signals, read_record
from tests.faults.test_strangers import with_config

_DROP_CAPABILITY = 24  # PR_CAPBSET_DROP
_IGNORE_PERMISSIONS = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
JUDGES = {
    "llm": {"backend": "rulebook"},
    "captioner": {"backend": "tracker"},
    "scorer": {"backend": "tracker"},
}
LONG = "a" * 300


def without_privilege() -> None:
    default_signals()
    if os.geteuid() == 0:
        for capability in _IGNORE_PERMISSIONS:
            ctypes.CDLL(None).prctl(_DROP_CAPABILITY, capability, 0, 0, 0)


def phyt2v(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "phyt2v_cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        preexec_fn=without_privilege,
        timeout=100,
    )


def refused(*arguments: str | Path, code: int, cwd: Path) -> str:
    ended = phyt2v(*arguments, cwd=cwd)
    assert (ended.returncode, ended.stdout) == (code, ""), ended.stderr
    (error,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert "unexpected" not in error
    assert len(error) < 400
    return error


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder that this user may not look into."""
    folder = tmp_path / "closed"
    (folder / "inside").mkdir(parents=True)
    folder.chmod(0)
    yield folder
    folder.chmod(0o755)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["refine", "--prompt", "x", "--out", "closed"], 3),
        (["refine", "--prompt", "x", "--out", "closed/inside/run"], 3),
        (["refine", "--resume", "closed"], 3),
        (["refine", "--resume", "closed/inside"], 3),
        (["report", "closed"], 3),
        (["report", "closed/inside"], 3),
        (["generate", "--prompt", "x", "--out", "closed/a.mp4"], 3),
        (["generate", "--prompt", "x", "--model", "closed"], 4),
        (["generate", "--prompt", "x", "--model", "closed/inside"], 4),
        (["generate", "--prompt", "x", "--image", "closed/a.png"], 2),
        (["generate", "--prompt", "x", "--set", "generator.lora=closed/inside"], 2),
        (
            [
                "refine",
                "--prompt",
                "x",
                "--set",
                "scorer.backend=command",
                "--set",
                "scorer.command=closed/a",
            ],
            2,
        ),
    ],
    ids=str,
)
def test_below_a_closed_folder(arguments: list[str], code: int, closed: Path) -> None:
    error = refused(*arguments, code=code, cwd=closed.parent)
    assert "ermission denied" in error or "closed has no model_index.json" in error
    assert "closed" in error


def test_a_model_with_a_closed_component(tiny_cogvideox_dir: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(tiny_cogvideox_dir, tmp_path / "model"))
    (model / "vae").chmod(0)
    assert "ermission denied" in refused("generate", "--prompt", "x", "--model", model, code=4, cwd=tmp_path)
    (model / "vae").chmod(0o755)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["m" * 5000, "~no-such-user/model", f"some-one/{LONG}"])
def test_a_strangers_run_cannot_name_a_model_that_breaks_us(model: str, tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1))
    (path / "output2.mp4").unlink()
    with_config(path, {**JUDGES, "generator": {"model": model}})
    error = refused("refine", "--resume", path, code=4, cwd=tmp_path)
    assert model[:20] in error
    assert read_record(path, "run.json")["prompt"]


@pytest.mark.slow
@pytest.mark.parametrize("field", ["image", "lora", "gguf"])
def test_nor_another_file(field: str, tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1))
    (path / "output2.mp4").unlink()
    with_config(path, {**JUDGES, "generator": {field: "m" * 5000, "height": 64, "width": 64}})
    refused("refine", "--resume", path, code=2, cwd=tmp_path)


def test_a_link_to_nothing_is_in_the_way_before_anything_is_rendered(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").symlink_to("nowhere.mp4")
    with pytest.raises(FilesError, match="is there already"):
        check_video_path(tmp_path / "v.mp4", force=False)
    check_video_path(tmp_path / "v.mp4", force=True)
