import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyt2v_cli.config.layers import load_config
from phyt2v_cli.config.schema import Config, ScheduleConfig
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.schedule import (
    get_steps_for_round,
    plan,
    plan_run,
    planned_ids,
    schedule_name,
    steps_notice,
)

steps = st.integers(1, 1000)
kinds = st.sampled_from(["linear", "constant", "cosine", "geometric", "final-only"])


def test_the_founding_example() -> None:
    counts = [get_steps_for_round(number, 5) for number in range(1, 6)]
    assert counts == [20, 27, 35, 42, 50]
    assert sum(counts) == 174
    assert round(1 - 174 / 250, 3) == 0.304


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((1, 5, 50, 20), 20),  # swapped
        ((5, 5, 50, 20), 50),
        ((0, 5), 20),  # clamped
        ((-3, 5), 20),
        ((9, 5), 50),
        ((1, 1), 50),  # a single video
        ((1, 0), 50),
        ((3, -4), 50),
        ((2.9, 5.9, 20.9, 50.9), 27),  # floats are truncated
        ((1, 5, -0.5, 50), 0),
        ((1, 2, 30, 30), 30),
    ],
)
def test_edges(arguments: tuple[float, ...], expected: int) -> None:
    assert get_steps_for_round(*arguments) == expected


@given(number=st.integers(-5, 110), total=st.integers(-5, 101), low=steps, high=steps)
def test_steps_stay_between_min_and_max_in_either_order(number: int, total: int, low: int, high: int) -> None:
    count = get_steps_for_round(number, total, low, high)
    assert type(count) is int
    assert min(low, high) <= count <= max(low, high)
    assert count == get_steps_for_round(number, total, high, low)


@given(number=st.floats(0, 50), total=st.floats(0, 50), low=st.floats(1, 1000), high=st.floats(1, 1000))
def test_floats_mean_their_integer_part(number: float, total: float, low: float, high: float) -> None:
    assert get_steps_for_round(number, total, low, high) == get_steps_for_round(
        int(number), int(total), int(low), int(high)
    )


@given(total=st.integers(2, 101), low=steps, high=steps)
def test_linear_is_the_truncated_line(total: int, low: int, high: int) -> None:
    low, high = sorted((low, high))
    for number in range(1, total + 1):
        exact = low + (high - low) * (number - 1) / (total - 1)
        assert exact - 1 < get_steps_for_round(number, total, low, high) <= exact + 1e-9


@given(kind=kinds, rounds=st.integers(-2, 100), low=steps, high=steps)
def test_every_kind_rises_to_max_and_ends_on_a_final(kind: str, rounds: int, low: int, high: int) -> None:
    planned = plan(ScheduleConfig.model_validate({"kind": kind, "min_steps": low, "max_steps": high}), rounds)
    counts = [entry.steps for entry in planned]
    assert len(planned) == max(rounds, 0) + 1
    assert counts == sorted(counts)
    assert counts[0] >= min(low, high)
    assert counts[-1] == max(low, high)
    assert planned[-1].purpose == "final"
    assert all((entry.purpose == "draft") == (entry.steps < max(low, high)) for entry in planned)
    assert [entry.round for entry in planned] == list(range(1, len(planned) + 1))
    assert [entry.id.video_name for entry in planned] == [
        f"output{number}.mp4" for number in range(1, len(planned) + 1)
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("linear", [20, 27, 35, 42, 50]),
        ("constant", [50, 50, 50, 50, 50]),
        ("cosine", [20, 24, 35, 45, 50]),
        ("geometric", [20, 25, 31, 39, 50]),
        ("final-only", [20, 20, 20, 20, 50]),
    ],
)
def test_kinds(kind: str, expected: list[int]) -> None:
    assert [entry.steps for entry in plan(ScheduleConfig.model_validate({"kind": kind}), 4)] == expected


def test_geometric_keeps_exact_powers() -> None:
    schedule = ScheduleConfig(kind="geometric", min_steps=1, max_steps=1000)
    assert [entry.steps for entry in plan(schedule, 3)] == [1, 10, 100, 1000]


def test_an_explicit_list_wins_and_its_last_entry_is_the_full_count() -> None:
    schedule = ScheduleConfig(steps=(10, 10, 20, 30), max_steps=50)
    planned = plan(schedule, 3)
    assert [(entry.steps, entry.purpose) for entry in planned] == [
        (10, "draft"),
        (10, "draft"),
        (20, "draft"),
        (30, "final"),
    ]
    assert schedule_name(schedule) == "explicit"


def test_an_explicit_list_of_the_wrong_length_says_both_numbers() -> None:
    with pytest.raises(ConfigError, match=r"3 entries, but rounds = 4 makes 5 videos") as caught:
        plan(ScheduleConfig(steps=(10, 20, 50)), 4)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ["min_steps=50", "max_steps=20"],
            "min steps 50 is above max steps 20: swapped, the plan runs from 20 to 50",
        ),
        (["max_steps=8"], "min steps is 8, lowered to assignment schedule.max_steps from 20 (preset tiny)"),
        (["min_steps=60"], "max steps is 60, raised to assignment schedule.min_steps from 50 (preset tiny)"),
        (["max_steps=20"], None),
        (["steps=10,10,20,20,30", "max_steps=8"], None),
        (["steps=10,10,20,20,30"], None),
        ([], None),
    ],
    ids=str,
)
def test_bounds_that_contradict_are_told(given: list[str], said: str | None) -> None:
    notice = steps_notice(load_config(environment={}, assignments=[f"schedule.{text}" for text in given]))
    assert notice == said


def planned_with(**search: object) -> list[tuple[int, int, str]]:
    config = Config.model_validate({"search": search})
    return [(entry.steps, entry.num_candidates, entry.purpose) for entry in plan_run(config)]


def test_candidates_are_planned() -> None:
    assert planned_with(candidates=3, finals=2) == [
        (20, 3, "draft"),
        (27, 3, "draft"),
        (35, 3, "draft"),
        (42, 3, "draft"),
        (50, 2, "final"),
    ]


@pytest.mark.parametrize(("candidates", "finals"), [(2, 1), (3, 1), (2, 2), (1, 2)])
def test_an_equal_budget_is_not_exceeded(candidates: int, finals: int) -> None:
    planned = planned_with(candidates=candidates, finals=finals, budget="equal")
    assert 174 - 20 < sum(steps * number for steps, number, _ in planned) <= 174
    assert planned[-1] == (50, finals, "final")
    early = [steps for steps, _, _ in planned[:-1]]
    assert early == sorted(early)


@pytest.mark.parametrize("search", [{"candidates": 9}, {"finals": 4}, {"candidates": 26, "finals": 26}])
def test_an_equal_budget_that_does_not_pay_is_refused(search: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="174 denoising steps do not pay for"):
        planned_with(**search, budget="equal")


def test_equal_budgets_make_drafts_of_a_constant_schedule() -> None:
    config = Config.model_validate(
        {"search": {"candidates": 2, "budget": "equal"}, "schedule": {"kind": "constant"}}
    )
    assert [(entry.steps, entry.purpose) for entry in plan_run(config)] == [(25, "draft")] * 4 + [
        (50, "final")
    ]


def test_ids_of_a_planned_run() -> None:
    config = Config.model_validate(
        {"search": {"candidates": 2}, "refinement": {"rounds": 1, "control": True}}
    )
    ids = planned_ids(config.refinement, plan_run(config))
    assert [id.name for id in ids] == ["round1", "round1.b", "round2", "control"]
