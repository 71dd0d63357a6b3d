"""Budgets: later drafts get fewer steps, then are left out, and the final is there in any case."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from phyt2v_cli.checks.judges import check_judges
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.events import Notice
from phyt2v_cli.refinement.steering.budget import Budget, Pace, drafts_that_fit
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.schedule import PlannedRound
from phyt2v_cli.testing.fakes import FakeRoles
from phyt2v_cli.timing import speeds
from phyt2v_cli.timing.speeds import Speed
from tests.fake_runs import make_config, open_run, run_through

DRAFTS = [PlannedRound(number, steps, "draft") for number, steps in enumerate((20, 27, 35, 42), start=1)]
PACE = Pace(draft_step=1.0, final_step=2.0, video=5.0, rewrite=1.0)
ALL = 124 + 4 * 6


def steps_of(planned: Sequence[PlannedRound]) -> list[int]:
    return [entry.steps for entry in planned]


@pytest.mark.parametrize(
    ("available", "steps"),
    [
        (ALL, [20, 27, 35, 42]),
        (ALL / 2, [8, 10, 14, 16]),
        (44, [6, 8, 11]),  # a fourth would leave the first fewer than 4 steps
        (10, [4]),
        (9, []),
        (0, []),
        (-50, []),
    ],
)
def test_later_drafts_are_left_out_once_steps_get_too_few(available: float, steps: list[int]) -> None:
    fitting = drafts_that_fit(DRAFTS, available, PACE)
    assert steps_of(fitting) == steps
    assert sum(PACE.draft(draft) for draft in fitting) <= max(available, 0)
    assert all(draft.purpose == "draft" for draft in fitting)


def test_candidates_and_looks_are_counted() -> None:
    several = [PlannedRound(1, 20, "draft", num_candidates=3, look_steps=4)]
    assert PACE.draft(several[0]) == 20 + 2 * 4 + 3 * 5 + 1
    (fitting,) = drafts_that_fit(several, 16 + 14, PACE)
    assert (fitting.steps, fitting.look_steps) == (10, 2)


def with_budget(rounds: int = 3, **run: object) -> Config:
    config = make_config(rounds)
    return config.model_copy(update={"run": config.run.model_copy(update=run)})


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has measured 10 s for a step."""
    monkeypatch.setattr(speeds, "find", lambda _: Speed(10.0, 10.0, 0.0, "a machine"))
    monkeypatch.setattr(speeds, "find_judges", lambda _: {})


@pytest.mark.usefixtures("measured")
def test_a_run_without_time_for_drafts_is_its_final(tmp_path: Path) -> None:
    config, roles = with_budget(max_seconds=75), FakeRoles()
    result = run_through(tmp_path / "run", config, roles)
    assert [(one.steps, one.purpose) for one in result.rounds] == [(6, "final")]
    (told,) = [event.text for event in roles.events if isinstance(event, Notice)]
    assert told.endswith("of run.max_seconds are left: the final comes next")
    assert read_run(tmp_path / "run").record.replanned == [told]
    again = FakeRoles()
    assert run_through(tmp_path / "run", config, again).video == result.video
    assert not again.worked()
    richer = FakeRoles()
    assert run_through(tmp_path / "run", make_config(3), richer).video == result.video, "it is the same run"
    assert not richer.worked()


@pytest.mark.usefixtures("measured")
def test_what_the_run_itself_measures_brings_drafts_back(tmp_path: Path) -> None:
    # Two drafts of 3 and 4 steps, a third of 5 and the final of 6 take 180 s as measured before.
    result = run_through(tmp_path / "run", with_budget(max_seconds=140), roles := FakeRoles())
    steps = [one.steps for one in result.rounds]
    assert steps[0] < 4
    assert steps[1:] == [4, 5, 6], "the fakes take no time"
    told = [event.text for event in roles.events if isinstance(event, Notice)]
    assert "in place of 3, 4, 5 steps" in told[0]
    assert told[1] == "there is time for all that was planned"


def test_nothing_is_changed_while_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds, "find", lambda _: None)
    with open_run(tmp_path / "run", with_budget(max_seconds=0.001)) as run:
        planned = run.record.planned_rounds
        assert Budget(run).fit(planned, []) == (list(planned), "")


@pytest.mark.usefixtures("measured")
def test_a_final_that_does_not_fit_is_rendered_and_that_is_said(tmp_path: Path) -> None:
    roles = FakeRoles()
    result = run_through(tmp_path / "run", with_budget(0, max_seconds=1), roles)
    assert [one.steps for one in result.rounds] == [6]
    (told,) = [event.text for event in roles.events if isinstance(event, Notice)]
    assert told.endswith("too little for the final, which is rendered all the same")


def test_loading_is_reserved_until_it_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds, "find", lambda _: Speed(10.0, 10.0, 0.0, "a machine", load_s=100.0))
    monkeypatch.setattr(speeds, "find_judges", lambda _: {})
    with open_run(tmp_path / "run", with_budget(max_seconds=200)) as run:
        planned = run.record.planned_rounds
        assert len(Budget(run).fit(planned, [])[0]) < 4
        now = 0.0
        budget = Budget(run, clock=lambda: now)
        now = 19.0
        assert "about 1m 40s of" in budget.fit(planned, [])[1]


@pytest.mark.usefixtures("measured")
def test_controls_are_reserved_like_the_final(tmp_path: Path) -> None:
    config = make_config(3, control=True)
    config = config.model_copy(update={"run": config.run.model_copy(update={"max_seconds": 125})})
    with open_run(tmp_path / "run", config) as run:
        fitting, _ = Budget(run).fit(run.record.planned_rounds, [])
    assert steps_of(fitting) == [6]


@pytest.mark.usefixtures("measured")
def test_money_is_kept_to(tmp_path: Path) -> None:
    # An hour is 3.60, a step 0.01: 0.06 for the final and 0.12 for the drafts.
    for max_cost, steps in ((0.18, [3, 4, 5, 6]), (0.1, [4, 6]), (0.05, [6])):
        config = with_budget(max_cost=max_cost, price_per_hour=3.6)
        with open_run(tmp_path / str(max_cost), config) as run:
            fitting, words = Budget(run).fit(run.record.planned_rounds, [])
        assert len(fitting) == len(steps) or max_cost == 0.1
        assert fitting[-1].steps == 6
        assert sum(entry.total_steps for entry in fitting) * 0.01 <= max(max_cost, 0.06) + 1e-9
        assert ("run.max_cost are left" in words) == (max_cost < 0.18)


def test_a_cost_without_prices_is_refused() -> None:
    priced = {"prompt_token_price": 1.0, "completion_token_price": 2.0}
    tree = {
        "llm": {"backend": "rulebook"},
        "captioner": {"backend": "tracker"},
        "scorer": {"backend": "tracker"},
        "run": {"max_cost": 1.0},
    }
    with pytest.raises(ConfigError, match=r"^run.max_cost: nothing has a price\n"):
        check_judges(Config.model_validate(tree))
    check_judges(Config.model_validate(tree | {"llm": {"backend": "rulebook", **priced}}))
    check_judges(Config.model_validate(tree | {"run": {"max_cost": 1.0, "price_per_hour": 2.5}}))
