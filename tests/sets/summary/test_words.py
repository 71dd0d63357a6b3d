"""What the figures of a set say about refinement, in a sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from phyt2v_cli.config.schema import Control, SearchConfig
from phyt2v_cli.roles import Scores
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.sets.manifest import write_manifest
from phyt2v_cli.sets.prompt_set import PromptEntry
from phyt2v_cli.sets.summary.figures import figures_of
from phyt2v_cli.sets.summary.numbers import PromptNumbers, Video, numbers_of
from phyt2v_cli.sets.summary.report import write_set_report
from phyt2v_cli.testing.fakes import FakeRoles, FakeScorer
from tests.fake_runs import make_config, run_through
from tests.fake_sets import entry_of


def final(score: float | None, steps: int = 50) -> Video:
    return Video(0, "final", steps, score, score, "judge")


def numbers(result: float | None, steps: int = 50, **controls: float | None) -> PromptNumbers:
    names: dict[str, Control] = {"original": "original", "blind": "blind", "seeds": "best-of-n"}
    return PromptNumbers(
        "complete",
        controls=tuple((names[name], final(score)) for name, score in controls.items()),
        result=final(result, steps),
        refined=final(result, steps),
    )


def figures(*several: PromptNumbers) -> Any:
    entries: list[tuple[PromptEntry, PromptNumbers]] = [
        (entry_of(number), one) for number, one in enumerate(several)
    ]
    return json.loads(json.dumps(figures_of(entries, name="physics", shard=None)))


def test_helped_harmed_and_the_rivals() -> None:
    helped = [numbers(0.9, original=0.5, blind=0.9, seeds=0.95) for _ in range(14)]
    harmed = [numbers(0.5, original=0.9, blind=0.5, seeds=0.95) for _ in range(5)]
    equal = [numbers(0.9, original=0.9, blind=0.9, seeds=0.95) for _ in range(21)]
    tree = figures(*helped, *harmed, *equal)
    assert tree["in_words"].startswith("Refinement helped on 14 and harmed on 5 of 40 runs (+0.09, interval ")
    assert "; against a blind rewrite: no difference; against the best" in tree["in_words"]
    assert "; against the best of several seeds: worse (-0.10, interval" in tree["in_words"]
    (over_original,) = tree["gain_over_control"]
    # Two-sided sign test of 14 against 5, from the binomial distribution.
    assert over_original["mean_of_both"]["sign_test_p"] == pytest.approx(0.0636, abs=1e-4)
    (over_blind,) = tree["gain_over_blind"]
    assert over_blind["mean_of_both"]["sign_test_p"] is None
    assert set(tree["controls"]) == {"original", "blind", "best-of-n"}


def test_a_small_difference_either_way_is_none_shown() -> None:
    tree = figures(*(numbers(0.5 + 0.1 * (-1) ** n, blind=0.5) for n in range(10)))
    assert "Against a blind rewrite: no difference shown (+0.00, interval -0.0" in tree["in_words"]


def test_one_prompt_tells_little() -> None:
    assert figures(numbers(0.9, blind=0.5))["in_words"] == (
        "Against a blind rewrite: too few prompts to tell (+0.40)."
    )


def test_a_few_prompts_that_agree_tell_too_little() -> None:
    said = figures(*(numbers(0.9 + 0.01 * n, blind=0.5) for n in range(5)))["in_words"]
    assert said.startswith("Against a blind rewrite: too few prompts to tell (+0.42, interval ")
    said = figures(*(numbers(0.9 + 0.01 * n, blind=0.5) for n in range(6)))["in_words"]
    assert said.startswith("Against a blind rewrite: better (+0.4")


def test_a_control_that_was_selected_is_not_compared_with_itself(tmp_path: Path) -> None:
    scorer = FakeScorer(by_video={"control.mp4": Scores(0.9, 0.9)})
    config = make_config(1, control=True, select="best")
    result = run_through(tmp_path / "run", config, FakeRoles(scorer=scorer))
    assert result.video.name == "control.mp4"
    one = numbers_of(read_run(tmp_path / "run"), "complete")
    assert one.result is not None
    assert one.refined is not None
    assert (one.result.round, one.refined.round) == (0, 2)
    gain = figures(one)["gain_over_control"][0]["mean_of_both"]
    assert (gain["better"], gain["worse"]) == (0, 1)


def test_the_first_video_is_that_of_the_original_prompt(tmp_path: Path) -> None:
    scorer = FakeScorer(by_video={"output1.b.mp4": Scores(0.9, 0.9)})
    config = make_config(1).model_copy(update={"search": SearchConfig(candidates=2)})
    run_through(tmp_path / "run", config, FakeRoles(scorer=scorer))
    one = numbers_of(read_run(tmp_path / "run"), "complete")
    assert one.first is not None
    assert one.first.mean == 0.5
    assert one.rounds[0].mean == 0.9


def test_seeds_of_a_prompt_are_one_sign() -> None:
    entry = entry_of(1)
    ones = [numbers(0.9, original=0.5), numbers(0.8, original=0.7), numbers(0.6, original=0.7)]
    tree: Any = figures_of([(entry, one) for one in ones], name="seeds", shard=None)
    gain = tree["gain_over_control"][0]["mean_of_both"]
    assert (gain["better"], gain["worse"], gain["sign_test_p"]) == (2, 1, 1.0)


@pytest.mark.parametrize(
    "several",
    [[], [numbers(0.9)], [numbers(0.9, original=None)], [numbers(0.9, steps=30, original=0.5)]],
    ids=["no prompt", "no control", "no score", "other steps"],
)
def test_nothing_is_said_without_a_fair_pair(several: list[PromptNumbers]) -> None:
    assert figures(*several)["in_words"] == ""


def test_runs_on_disk_give_their_arms_and_the_page_shows_them(tmp_path: Path) -> None:
    entry = entry_of(0)
    write_manifest(tmp_path, [entry], source="prompts.csv", shard=None)
    config = make_config(2, controls=["original", "blind", "best-of-n"])
    run_through(tmp_path / entry.folder, config, FakeRoles(), prompt=entry.prompt)
    run = read_run(tmp_path / entry.folder)
    names = [name for name, _ in numbers_of(run, "complete").controls]
    assert names == ["original", "blind", "best-of-n"]
    run.record.status = "interrupted"
    assert [name for name, _ in numbers_of(run, "interrupted").controls] == ["original", "blind"]
    page = write_set_report(tmp_path).page.read_text("utf-8")
    for words in ("Blind rewrite", "Best of several seeds", "Over a blind rewrite", "In short"):
        assert words in page
