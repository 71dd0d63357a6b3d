"""Letters without boxes, and lines that fit."""

from collections.abc import Iterator

import pytest

from phyt2v_cli.report import fonts

CHINESE = "一个红色的球从高处落下并弹起"

OWN = fonts.readable("a", 14)[1].getname()
"""Name of Pillow's own font."""


@pytest.fixture(autouse=True)
def _looked_up_anew() -> Iterator[None]:
    fonts.font_files.cache_clear()
    yield
    fonts.font_files.cache_clear()


def test_latin_letters_need_no_other_font() -> None:
    text, font = fonts.readable("a red ball drops (2 m) …", 14)
    assert text == "a red ball drops (2 m) …"
    assert font.getname() == OWN


def test_a_font_of_this_machine_is_taken_for_other_letters() -> None:
    if not any("DejaVuSans." in path for path in fonts.font_files()):
        pytest.skip("DejaVu Sans is not on this machine")
    text, font = fonts.readable("Красный шар падает", 14)
    assert text == "Красный шар падает"
    assert font.getname() != OWN


def test_without_a_font_it_is_said_and_no_box_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "FOLDERS", ())
    assert fonts.readable(CHINESE, 14)[0].startswith("(no font on this machine has the letters")
    assert fonts.readable("a ball 球 drops", 14)[0] == "a ball ? drops"


@pytest.mark.parametrize("text", ["a red ball drops " * 20, CHINESE * 20, "x" * 500, f"a {CHINESE * 9} b"])
def test_lines_fit(text: str) -> None:
    font = fonts.readable("a", 14)[1]
    lines = fonts.wrap(text, font, 300, max_lines=3)
    assert len(lines) == 3
    assert all(0 < font.getlength(line) <= 300 for line in lines)
    assert lines[-1].endswith(" …")
    assert "".join(text.split()).startswith("".join("".join(lines)[:-2].split()))


def test_a_short_text_is_whole() -> None:
    font = fonts.readable("a", 14)[1]
    assert fonts.wrap(" a red\nball ", font, 300, max_lines=3) == ["a red ball"]
    assert fonts.wrap("", font, 300, max_lines=3) == [""]
