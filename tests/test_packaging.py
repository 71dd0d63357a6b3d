"""The wheel carries what a user needs: presets, the embedded model, the report's page, the console script."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.fake_runs import make_config, run_through

ROOT = Path(__file__).parent.parent


PAGE = {f"phyt2v_cli/report/{name}" for name in ("page.html.j2", "style.css", "in_step.js")}


def build(kind: str, out: Path) -> Path:
    """Build a `wheel` or an `sdist` with the backend that is installed here; nothing is fetched."""
    code = f"import sys; from hatchling.build import build_{kind} as build; print(build(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return out / done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


def test_the_wheel_carries_presets_data_and_weights(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    presets = {p.relative_to(ROOT).as_posix() for p in (ROOT / "configs").rglob("*.toml")}
    assert any(name.startswith("configs/scorers/") for name in presets)
    assert {f"phyt2v_cli/{name}" for name in presets} <= names
    assert {f"phyt2v_cli/tiny/{p.name}" for p in (ROOT / "phyt2v_cli/tiny").glob("*.toml")} <= names
    assert PAGE | {"phyt2v_cli/py.typed"} <= names
    man_pages = {path.name for path in (ROOT / "docs" / "man").glob("*.1")}
    assert {Path(name).name for name in names if "/share/man/man1/" in name} == man_pages != set()
    weights = {n for n in names if n.endswith(".safetensors")}
    assert {n.split("/")[3] for n in weights} == {"text_encoder", "transformer", "vae"}
    assert not any(n.startswith(("tests/", "training/", "benchmarks/")) for n in names)


def test_the_sdist_carries_what_the_wheel_is_made_of(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    presets = {preset.relative_to(ROOT).as_posix() for preset in (ROOT / "configs").rglob("*.toml")}
    assert PAGE | presets | {"phyt2v_cli/py.typed", "pyproject.toml", "README.md", "LICENSE"} <= names


@pytest.mark.slow
def test_the_installed_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "fresh"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    # the fresh environment sees the dependencies that are installed here, but not this checkout
    here = sysconfig.get_paths()["purelib"]
    site = next((home / "lib").glob("python*/site-packages"))
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PHYT2V_"))}
    subprocess.run([*install, "--no-index", str(wheel)], check=True, cwd=tmp_path, env=environment)
    (site / "dependencies.pth").write_text(here + "\n")

    def phyt2v(*arguments: str) -> str:
        command = [str(home / "bin" / "phyt2v"), *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    where = subprocess.run(
        [str(python), "-c", "import phyt2v_cli; print(phyt2v_cli.__file__)"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(home)
    assert "174 steps instead of 250" in phyt2v("preview-schedule")
    presets = phyt2v("config", "presets")
    assert "tiny" in presets
    assert "cogvideox-5b" in presets
    run_through(tmp_path / "run", make_config(rounds=0))
    assert phyt2v("report", "run") == "run/report.html\n"
    assert "a red ball drops</h1>" in (tmp_path / "run" / "report.html").read_text()
