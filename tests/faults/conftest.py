"""Fixtures of the fault tests."""

from pathlib import Path

import pytest

from tests.fake_runs import make_config, run_through
from tests.faults.processes import QUICK, Doubled


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run of two videos that nothing happened to. Do not write into it."""
    path = tmp_path_factory.mktemp("whole") / "run"
    run_through(path, make_config(rounds=1))
    return path


@pytest.fixture(scope="session")
def doubled_whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run of `QUICK` with doubles that nothing happened to. Do not write into it."""
    folder = tmp_path_factory.mktemp("doubled")
    assert Doubled(folder).run(*QUICK, "--out", folder / "run").code == 0
    return folder / "run"


@pytest.fixture
def doubled(tmp_path: Path) -> Doubled:
    """The command line with doubles, logging beside the test's run directory."""
    return Doubled(tmp_path)
