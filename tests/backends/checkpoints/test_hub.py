"""Fetching from a hub on loopback, in processes that know no other, and doing without it afterwards."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hub_double import COMMIT, HUB_ID, serve_hub

Phyt2v = Callable[..., subprocess.CompletedProcess[str]]


def hub_environment(tmp_path: Path, endpoint: str) -> dict[str, str]:
    return {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}


@pytest.fixture
def phyt2v(tmp_path: Path) -> Phyt2v:
    def run(*arguments: str, endpoint: str = "http://127.0.0.1:9") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "phyt2v_cli", *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            env={**os.environ, **hub_environment(tmp_path, endpoint)},
            cwd=tmp_path,
            timeout=100,
        )

    return run


def snapshot(tmp_path: Path) -> Path:
    return next((tmp_path / "hf" / "hub").glob("models--*/snapshots/*"))


@pytest.mark.slow
def test_a_model_is_fetched_whole_without_what_it_does_not_need(
    phyt2v: Phyt2v, tiny_cogvideox_dir: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(tiny_cogvideox_dir, tmp_path / "model"))
    unwanted = ["single-file.safetensors", "transformer/diffusion_pytorch_model.fp16.safetensors"]
    unwanted += ["vae/diffusion_pytorch_model.bin", "README.md", "media/clip.mp4"]
    (model / "media").mkdir()
    for name in unwanted:
        (model / name).write_bytes(b"x")
    with serve_hub(model) as (endpoint, fetched):
        done = phyt2v("doctor", "--fetch", HUB_ID, "--json", endpoint=endpoint)
        assert done.returncode == 0, done.stderr
        assert "Fetching" in done.stderr  # the hub's own progress
        assert set(fetched) == {
            str(file.relative_to(model)) for file in model.rglob("*") if file.is_file()
        } - set(unwanted)
        # An interrupted fetch goes on with what is missing.
        link = snapshot(tmp_path) / "vae" / "diffusion_pytorch_model.safetensors"
        link.resolve().unlink()
        link.unlink()
        fetched.clear()
        assert phyt2v("doctor", "--fetch", HUB_ID, endpoint=endpoint).returncode == 0
        assert fetched == ["vae/diffusion_pytorch_model.safetensors"]
    result = json.loads(done.stdout)
    assert result == {"schema": "phyt2v.fetched/1", "model": HUB_ID, "path": str(snapshot(tmp_path))}

    again = phyt2v("doctor", "--fetch", HUB_ID)  # the hub is gone
    assert (again.returncode, again.stdout) == (0, f"{snapshot(tmp_path)}\n")
    assert "here already" in again.stderr
    sizes = ["--set", "generator.num_frames=9", "--set", "generator.height=16", "--set", "generator.width=16"]
    rendered = phyt2v("generate", "--prompt", "a ball", "--model", HUB_ID, "--steps", "1", *sizes)
    assert rendered.returncode == 0, rendered.stderr


@pytest.mark.slow
def test_a_part_that_exists_in_half_precision_only_is_fetched_so(
    phyt2v: Phyt2v, tiny_cogvideox_dir: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(tiny_cogvideox_dir, tmp_path / "model"))
    half = "vae/diffusion_pytorch_model.fp16.safetensors"
    (model / "vae" / "diffusion_pytorch_model.safetensors").rename(model / half)
    with serve_hub(model) as (endpoint, fetched):
        done = phyt2v("doctor", "--fetch", HUB_ID, endpoint=endpoint)
        assert done.returncode == 0, done.stderr
        assert half in fetched
    sizes = ["--set", "generator.num_frames=9", "--set", "generator.height=16", "--set", "generator.width=16"]
    rendered = phyt2v("generate", "--prompt", "a ball", "--model", HUB_ID, "--steps", "1", *sizes)
    assert rendered.returncode == 0, rendered.stderr


def test_a_branch_is_fetched_if_it_is_named(tiny_cogvideox_dir: Path, tmp_path: Path) -> None:
    main = tmp_path / "main"
    main.mkdir()
    (main / "model_index.json").write_text('{"_class_name": "WanPipeline"}')
    code = f"""
from phyt2v_cli.backends.checkpoints.diffusers_folder import fetch_model, find_model
from phyt2v_cli.errors import ModelLoadError
print(find_model({HUB_ID!r}).pipeline_class)
print(find_model({HUB_ID!r}, "some/branch-1.0").pipeline_class)
folder = fetch_model({HUB_ID!r}, "some/branch-1.0")
print(find_model({HUB_ID!r}, "some/branch-1.0").source == str(folder))
try:
    find_model({HUB_ID!r}, "elsewhere")
except ModelLoadError as error:
    print(error)
"""
    with serve_hub(main, branches={"some/branch-1.0": tiny_cogvideox_dir}) as (endpoint, _):
        found = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, **hub_environment(tmp_path, endpoint)},
            timeout=100,
        )
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == [
        *("WanPipeline", "CogVideoXPipeline", "True"),
        f"{HUB_ID} has no such branch, tag or commit.",
        "Check `generator.revision`.",
    ]


@pytest.mark.slow
def test_a_branch_renders_without_the_hub(phyt2v: Phyt2v, tiny_cogvideox_dir: Path, tmp_path: Path) -> None:
    words = ["generate", "--prompt", "a ball", "--model", HUB_ID, "--steps", "1"]
    for name, value in {"revision": "b/1.0", "num_frames": 9, "height": 16, "width": 16}.items():
        words += ["--set", f"generator.{name}={value}"]
    with serve_hub(tmp_path, branches={"b/1.0": tiny_cogvideox_dir}) as (endpoint, _):
        done = phyt2v(*words, endpoint=endpoint)
        assert done.returncode == 0, done.stderr
    assert phyt2v(*words, "--out", "again.mp4").returncode == 0


@pytest.mark.slow
def test_the_weights_are_those_of_the_judged_commit(tiny_cogvideox_dir: Path, tmp_path: Path) -> None:
    newer = Path(shutil.copytree(tiny_cogvideox_dir, tmp_path / "newer"))
    (newer / "transformer" / "diffusion_pytorch_model.safetensors").write_bytes(b"not judged")
    load = f"load(GeneratorConfig(model={HUB_ID!r}, device='cpu'))"
    code = (
        "from phyt2v_cli.backends.diffusion.generator import load\n"
        f"from phyt2v_cli.config.generator import GeneratorConfig\n{load}"
    )
    with serve_hub(tiny_cogvideox_dir, newer) as (endpoint, fetched):
        loaded = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, **hub_environment(tmp_path, endpoint)},
            timeout=100,
        )
        assert "transformer/diffusion_pytorch_model.safetensors" in fetched
    assert loaded.returncode == 0, loaded.stderr
    assert snapshot(tmp_path).name == COMMIT


@pytest.mark.slow
def test_half_a_model_without_a_hub(phyt2v: Phyt2v, tiny_cogvideox_dir: Path, tmp_path: Path) -> None:
    with serve_hub(tiny_cogvideox_dir) as (endpoint, _):
        assert phyt2v("doctor", "--fetch", HUB_ID, endpoint=endpoint).returncode == 0
    (snapshot(tmp_path) / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    for command in (["doctor", "--fetch", HUB_ID], ["generate", "--prompt", "x", "--model", HUB_ID]):
        failed = phyt2v(*command)
        assert (failed.returncode, failed.stdout) == (4, "")
        error, hint = failed.stderr.splitlines()
        assert "not whole in the local cache" in error
        assert hint.startswith("hint: Fetch it")


@pytest.mark.parametrize("command", ["doctor", "generate"])
def test_offline_the_error_says_which_how_big_and_how(command: str, phyt2v: Phyt2v) -> None:
    arguments = {
        "doctor": ["--fetch", "cogvideox-5b", "--json"],
        "generate": ["--prompt", "x", "--model", "zai-org/CogVideoX-5b"],
    }[command]
    failed = phyt2v(command, *arguments)
    assert failed.returncode == 4
    # With --json an error is an object on stdout too.
    assert bool(failed.stdout) == ("--json" in arguments)
    error, hint = failed.stderr.splitlines()[-2:]
    assert error.startswith("error: zai-org/CogVideoX-5b is not a folder here")
    assert hint.startswith("hint: It is about 21 GB; fetch it where there is a network with ")
    assert "`phyt2v doctor --fetch zai-org/CogVideoX-5b`" in hint
    assert "Traceback" not in failed.stderr


def test_a_model_that_is_not_on_the_hub(phyt2v: Phyt2v, tiny_cogvideox_dir: Path) -> None:
    with serve_hub(tiny_cogvideox_dir) as (endpoint, _):
        failed = phyt2v("doctor", "--fetch", "some-one/other-model", endpoint=endpoint)
    assert failed.returncode == 4
    assert "some-one/other-model" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("role", ["generator", "llm"])
def test_a_gated_model_says_so(role: str, phyt2v: Phyt2v, tiny_cogvideox_dir: Path) -> None:
    command = {
        "generator": ["generate", "--prompt", "x", "--model", HUB_ID],
        "llm": [
            "refine",
            "--prompt",
            "x",
            "--set",
            "llm.backend=transformers",
            "--set",
            f"llm.model={HUB_ID}",
        ],
    }[role]
    with serve_hub(tiny_cogvideox_dir, gated=True) as (endpoint, _):
        failed = phyt2v(*command, endpoint=endpoint)
    assert failed.returncode == 4
    assert f"{HUB_ID} asks for your consent." in failed.stderr
    assert "hf auth login" in failed.stderr


def test_broken_certificates_are_named(phyt2v: Phyt2v, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/gone.pem")
    failed = phyt2v("doctor", "--fetch", HUB_ID, endpoint="https://hub.example")
    assert failed.returncode == 4
    assert f"{HUB_ID} cannot be fetched." in failed.stderr
    assert "SSL_CERT_FILE names a file that cannot be used" in failed.stderr
    assert "HF_HOME" not in failed.stderr
