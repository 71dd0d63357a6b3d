import os
from pathlib import Path

import pytest

from phyt2v_cli.errors import FilesError
from phyt2v_cli.files.untrusted import expand, is_hub_id, read_plain_file, refusals_as


def test_what_looks_like_a_hub_id() -> None:
    assert is_hub_id("zai-org/CogVideoX1.5-5B")
    assert not any(map(is_hub_id, ["tiny", "./a/b", "/a/b", "a/b/c", "../a", "a/", "~/a"]))
    # What the hub's own client would refuse with an error of its own.
    assert not any(map(is_hub_id, [f"a/{'b' * 300}", "a/b--c", "a/b..c", "a/b.git", "-a/b", "a/b-"]))


@pytest.mark.parametrize("name", ["~no-such-user/x", "~\0/x", "~\ud800/x"])
def test_the_home_of_nobody_stays_as_it_is(name: str) -> None:
    assert str(expand(name)) == name
    assert not expand(name).exists()


def test_a_refusal_names_the_path_cut_to_a_readable_length() -> None:
    name = "a" * 5000
    with (
        pytest.raises(FilesError, match=r"^image: a+… cannot be used: File name too long\.") as caught,
        refusals_as(FilesError, name, prefix="image: "),
    ):
        Path(name).stat()
    assert len(str(caught.value)) < 300
    with pytest.raises(ZeroDivisionError), refusals_as(FilesError, name):
        _ = 1 / 0


def test_what_fits_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1024)
    assert read_plain_file(tmp_path / "a", 1024) == b"x" * 1024
    with pytest.raises(ValueError, match="larger than 0 KiB"):
        read_plain_file(tmp_path / "a", 1023)


def test_what_could_block_or_never_end_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match="not a plain file"):
            read_plain_file(path, 10)
    with pytest.raises((ValueError, OSError)):
        read_plain_file(tmp_path, 10)
    with pytest.raises(FileNotFoundError):
        read_plain_file(tmp_path / "none", 10)
