import io
from pathlib import Path

import pytest
from rich.console import Console

from phyt2v_cli.cli.views.rounds import rounds_table
from phyt2v_cli.refinement.loop import refine
from phyt2v_cli.report.as_json.rounds import rounds_as_json
from phyt2v_cli.roles import Scores
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.testing.fakes import FakeRoles, FakeScorer
from tests.fake_runs import make_config, open_run


def drawn(run: RunDir, width: int) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width).print(rounds_table(run, width))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def finish(run: RunDir, *others: FakeScorer) -> None:
    scorer = FakeScorer(by_video={"output2.mp4": Scores(0.9, 0.4)})
    cast = FakeRoles(scorer=scorer, other_scorers=list(others))
    refine(run, cast.roles(), emit=cast.events.append, cancelled=lambda: False)


@pytest.mark.parametrize("width", [60, 120])
def test_one_scorer_is_a_row_for_each_video(width: int, tmp_path: Path) -> None:
    with open_run(tmp_path / "run", make_config(rounds=1)) as run:
        finish(run)
        header, _, first, last = drawn(run, width)
        entry = rounds_as_json(run)[1]
    assert header.split() == ["video", "steps", "time", "SA", "PC", "scored", "as"]
    assert first.endswith("draft")
    assert last.endswith("final, the result")
    assert last.split()[-5:-3] == ["0.90", "0.40"]
    assert max(map(len, [header, first, last])) <= width
    assert entry["disagreement"] is None


def test_the_scores_and_what_they_are_of_stay_on_a_narrow_terminal(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", make_config(rounds=1)) as run:
        finish(run)
        header, _, _, last = drawn(run, 40)
    assert header.split() == ["video", "SA", "PC", "scored", "as"]
    assert last.split() == ["output2.mp4", "0.90", "0.40", "final,", "the", "result"]


@pytest.mark.parametrize("width", [60, 120])
def test_further_scorers_stand_below_with_how_far_they_are_apart(width: int, tmp_path: Path) -> None:
    vlm = FakeScorer("openai:[a]-vision-model", {"output2.mp4": Scores(0.7, 0.8)})
    abstains = FakeScorer("tracker", {f"output{n}.mp4": Scores(None, None) for n in (1, 2)})
    with open_run(tmp_path / "run", make_config(rounds=1)) as run:
        finish(run, vlm, abstains)
        lines = drawn(run, width)
        entry = rounds_as_json(run)[1]
    assert max(map(len, lines)) <= width
    assert [line.split()[0] for line in lines[2:]] == [
        *("output1.mp4", "openai:[a]-…", "tracker"),
        *("output2.mp4", "openai:[a]-…", "tracker"),
    ]
    assert lines[3].split()[1:] == ["0.50", "0.50", "0.00", "apart", "in", "SA"]
    assert lines[6].split()[1:] == ["0.70", "0.80", "0.40", "apart", "in", "PC"]
    assert lines[7].split()[1:] == ["-", "-"]
    assert entry["disagreement"] == {"semantic_adherence": 0.2, "physical_commonsense": 0.4}
    assert list(entry["scorers"]) == ["double", "openai:[a]-vision-model", "tracker"]  # type: ignore[call-overload]
