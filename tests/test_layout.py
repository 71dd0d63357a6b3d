"""The layout of the house: imports point one way, and nothing in it is too large to be found in."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAX_LINES = 350
MAX_FILES = 12


def test_imports_point_one_way() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [lint_imports, "--no-cache"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout


def test_no_file_is_too_long() -> None:
    files = [
        path
        for folder in ("phyt2v_cli", "tests", "training", "benchmarks", "docs")
        for path in (ROOT / folder).rglob("*.py")
    ]
    assert len(files) > 200
    lengths = {path.relative_to(ROOT): len(path.read_text("utf-8").splitlines()) for path in files}
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_no_package_has_too_many_files() -> None:
    packages = [init.parent for init in (ROOT / "phyt2v_cli").rglob("__init__.py")]
    assert len(packages) > 15
    counts = {package.name: len(list(package.glob("*.py"))) - 1 for package in packages}
    assert {name: count for name, count in counts.items() if count > MAX_FILES} == {}
