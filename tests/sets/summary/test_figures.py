"""The figures of a set, worked out by hand."""

import json
from typing import Any

import pytest

from phyt2v_cli import __version__
from phyt2v_cli.sets.prompt_set import PromptEntry
from phyt2v_cli.sets.summary.figures import figures_of, values_of
from phyt2v_cli.sets.summary.numbers import PromptNumbers, Video
from tests.fake_sets import entry_of


def draft(round_number: int, sa: float | None, pc: float | None, steps: int = 20) -> Video:
    return Video(round_number, "draft", steps, sa, pc, "judge")


def final(round_number: int, sa: float | None, pc: float | None) -> Video:
    return Video(round_number, "final", 50, sa, pc, "judge")


def done(first: Video, last: Video, control: Video | None = None) -> PromptNumbers:
    return PromptNumbers("complete", (first, last), (("original", control),) if control else (), last, last)


def figures(*numbers: PromptNumbers, columns: list[dict[str, str]] | None = None, **options: Any) -> Any:
    entries = [entry_of(n, columns=columns[n] if columns else {}) for n in range(len(numbers))]
    pairs: list[tuple[PromptEntry, PromptNumbers]] = list(zip(entries, numbers, strict=True))
    tree = figures_of(pairs, name="physics", shard=None, **options)
    return json.loads(json.dumps(tree, allow_nan=False))


THREE = (
    done(draft(1, 0.2, 0.4), final(2, 0.8, 0.6), final(0, 0.5, 0.5)),
    done(draft(1, 0.6, 0.4), final(2, 0.5, 0.4), final(0, 0.5, 0.6)),
    done(draft(1, None, 0.1), final(2, 0.9, 0.3), final(0, 0.7, None)),
)


def test_rounds_are_labelled_and_missing_scores_left_out() -> None:
    tree = figures(*THREE)
    first, second = tree["rounds"]
    assert (first["round"], first["purpose"], first["steps"], first["videos"]) == (1, "draft", 20, 3)
    assert (second["round"], second["purpose"], second["steps"], second["videos"]) == (2, "final", 50, 3)
    assert first["semantic_adherence"]["mean"] == pytest.approx(0.4)
    assert (first["semantic_adherence"]["scored"], first["semantic_adherence"]["without_score"]) == (2, 1)
    assert first["physical_commonsense"]["mean"] == pytest.approx(0.3)
    assert second["semantic_adherence"]["mean"] == pytest.approx((0.8 + 0.5 + 0.9) / 3, abs=1e-4)
    assert second["semantic_adherence"]["low"] < second["semantic_adherence"]["mean"]
    (control,) = tree["control"]
    assert "round" not in control
    assert control["physical_commonsense"]["mean"] == pytest.approx(0.55)


def test_seeds_of_one_prompt_are_one_unit_of_an_interval() -> None:
    entry = entry_of(1)
    tree = figures_of([(entry, one) for one in THREE], name="seeds", shard=None)
    result: Any = tree["result"]
    adherence = result[0]["semantic_adherence"]
    assert (adherence["scored"], adherence["low"], adherence["high"]) == (3, None, None)


def test_shares_at_the_threshold() -> None:
    (result,) = figures(*THREE)["result"]
    shares = result["share_at_threshold"]
    assert shares["semantic_adherence"]["mean"] == 1.0  # 0.5 is at the threshold
    assert shares["physical_commonsense"]["mean"] == pytest.approx(1 / 3, abs=1e-4)
    assert shares["joint"]["mean"] == pytest.approx(1 / 3, abs=1e-4)
    first = figures(*THREE)["rounds"][0]["share_at_threshold"]
    assert (first["joint"]["mean"], first["joint"]["scored"], first["joint"]["without_score"]) == (0.0, 2, 1)


def test_gains_are_paired_and_say_what_is_compared() -> None:
    tree = figures(*THREE)
    (over_first,) = tree["gain_over_first"]
    assert over_first["baseline"] == {"purpose": "draft", "steps": 20}
    assert over_first["result"] == {"purpose": "final", "steps": 50}
    assert not over_first["is_like_with_like"]
    adherence = over_first["semantic_adherence"]
    assert adherence["mean"] == pytest.approx((0.6 - 0.1) / 2)
    assert (adherence["better"], adherence["worse"], adherence["equal"]) == (1, 1, 0)
    assert (adherence["scored"], adherence["without_score"]) == (2, 1)
    physics = over_first["physical_commonsense"]
    assert (physics["better"], physics["worse"], physics["equal"]) == (2, 0, 1)
    assert over_first["mean_of_both"]["mean"] == pytest.approx((0.4 - 0.05) / 2)
    (over_control,) = tree["gain_over_control"]
    assert over_control["is_like_with_like"]
    assert over_control["semantic_adherence"]["mean"] == pytest.approx((0.3 + 0.0 + 0.2) / 3, abs=1e-4)
    assert over_control["semantic_adherence"]["equal"] == 1


def test_no_group_mixes_drafts_with_finals_or_steps() -> None:
    early = PromptNumbers("complete", (final(1, 0.9, 0.9),), (), final(1, 0.9, 0.9))
    tree = figures(*THREE, early, done(draft(1, 0.1, 0.1, steps=25), final(2, 0.2, 0.2)))
    groups = [(group["round"], group["purpose"], group["steps"], group["videos"]) for group in tree["rounds"]]
    assert groups == [(1, "draft", 20, 3), (1, "draft", 25, 1), (1, "final", 50, 1), (2, "final", 50, 4)]
    compared = [(gain["baseline"]["steps"], gain["prompts"]) for gain in tree["gain_over_first"]]
    assert compared == [(20, 3), (25, 1), (50, 1)]


def test_unfinished_prompts_are_counted() -> None:
    tree = figures(
        *THREE,
        PromptNumbers("failed", (draft(1, 1.0, 1.0),)),
        PromptNumbers("not_begun"),
        PromptNumbers("running"),
    )
    assert tree["prompts"] == {
        "total": 6,
        "complete": 3,
        "failed": 1,
        "interrupted": 0,
        "running": 1,
        "unreadable": 0,
        "not_begun": 1,
    }
    assert tree["rounds"][0]["videos"] == 4
    assert tree["gain_over_first"][0]["prompts"] == 3


def test_a_set_without_any_video_has_figures() -> None:
    tree = figures(PromptNumbers("not_begun"))
    assert (tree["rounds"], tree["control"], tree["result"], tree["gain_over_first"]) == ([], [], [], [])
    assert tree["judging"]["judges"] == {}


def test_what_was_judged_and_how_is_named() -> None:
    tree = figures(*THREE)
    assert tree["judging"] == {
        "judges": {"judge": 9},
        "scored_text": "original_prompt",
        "threshold": 0.5,
        "joint": "semantic_adherence and physical_commonsense both at or above the threshold",
    }
    assert (tree["intervals"]["level"], tree["intervals"]["seed"]) == (0.95, 0)
    assert tree["schema"] == "phyt2v.set/1"
    assert tree["summarised_by"] == f"phyt2v {__version__}"


def test_categories_of_published_columns() -> None:
    columns = [
        {"Main_Category": "Optics", "dimension": '["A", "B"]', "video_url": "u1"},
        {"Main_Category": "Force", "dimension": '["B"]', "video_url": "u2"},
        {"Main_Category": "Force", "dimension": "", "video_url": "u3"},
    ]
    tree = figures(*THREE, columns=columns)
    assert [category["column"] for category in tree["categories"]] == ["Main_Category", "dimension"]
    force, optics = tree["categories"][0]["values"]
    assert (force["value"], force["prompts"], optics["value"], optics["prompts"]) == ("Force", 2, "Optics", 1)
    assert force["result"][0]["semantic_adherence"]["mean"] == pytest.approx(0.7)
    assert force["gain_over_control"][0]["semantic_adherence"]["mean"] == pytest.approx(0.1)
    a, b = tree["categories"][1]["values"]
    assert (a["value"], a["prompts"], b["value"], b["prompts"]) == ("A", 1, "B", 2)
    given = figures(*THREE, columns=columns, category_columns=["video_url"])
    assert [category["column"] for category in given["categories"]] == ["video_url"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", ()),
        (" a  b ", ("a b",)),
        ('["a", "b", "a", ""]', ("a", "b")),
        ("[broken", ("[broken",)),
        ("[1]", ("[1]",)),
        ("[" * 100_000, ("[" * 200,)),
        ("x\x1b[2J", ("x\\x1b[2J",)),
    ],
)
def test_values_of_a_column(text: str, values: tuple[str, ...]) -> None:
    assert values_of(entry_of(0, columns={"c": text}), "c") == values
