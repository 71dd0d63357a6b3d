"""Files that are there whole or not at all, whoever writes the same one meanwhile."""

import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from fnmatch import fnmatch
from pathlib import Path

import pytest

from phyt2v_cli.errors import FilesError
from phyt2v_cli.files import atomic
from phyt2v_cli.files.atomic import TEMPORARY, replace_file, sweep


def test_the_file_is_there_once_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with replace_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path
        assert fnmatch(temporary.name, TEMPORARY)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_raises_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replace_file(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_threads_of_one_process_may_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    num_threads = 8
    all_have_begun = threading.Barrier(num_threads)
    errors: list[BaseException] = []

    def write(text: str) -> None:
        try:
            for _ in range(20):
                with replace_file(path) as temporary:
                    with temporary.open("w") as file:
                        file.write(text[:1000])
                        file.flush()
                        all_have_begun.wait(60)  # each has half a file
                        file.write(text[1000:])
                    assert temporary.read_text() == text
                assert len(set(path.read_text())) == 1, "of one thread"
        except BaseException as error:
            errors.append(error)
            all_have_begun.abort()

    threads = [threading.Thread(target=write, args=(str(n) * 2000,)) for n in range(num_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(path.read_text()) == 2000
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077, 0o027])
def test_the_umask_says_who_may_read_it(umask: int, tmp_path: Path) -> None:
    # In a process of its own, because the umask is the whole process's.
    script = (
        "import os, sys; from pathlib import Path; from phyt2v_cli.files.atomic import replace_file\n"
        "os.umask(int(sys.argv[2]))\n"
        "with replace_file(Path(sys.argv[1])) as temporary: temporary.write_bytes(b'x')\n"
    )
    path = tmp_path / "a.mp4"
    subprocess.run([sys.executable, "-c", script, str(path), str(umask)], check=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_temporary_name_that_a_link_has_taken_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "token_hex", lambda _: "GUESSED")
    mine = tmp_path / "mine"
    mine.write_text("precious")
    taken = tmp_path / ".a.txt.GUESSED.phyt2v-tmp"
    taken.symlink_to(mine)
    refused = pytest.raises(FilesError, match=r"a\.txt could not be written: File exists")
    with refused, replace_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("theirs")
    assert mine.read_text() == taken.read_text() == "precious"
    assert not (tmp_path / "a.txt").exists()

    taken.unlink()
    os.link(mine, taken)  # that is swept like any other, and its content stays under its other name
    with replace_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("theirs")
    assert mine.read_text() == "precious"


def test_fault_57_of_several_that_must_be_new_the_first_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with (
        pytest.raises(FilesError, match=r"a\.mp4 is there already\nChoose another name"),
        replace_file(path, must_be_new=True) as late,
    ):
        late.write_text("late")
        with replace_file(path, must_be_new=True) as early:
            early.write_text("early")
    assert path.read_text() == "early"
    assert list(tmp_path.iterdir()) == [path]


WRITER = """
import os, signal, sys
from pathlib import Path
from phyt2v_cli.files.atomic import replace_file
with replace_file(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print(temporary.name, flush=True)
    sys.stdin.read()
"""


def test_what_killed_writers_left_goes_and_what_others_write_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(target)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for target in (path, path, tmp_path / "b.txt")
    ]
    killed, alive, other = (tmp_path / (writer.stdout or sys.stdin).readline().strip() for writer in writers)
    for writer in (writers[0], writers[2]):
        writer.kill()
        writer.communicate()
    assert all(left.read_text() == "half" for left in (killed, alive, other))
    (tmp_path / ".a.txt.mine").touch()
    (tmp_path / ".a.txt.folder.phyt2v-tmp").mkdir()
    (tmp_path / ".a.txt.link.phyt2v-tmp").symlink_to(tmp_path / ".a.txt.mine")

    with replace_file(path) as temporary:
        temporary.write_text("new")
    assert (killed.exists(), alive.exists(), other.exists()) == (False, True, True)
    sweep(tmp_path)
    assert (alive.exists(), other.exists()) == (True, False)
    writers[1].communicate("go on")
    assert path.read_text() == "half"
    kept = [".a.txt.folder.phyt2v-tmp", ".a.txt.link.phyt2v-tmp", ".a.txt.mine", "a.txt"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == kept


def test_a_file_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock

    def late(descriptor: int, how: int) -> None:
        if how == fcntl.LOCK_SH and not locked:
            locked.append(descriptor)
            sweep(tmp_path)
        lock(descriptor, how)

    locked: list[int] = []
    monkeypatch.setattr(fcntl, "flock", late)
    with replace_file(tmp_path / "a") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "a").read_text() == "x"
    assert locked


def refuse(error: int) -> Callable[..., None]:
    def call(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    return call


@pytest.mark.parametrize("lacks", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_fault_60_file_systems_without_hard_links(
    lacks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse(lacks))
    test_fault_57_of_several_that_must_be_new_the_first_stays(tmp_path)


@pytest.mark.parametrize("answer", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EIO, errno.ENOSPC])
def test_fault_60_file_systems_that_cannot_sync_a_folder(
    answer: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(answer, os.strerror(answer))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    is_lost = answer in (errno.EIO, errno.ENOSPC)
    expected = pytest.raises(FilesError, match="could not be written") if is_lost else nullcontext()
    with expected, replace_file(tmp_path / "a") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "a").read_text() == "x"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_the_content_itself_must_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
    with (
        pytest.raises(FilesError, match="could not be written: Input/output error"),
        replace_file(tmp_path / "a") as temporary,
    ):
        temporary.write_text("x")
    assert not list(tmp_path.iterdir())
