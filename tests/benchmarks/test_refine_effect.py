"""The measurement itself: arms, pairs, resuming and its prompts; with doubles in the roles."""

import random
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.refine_effect import (
    ARMS,
    PAIRS,
    PROMPTS_PATH,
    Trial,
    bootstrap,
    print_summary,
    run_trials,
    summarise,
)
from phyt2v_cli.backends.embedded.rulebook import Rulebook
from phyt2v_cli.config.schema import Config
from phyt2v_cli.roles import Roles
from phyt2v_cli.testing.fakes import FakeCaptioner, FakeGenerator, FakeScorer
from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.language import parse_prompt
from training.captions import caption, draw_depth
from training.scenes import sample_pool


def test_all_arms_are_measured_and_a_second_start_renders_nothing(tmp_path: Path) -> None:
    generator, scorer = FakeGenerator(), FakeScorer()
    roles = Roles(lambda: generator, Rulebook(), FakeCaptioner(), [scorer])
    config = Config.model_validate({"schedule": {"min_steps": 2, "max_steps": 5}})
    numbered, said = [(0, "a ball drops"), (1, "two balls clash")], list[str]()

    def run(share: list[tuple[int, str]]) -> list[Trial]:
        return run_trials(share, 7, config, roles, tmp_path, said.append)

    parts = [*run(numbered[:1]), *run(numbered[1:])]
    denoised = len(generator.denoised)
    assert denoised == 2 * (5 + 5 + 3 + 1)
    assert run(numbered) == parts
    assert len(generator.denoised) == denoised
    assert len(said) == 4
    assert [trial.seed for trial in parts] == [7, 8]
    assert {prompt for _, prompt in scorer.calls} == {prompt for _, prompt in numbered}

    summary = summarise(parts)
    assert summary["arms"].keys() == set(ARMS)
    assert len(summary["differences"]) == len(PAIRS)
    assert summary["arms"]["linear"]["steps"][0] == 2 + 2 + 3 + 4 + 5
    assert summary["arms"]["constant"]["steps"][0] == 25
    assert [r["purpose"] for r in summary["rounds"]["linear"]] == ["draft"] * 4 + ["final"]
    with (tmp_path / "table.txt").open("w") as file:
        print_summary(summary, 2, Console(width=140, file=file))
    assert "linear - constant" in (tmp_path / "table.txt").read_text("utf-8")


def test_the_interval_covers_the_mean_and_narrows_with_more_prompts() -> None:
    values = np.random.default_rng(0).normal(0.3, 0.2, 400)
    mean, low, high = bootstrap(values)
    assert low < mean < high
    assert mean == pytest.approx(values.mean())
    _, few_low, few_high = bootstrap(values[:20])
    assert few_high - few_low > high - low


def test_the_prompts_cover_the_world_in_words_of_their_own() -> None:
    prompts = PROMPTS_PATH.read_text("utf-8").splitlines()
    following = PROMPTS_PATH.with_name("next_prompts.txt").read_text("utf-8").splitlines()
    assert len({*prompts, *following}) == 40 + 84
    assert {parse_prompt(prompt).kind for prompt in prompts} >= set(world.LEARNED_KINDS)
    for own in (prompts, following):
        requests = [parse_prompt(prompt) for prompt in own]
        assert {o.color for r in requests for o in r.objects} == set(world.COLORS)
        assert {o.shape for r in requests for o in r.objects} == set(world.SHAPES)
        assert {r.direction for r in requests} == {None, "left", "right"}
    scenes, rng = sample_pool(20_000, seed=9), random.Random(9)
    captions = {_plain(caption(scenes, i, draw_depth(scenes, i, rng), rng)) for i in range(len(scenes))}
    assert not captions & {_plain(prompt) for prompt in (*prompts, *following)}


def test_six_prompts_of_the_next_world_ask_for_each_kind() -> None:
    prompts = PROMPTS_PATH.with_name("next_prompts.txt").read_text("utf-8").splitlines()
    for number, prompt in enumerate(prompts):
        request, kind = parse_prompt(prompt), world.KINDS[number // 6]
        assert request.kind == kind, prompt
        assert len(request.objects) == (2 if kind in world.PAIR_KINDS else 1), prompt
        assert {o.shape for o in request.objects} <= set(world.SHAPES_OF_KIND[kind]), prompt
        assert all(o.color for o in request.objects), prompt


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", text.lower()))
