"""What a page opens with: the result, or the latest video; and what it says of a run that is not complete."""

import json
import re
from pathlib import Path

import pytest

from phyt2v_cli.errors import RunInterruptedError
from phyt2v_cli.events import RoundDone
from phyt2v_cli.report.page import write_report
from phyt2v_cli.testing.fakes import FakeChat, FakeRoles
from tests.fake_runs import make_config, run_through
from tests.report.conftest import change


def page_of(path: Path) -> str:
    return write_report(path).read_text(encoding="utf-8")


def rewriting(*prompts: str) -> FakeRoles:
    """Fakes whose LLM writes these prompts."""
    return FakeRoles(llm=FakeChat({"refinement": [json.dumps({"prompt": prompt}) for prompt in prompts]}))


def stop_after(path: Path, number: int) -> None:
    """Stop a run of four rounds after one of them."""
    done: list[int] = []

    def emit(event: object) -> None:
        if isinstance(event, RoundDone):
            done.append(event.video.number)

    with pytest.raises(RunInterruptedError):
        run_through(path, make_config(3), emit=emit, cancelled=lambda: number in done)


def test_the_result_comes_first_and_the_settings_last(tmp_path: Path) -> None:
    run_through(tmp_path / "run", make_config(1, control=True), rewriting("a red ball falls"))
    page = page_of(tmp_path / "run")
    places = [
        page.index(text)
        for text in (
            "<h2>Result</h2>",
            "a red ball <del>drops</del> <ins>falls</ins>",
            "output2.mp4, chosen by the rule “last”",
            "SA, semantic adherence",
            "<h2>Original</h2>",
            "<h2>What it learned</h2>",
            "<h2>Round 1</h2>",
            "<h2>Scores by round</h2>",
            "<h2>Facts</h2>",
            '<th scope="row">refinement.control</th><td class="foreign" dir="auto">true</td>',
            "<h2>Run it again</h2>",
        )
    ]
    assert places == sorted(places)


def test_without_a_control_the_first_round_is_beside_the_result(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(1))
    page = page_of(path)
    opening = page[: page.index("<article")]
    assert re.findall("<h2>(.*?)</h2>", opening)[:3] == ["Result", "Round 1, the original prompt", "Result"]
    assert re.findall('<video src="(.*?)"', opening) == ["output2.mp4", "output1.mp4", "output2.mp4"]
    assert "Not like with like:" in opening
    change(path / "round1.json", steps=6, purpose="final")
    assert "Not like with like:" not in page_of(path)


def test_a_run_of_one_video_has_nothing_beside_it(tmp_path: Path) -> None:
    run_through(tmp_path / "run", make_config(0))
    page = page_of(tmp_path / "run")
    assert re.findall("<h2>(.*?)</h2>", page[: page.index("<article")]) == ["Result"]


def test_a_stopped_run_opens_with_its_latest_video(tmp_path: Path) -> None:
    stop_after(tmp_path / "run", 2)
    page = page_of(tmp_path / "run")
    opening = page[: page.index("<article")]
    assert ">interrupted<" in opening
    assert "Stopped after 2 of 4 rounds. The same command goes on with it." in opening
    assert re.findall("<h2>(.*?)</h2>", opening) == ["So far: round 2"]
    assert "chosen by the rule" not in page


def test_a_next_prompt_that_is_not_rendered_yet_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "run"
    stop_after(path, 1)
    change(path / "round1.json", refined_prompt="a red ball falls")
    page = page_of(path)
    card = page[page.index("<article") :]
    assert "a red ball <del>drops</del> <ins>falls</ins>" in card[card.index("Next prompt") :]
    run_through(tmp_path / "whole", make_config(1), rewriting("a red ball falls"))
    assert page_of(tmp_path / "whole").count("<ins>falls</ins>") == 2, "on top, and with the video of it"


@pytest.mark.parametrize("review", ["accepted", "edited", "kept"])
def test_the_users_decision_about_a_prompt_is_shown(review: str, tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(1))
    assert "by you" not in page_of(path)
    change(path / "round1.json", review=review)
    assert page_of(path).count(f"{review} by you") == 1


def test_an_embedded_page_has_a_video_at_most_twice(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(2, control=True))
    page = write_report(path, embed=True).read_text(encoding="utf-8")
    sources = re.findall('<video src="(.*?)"', page)
    assert sorted(map(sources.count, set(sources))) == [1, 1, 1, 2], (
        "the result on top, and beside its original"
    )
    assert page.count('<img class="strip"') == 4
