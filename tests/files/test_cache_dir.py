"""Where the cache is, above all for users who have no place for one: nothing is remembered, nothing fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.files import cache_dir
from phyt2v_cli.files.cache_dir import find_cache_dir, make_cache_dir
from phyt2v_cli.timing import speeds
from tests.command_line import CommandLine

NOBODYS_ID = 54321


def find_and_make(*first: str, **variables: str) -> tuple[str, str]:
    """Return what a process with only these variables finds and makes, after some lines of Python."""
    lines = [
        "import os",
        "from phyt2v_cli.files.cache_dir import find_cache_dir, make_cache_dir",
        *first,
        "print(find_cache_dir(), make_cache_dir())",
    ]
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env={"PYTHONPATH": str(Path(__file__).parents[2]), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    found, made = ended.stdout.split()
    return found, made


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other places")
def test_it_is_in_the_users_home_or_where_xdg_says(tmp_path: Path) -> None:
    in_home, elsewhere = str(tmp_path / ".cache" / "phyt2v"), str(tmp_path / "xdg" / "phyt2v")
    assert find_and_make(HOME=str(tmp_path)) == (in_home, in_home)
    assert find_and_make(HOME=str(tmp_path), XDG_CACHE_HOME="") == (in_home, in_home)
    assert find_and_make(HOME=str(tmp_path), XDG_CACHE_HOME=f"{tmp_path}/xdg") == (elsewhere, elsewhere)


def test_without_a_home_the_password_file_knows_one() -> None:
    found, _ = find_and_make("make_cache_dir = lambda: None")
    assert Path(found).is_absolute()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_an_unknown_user_has_none(tmp_path: Path) -> None:
    become_nobody = f"os.chdir({str(tmp_path)!r}); os.setgid({NOBODYS_ID}); os.setuid({NOBODYS_ID})"
    assert find_and_make(become_nobody) == ("None", "None")
    assert list(tmp_path.iterdir()) == [], "above all no folder that is called ~"
    # As in a container with any user id, whose home is /.
    assert find_and_make(become_nobody, HOME="/")[1] == "None"


@pytest.fixture(
    params=["an unknown user", "an older platformdirs", "a home that is a file", "another's home"]
)
def without_a_cache(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nowhere to keep anything."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if request.param == "an unknown user":

        def unknown(_: int) -> None:
            raise KeyError("getpwuid(): uid not found")

        monkeypatch.setattr("pwd.getpwuid", unknown)
    elif request.param == "an older platformdirs":
        monkeypatch.setattr(cache_dir, "user_cache_path", lambda *_, **__: Path("~/.cache/phyt2v"))
    elif request.param == "a home that is a file":
        (tmp_path / "home").touch()
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
    else:  # root may write into it all the same
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setattr(os, "access", lambda *_: False)


@pytest.mark.usefixtures("without_a_cache")
def test_without_a_cache_nothing_is_remembered_and_nothing_fails(phyt2v: CommandLine) -> None:
    assert make_cache_dir() is None
    config = GeneratorConfig()
    speeds.keep(config, "off", 1.0, 0.0, "cpu")
    assert speeds.find(config) is None
    shown = phyt2v("preview-schedule")
    assert (shown.code, shown.err) == (0, "")
    assert not (phyt2v.folder / "~").exists()


def test_what_was_made_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new" / "cache"))
    made = make_cache_dir()
    assert made is not None and made.is_dir()
    assert made == find_cache_dir()
