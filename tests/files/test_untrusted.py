import os
import subprocess
import sys
from pathlib import Path

import pytest

from phyt2v_cli.errors import FilesError
from phyt2v_cli.files.untrusted import expand, is_hub_id, read_plain_file, read_start, refusals_as


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


READERS = """
import resource, sys
from pathlib import Path
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import UsageError
from phyt2v_cli.files import untrusted, user_text
from phyt2v_cli.runs import reader
from phyt2v_cli.sets import prompt_file
from phyt2v_cli.timing import speeds, trace

path = Path(sys.argv[1])
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2 * 2**20,) * 2)
assert untrusted.read_plain_file(path, 2**40) == b"{}"
assert user_text.read_text(str(path), 2**40, UsageError, "") == "{}"
assert prompt_file.read_prompt("-", None) == "a ball"
assert reader.schema_of(untrusted.read_plain_file(path, 2**40)) is None
speeds.find(GeneratorConfig())
trace.check_target(Path(sys.argv[2]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the memory in use is read from /proc")
def test_a_limit_takes_no_memory(tmp_path: Path) -> None:
    record, profile = tmp_path / "a.json", tmp_path / "profile.json"
    record.write_text("{}")
    profile.write_text('{"schema": "phyt2v.profile/1"}')
    subprocess.run(
        [sys.executable, "-c", READERS, str(record), str(profile)],
        input="a ball",
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_what_comes_in_parts_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 200_001)
    assert len(read_plain_file(path, 200_001)) == 200_001
    with pytest.raises(ValueError, match="larger than 195 KiB"):
        read_plain_file(path, 200_000)
    assert read_start(path, 3) == b"xxx"
