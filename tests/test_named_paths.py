from pathlib import Path

import pytest

from phyt2v_cli.errors import FilesError
from phyt2v_cli.named_paths import expand, is_hub_id, refusals_as


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
