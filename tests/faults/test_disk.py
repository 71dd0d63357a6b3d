"""A disk that is full or closed: a small real one where this account may mount it, else /dev/full."""

import ctypes
import errno
import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from phyt2v_cli.errors import FilesError
from phyt2v_cli.files.video import VideoMetadata, sha256_of, write_video
from tests.faults.processes import QUICK, Doubled, default_signals, outcome, read_record

DISK_BYTES = 48 * 2**20
_DROP_CAPABILITY, _IGNORE_PERMISSIONS = 24, 1  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE


class Disk:
    """A folder, and what makes the disk below it full."""

    def __init__(self, path: Path, *, is_small: bool) -> None:
        self.run = path / "run"
        self._ballast = path / "ballast"
        self._is_small = is_small

    def filled_at(self, call: str, *, spare: int = 0, only: str = "") -> dict[str, object]:
        """Return the script that fills the disk but for `spare` bytes, so that only some files do not fit."""
        if self._is_small:
            return {"fill": call, "ballast": str(self._ballast), "spare": spare}
        return {"fill": call, "only": only}

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


@pytest.fixture(params=["a small disk", "/dev/full"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A disk that can be filled; an account that may not mount one gets the device twice."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", path]
    is_small = request.param == "a small disk" and subprocess.run(mount, capture_output=True).returncode == 0
    yield Disk(path, is_small=is_small)
    if is_small:
        subprocess.run(["umount", path], check=True)


@pytest.mark.slow
def test_fault_14_disk_full_while_writing_the_video(
    disk: Disk, doubled: Doubled, doubled_whole: Path
) -> None:
    failed = doubled.run_apart(
        *QUICK, "--out", disk.run, script=disk.filled_at("decode:1", spare=2**15, only=".mp4.")
    )
    assert (failed.code, failed.out) == (3, "")
    assert "output1.mp4 could not be written: the disk is full" in failed.err
    assert "hint: Free some space, and do the same again.\n" in failed.err
    assert (disk.run / "latents1.safetensors").exists()
    assert not (disk.run / "output1.mp4").exists()
    assert read_record(disk.run, "round1.json")["sha256"] is None
    disk.free()
    assert doubled.run(*QUICK, "--out", disk.run).code == 0
    assert doubled.count("denoise") == 2  # one for each video
    assert doubled.count("decode") == 3
    assert outcome(disk.run) == outcome(doubled_whole)


@pytest.mark.slow
@pytest.mark.parametrize("call", ["caption:1", "score:2"])
def test_fault_15_disk_full_while_writing_a_record(
    call: str, disk: Disk, doubled: Doubled, doubled_whole: Path
) -> None:
    failed = doubled.run_apart(*QUICK, "--out", disk.run, script=disk.filled_at(call))
    assert (failed.code, failed.out) == (3, "")
    assert "could not be written: the disk is full" in failed.err
    for name in ("run.json", f"round{call[-1]}.json"):
        read_record(disk.run, name)  # whole, and as it was
    assert read_record(disk.run, "run.json")["status"] == "running"
    assert read_record(disk.run, f"round{call[-1]}.json")["scores"] is None
    assert not list(disk.run.glob(".*phyt2v-tmp"))
    disk.free()
    assert doubled.run(*QUICK, "--out", disk.run).code == 0
    assert doubled.count("denoise") == 2
    assert outcome(disk.run) == outcome(doubled_whole)


@pytest.mark.slow
def test_fault_16_a_folder_that_may_not_be_written_to(tmp_path: Path, doubled: Doubled) -> None:
    def without_privilege() -> None:
        default_signals()
        if os.geteuid() == 0:
            ctypes.CDLL(None).prctl(_DROP_CAPABILITY, _IGNORE_PERMISSIONS, 0, 0, 0)

    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    (tmp_path / "file").write_text("mine")
    for out in (
        closed,
        closed / "run",
        closed / "new" / "run",
        tmp_path / "file" / "run",
        Path("/proc/none/run"),
    ):
        refused = doubled.run_apart(*QUICK, "--out", out, preexec_fn=without_privilege)
        assert (refused.code, refused.out) == (3, ""), refused.err
        assert "--out" in refused.err
    assert doubled.calls() == []
    assert not list(closed.iterdir())


def test_fault_14_the_old_video_stays(tmp_path: Path) -> None:
    path, metadata = tmp_path / "a.mp4", VideoMetadata("a ball", 0, 3)
    frames = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), np.uint8)
    digest = write_video(path, frames, fps=8, metadata=metadata)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(FilesError, match=r"a\.mp4 could not be written: the file would be larger"):
            write_video(path, frames, fps=8, metadata=metadata)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert sha256_of(path) == digest
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.slow
def test_fault_54_disk_full_while_drawing_the_contact_sheet(disk: Disk, doubled: Doubled) -> None:
    script = disk.filled_at("score:2", spare=2**15, only="contact.png")
    done = doubled.run_apart(*QUICK, "--out", disk.run, script=script)
    assert (done.code, done.out) == (0, f"{disk.run}/output2.mp4\n")
    assert "note: no contact sheet: " in done.err
    assert "contact.png could not be written: the disk is full" in done.err
    assert read_record(disk.run, "run.json")["status"] == "complete"
    disk.free()
    assert doubled.run(*QUICK, "--out", disk.run).code == 0
    assert (disk.run / "contact.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("output", [[], ["--json"]], ids=["path", "json"])
def test_fault_54_what_only_decorates_a_run_cannot_fail_it(
    output: list[str], tmp_path: Path, doubled: Doubled
) -> None:
    path, profile = tmp_path / "run", tmp_path / "gone" / "profile.json"
    profile.parent.mkdir()
    (path / "contact.png").mkdir(parents=True)
    (path / ".phyt2v.lock").touch()
    process = doubled.start(
        *QUICK, "--out", path, "--profile", profile, *output, script={"hang": ["score:2"]}
    )
    doubled.wait_for("score:2 hangs")
    profile.parent.rmdir()
    doubled.let_go_on("score:2")
    out, err = process.communicate()
    assert process.returncode == 0
    assert str(path / "output2.mp4") in out
    assert "note: no contact sheet: " in err
    assert f"note: there is no folder {profile.parent}" in err


def test_fault_54_a_prompt_of_a_set_is_complete_without_its_contact_sheet(
    tmp_path: Path, doubled: Doubled
) -> None:
    (tmp_path / "set.txt").write_text("a ball drops\na cube slides\n")
    batch = ("batch", tmp_path / "set.txt", *QUICK[3:], "--out", tmp_path / "set")
    folder = next(entry for entry in planned_runs(doubled, *batch) if "cube" in entry.name)
    (folder / "contact.png").mkdir(parents=True)
    (folder / ".phyt2v.lock").touch()
    done = doubled.run(*batch)
    assert done.code == 0, done.err
    assert done.out.count("output2.mp4") == 2
    assert "note: prompt 2: no contact sheet: " in done.err


def planned_runs(doubled: Doubled, *batch: str | Path) -> list[Path]:
    runs = json.loads(doubled.run(*batch, "--dry-run", "--json").out)["runs"]
    return [Path(run["run_dir"]) for run in runs]


def test_fault_54_latents_that_cannot_be_deleted_are_a_note(
    tmp_path: Path, doubled: Doubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if "latents" in path.name and "tmp" not in path.name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    for command in ((*QUICK, "--out", tmp_path / "run"), ("generate", *QUICK[1:3], "--steps", "3")):
        done = doubled.run(*command, cwd=tmp_path)
        assert done.code == 0
        assert "could not be deleted: permission denied" in done.err
