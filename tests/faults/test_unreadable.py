"""Disks that fail while something is read: one line that names the file, and nothing is set aside.

/proc/self/mem is a plain file by its mode, and nothing can be read from its beginning: EIO, as from a disk.
"""

import shutil
from pathlib import Path

import pytest

from phyt2v_cli.errors import FilesError, VideoError
from phyt2v_cli.files.video import read_video
from phyt2v_cli.runs.outcome.result import load_run
from tests.faults.processes import QUICK, Doubled

UNREADABLE = Path("/proc/self/mem")

pytestmark = pytest.mark.skipif(not UNREADABLE.is_file(), reason="there is no /proc")


@pytest.fixture
def run(tmp_path: Path, doubled_whole: Path) -> Path:
    return Path(shutil.copytree(doubled_whole, tmp_path / "run"))


def spoil(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(UNREADABLE)


@pytest.mark.parametrize("name", ["output1.mp4", "round1.json", "run.json"])
def test_fault_65_an_unreadable_file_of_a_run(
    name: str, run: Path, doubled: Doubled, capfd: pytest.CaptureFixture[str]
) -> None:
    spoil(run / name)
    commands: list[tuple[str | Path, ...]] = [("refine", "--resume", run), (*QUICK, "--out", run)]
    if name != "round1.json":  # which is shown as one that cannot be read
        commands.append(("report", run))
    for command in commands:
        ended = doubled.run(*command)
        assert (ended.code, ended.out) == (3, "")
        (line,) = [line for line in ended.err.splitlines() if line.startswith("error: ")]
        assert name in line
        assert "Input/output error" in line or "Invalid argument" in line
    assert not list(run.glob("*.broken-*"))
    assert "Traceback" not in "".join(capfd.readouterr())


def test_fault_65_a_video_without_checksum_that_cannot_be_read_is_not_set_aside(
    run: Path, doubled: Doubled
) -> None:
    record = run / "round1.json"
    sha256 = record.read_text().split('"sha256": ')[1].split(",")[0]
    record.write_text(record.read_text().replace(sha256, "null"))
    spoil(run / "output1.mp4")
    assert doubled.run("refine", "--resume", run).code == 3
    assert not list(run.glob("*.broken-*"))


@pytest.mark.parametrize("kind", ["image", "video"])
def test_fault_65_an_unreadable_source(kind: str, tmp_path: Path, doubled: Doubled) -> None:
    ended = doubled.run("generate", "--prompt", "a ball", f"--{kind}", UNREADABLE, cwd=tmp_path)
    assert ended.code in (2, 3)
    assert f"{UNREADABLE} could not be read: " in ended.err


def test_fault_65_in_the_library(run: Path) -> None:
    with pytest.raises(FilesError, match="could not be read") as caught:
        read_video(UNREADABLE)
    assert not isinstance(caught.value, VideoError)
    result = load_run(run)
    result.video.unlink()
    result.video.mkdir()
    with pytest.raises(FilesError, match=r"output2\.mp4 could not be read: Is a directory"):
        result._repr_html_()


def test_fault_65_whatever_else_cannot_be_read_is_named(
    run: Path, doubled: Doubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error", str(run / "style.css"))

    monkeypatch.setattr("phyt2v_cli.report.page.make_page", fail)
    ended = doubled.run("report", run)
    assert ended.code == 3
    assert ended.err == f"error: {run}/style.css cannot be used: Input/output error\n"
