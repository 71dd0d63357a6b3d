"""What the command line does to its own process, which is the only one that it may do this to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TALKING = """
import json, logging, os, warnings
from phyt2v_cli import backends
from phyt2v_cli.testing.fakes import FakeGenerator

def load_generator(config, *, num_planned_steps):
    logging.getLogger("torchao").warning("a remark on another library")
    logging.getLogger("torchao").error("a real error")
    for module in ("diffusers.models", "mine"):
        warnings.warn_explicit(f"a warning of {module}", UserWarning, "x.py", 1, module=module)
    print(json.dumps(dict(os.environ)))
    return FakeGenerator()

backends.load_generator = load_generator
from phyt2v_cli.cli.exit import run
run()
"""
"""The command line with a generator whose libraries are heard."""


def generate(folder: Path, **variables: str) -> tuple[dict[str, str], str]:
    """Return the variables while a model is loaded, and stderr."""
    ours = ("DIFFUSERS_", "TRANSFORMERS_", "TORCHINDUCTOR_", "OMP_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    ended = subprocess.run(
        [sys.executable, "-c", TALKING, "generate", "--prompt", "a ball", "--steps", "2", "--out", "a.mp4"],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(Path(__file__).parents[2]), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    environment, video = ended.stdout.splitlines()
    assert video == "a.mp4"
    return json.loads(environment), ended.stderr


def test_libraries_are_quiet(tmp_path: Path) -> None:
    environment, said = generate(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert environment["DIFFUSERS_VERBOSITY"] == environment["TRANSFORMERS_VERBOSITY"] == "error"
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "cache" / "phyt2v" / "inductor")
    assert "remark" not in said
    assert "a warning of diffusers" not in said
    assert "a real error" in said
    assert "a warning of mine" in said


def test_what_the_user_has_set_stays(tmp_path: Path) -> None:
    mine = {"DIFFUSERS_VERBOSITY": "info", "TORCHINDUCTOR_CACHE_DIR": "mine", "OMP_WAIT_POLICY": "ACTIVE"}
    environment, _ = generate(tmp_path, **mine)
    assert {name: environment[name] for name in mine} == mine


def test_without_a_cache_kernels_are_torchs_own_matter(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environment, _ = generate(tmp_path, XDG_CACHE_HOME=str(tmp_path / "file"))
    assert "TORCHINDUCTOR_CACHE_DIR" not in environment


@pytest.mark.slow
def test_compiled_kernels_are_kept_for_the_next_process(tiny_cogvideox_dir: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "phyt2v_cli", "generate", "--prompt", "a ball", "--steps", "2"]
    settings = {"model": tiny_cogvideox_dir, "num_frames": 9, "height": 16, "width": 16, "compile": "on"}
    words = [word for name, value in settings.items() for word in ("--set", f"generator.{name}={value}")]
    cache = tmp_path / "cache"
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    environment.pop("TORCHINDUCTOR_CACHE_DIR", None)
    kept: list[set[Path]] = []
    for name in ("a.mp4", "b.mp4"):
        subprocess.run([*command, *words, "--out", str(tmp_path / name)], env=environment, check=True)
        kept.append(set((cache / "phyt2v" / "inductor").rglob("*.so")))
    assert kept[0], "what the first process has compiled"
    assert kept[1] == kept[0], "which is all that the second one needs"


@pytest.mark.parametrize("value", ["", "cache"])
def test_a_cache_that_is_no_absolute_path_counts_as_none(value: str, tmp_path: Path) -> None:
    environment, _ = generate(tmp_path, XDG_CACHE_HOME=value, HOME=str(tmp_path / "home"))
    assert "XDG_CACHE_HOME" not in environment
    if sys.platform == "linux":
        assert environment["TORCHINDUCTOR_CACHE_DIR"] == f"{tmp_path}/home/.cache/phyt2v/inductor"
    assert {entry.name for entry in tmp_path.iterdir()} <= {"a.mp4", "home"}
