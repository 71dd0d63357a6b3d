"""What the page shows of a run; what it must not do is in tests/faults."""

import json
import re
from pathlib import Path

import pytest

from phyt2v_cli.report.page import write_report
from phyt2v_cli.roles import Scores
from phyt2v_cli.testing.fakes import FakeChat, FakeRoles, FakeScorer
from tests.fake_runs import make_config, run_through


def page_of(path: Path, cast: FakeRoles | None = None, **refinement: object) -> str:
    run_through(path, make_config(rounds=1, **refinement), cast)
    return write_report(path).read_text(encoding="utf-8")


def test_every_video_has_its_card(tmp_path: Path) -> None:
    page = page_of(tmp_path / "run", control=True)
    assert re.findall("<h2>(.*?)</h2>", page) == ["Control", "Round 1", "Round 2"]
    assert re.findall('<video src="(.*?)"', page) == ["control.mp4", "output1.mp4", "output2.mp4"]
    assert page.count('<img class="strip"') == 3
    assert page.count(">the result<") == 1
    for text in ("3 steps", "6 steps", "it hovers", "I see", "half of it is missing", "the ball", "gravity"):
        assert text in page


def test_a_prompt_is_shown_with_the_words_that_came_and_went(tmp_path: Path) -> None:
    script = {"refinement": [json.dumps({"prompt": "a red ball falls <fast>"})]}
    page = page_of(tmp_path / "run", FakeRoles(llm=FakeChat(script)))  # type: ignore[arg-type]
    assert "a red ball <del>drops</del> <ins>falls &lt;fast&gt;</ins>" in page


def test_an_unchanged_prompt_is_said(tmp_path: Path) -> None:
    script = {"mismatch": [json.dumps({"found": False, "text": ""})], "refinement": ["x", "y"]}
    page = page_of(tmp_path / "run", FakeRoles(llm=FakeChat(script)))  # type: ignore[arg-type]
    assert "unchanged" in page
    assert "none found" in page


def test_a_missing_score_is_a_dash_and_has_no_dot(tmp_path: Path) -> None:
    abstains = FakeScorer(by_video={"output1.mp4": Scores(None, 0.25)})
    page = page_of(tmp_path / "run", FakeRoles(scorer=abstains))
    assert page.count('text-anchor="end">-</text>') == 1
    plot = page[page.index("<polyline") : page.index("</svg>")]
    assert plot.count('<circle class="sa') == 1
    assert plot.count('<circle class="pc') == 2


@pytest.mark.parametrize("damage", ["gone", "broken"])
def test_a_video_that_cannot_be_shown_is_said(damage: str, tmp_path: Path) -> None:
    page_of(tmp_path / "run")
    video = tmp_path / "run" / "output1.mp4"
    video.unlink()
    if damage == "broken":
        video.write_bytes(b"no video")
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "the video is missing or broken" in page
    assert re.findall('<video src="(.*?)"', page) == ["output2.mp4"]


def test_equal_runs_give_equal_pages_but_for_times(tmp_path: Path) -> None:
    pages = [re.sub(r"[\d.,]+ s in all", "", page_of(tmp_path / name)) for name in ("a", "b")]
    assert pages[0] == pages[1]


def test_a_page_is_of_reasonable_size(tmp_path: Path) -> None:
    page = page_of(tmp_path / "run")
    assert len(page) < 200_000
