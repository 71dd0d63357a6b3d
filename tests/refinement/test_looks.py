"""Looks at candidates after their first steps, and rounds that share one denoising."""

import json
from pathlib import Path

import numpy as np
import pytest

from phyt2v_cli.checks.notices import find_notices_of_run
from phyt2v_cli.checks.preflight import check_model
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.events import CandidateDone, Notice, RoundStarted, StepDone
from phyt2v_cli.files.video import read_frames
from phyt2v_cli.roles import Scores
from phyt2v_cli.runs.identity import candidate_seed
from phyt2v_cli.schedule import plan_run
from phyt2v_cli.testing.fakes import FakeChat, FakeRoles, FakeScorer
from tests.fake_runs import PROMPT, make_config, run_through
from tests.refinement.test_candidates import records_of, roles_with, searching
from tests.refinement.test_control import Death, Killed, end_of
from tests.tiny_generators import make_generator

NO_MISMATCH = json.dumps({"found": False, "text": ""})
SEED_B = candidate_seed(0, "b")


def test_only_the_best_candidate_takes_all_steps(tmp_path: Path) -> None:
    path, roles = tmp_path / "run", roles_with(**{"1_b": 0.9, "2": 0.8, "3_c": 0.7})
    config = searching(candidates=3, finals=3, vary="seeds", look_at=0.5)
    result = run_through(path, config, roles)
    rounds = [roles.generator.denoised[4 * number : 4 * number + 4] for number in range(3)]
    assert [[steps for _, _, steps in of_round] for of_round in rounds] == [
        [2, 2, 2, 3],
        [2, 2, 2, 4],
        [3, 3, 3, 6],
    ]
    # The chosen one goes on with its own prompt, seed and denoising.
    assert [of_round[3][:2] for of_round in rounds] == [rounds[0][1][:2], rounds[1][0][:2], rounds[2][2][:2]]
    steps = [shared.num_steps for shared in roles.generator.trajectories if shared is not None]
    assert steps == [3] * 4 + [4] * 4 + [6] * 4
    records = records_of(path)
    assert {name for name, record in records.items() if record.is_chosen} == {
        "round1.b",
        "round2",
        "round3.c",
    }
    chosen, other = records["round3.c"], records["round3"]
    assert (chosen.steps, chosen.purpose, chosen.look and chosen.look.steps) == (6, "final", 3)
    assert chosen.look is not None
    assert chosen.look.scores.semantic_adherence == 0.7
    assert (other.steps, other.purpose, other.look) == (3, "draft", None)
    assert result.video == path / "output3.c.mp4"
    assert not list(path.glob("trajectory*"))
    # Looks are judged and not captioned.
    assert [name for name, record in records.items() if record.caption is not None] == [
        "round1.b",
        "round2",
        "round3.c",
    ]
    assert sum(isinstance(event, CandidateDone) for event in roles.events) == 9
    begun = [event.steps for event in roles.events if isinstance(event, RoundStarted)]
    assert begun == [2, 2, 2, 3, 2, 2, 2, 4, 3, 3, 3, 6]
    before = {file.name: file.stat().st_mtime_ns for file in path.iterdir() if file.suffix == ".mp4"}
    again = FakeRoles()
    run_through(path, config, again)
    assert not again.worked()
    assert before == {file.name: file.stat().st_mtime_ns for file in path.iterdir() if file.suffix == ".mp4"}


def test_the_plan_counts_the_steps_of_looks() -> None:
    config = searching(candidates=3, finals=2, look_at=0.2)
    rounds = plan_run(config)
    assert [(entry.steps, entry.look_steps, entry.total_steps) for entry in rounds] == [
        (3, 1, 5),
        (4, 1, 6),
        (6, 2, 8),
    ]
    assert [entry.look_steps for entry in plan_run(searching(look_at=0.2))] == [None] * 3
    equal = searching(4, candidates=4, look_at=0.25, budget="equal").model_copy(
        update={"schedule": make_config().schedule.model_copy(update={"min_steps": 20, "max_steps": 50})}
    )
    free = equal.model_copy(update={"search": equal.search.model_copy(update={"candidates": 1})})
    total = sum(entry.total_steps for entry in plan_run(equal))
    assert 0.93 * 174 <= total <= sum(entry.total_steps for entry in plan_run(free)) + 4


@pytest.mark.slow
def test_killed_before_any_file_is_renamed_or_deleted_looks_end_the_same(tmp_path: Path) -> None:
    config = searching(1, candidates=2, finals=2, vary="both", look_at=0.5)

    def cast() -> FakeRoles:
        return roles_with(**{"1_b": 0.9, "2_b": 0.8})

    run_through(tmp_path / "whole", config, cast())
    num_alive = 0
    while True:
        path, death, second = tmp_path / str(num_alive), Death(num_alive), cast()
        with pytest.MonkeyPatch.context() as patch:
            for name in ("replace", "unlink"):
                patch.setattr(Path, name, death.before(getattr(Path, name)))
            try:
                run_through(path, config, cast())
            except Killed:
                pass
            else:
                break
        run_through(path, config, second)
        assert end_of(path) == end_of(tmp_path / "whole")
        assert not any(path.glob("latents*"))
        assert not any(path.glob("trajectory*"))
        assert not [event.text for event in second.events if isinstance(event, Notice)], num_alive
        num_alive += 1
    assert num_alive > 40


def tiny_roles(folder: Path, llm: FakeChat | None = None) -> FakeRoles:
    """Return roles with a real generator."""
    scores = {"output1.b.mp4": Scores(0.9, 0.9), "output2.b.mp4": Scores(0.9, 0.9)}
    roles = FakeRoles(scorer=FakeScorer(by_video=scores))
    if llm is not None:
        roles.llm = llm
    roles.generator = make_generator(folder)  # type: ignore[assignment]
    return roles


def test_a_final_that_goes_on_is_bit_for_bit_the_one_of_a_single_call(
    tiny_cogvideox_dir: Path, tmp_path: Path
) -> None:
    config = searching(0, finals=2, look_at=0.4)
    run_through(tmp_path / "looks", config, tiny_roles(tiny_cogvideox_dir))
    chosen = records_of(tmp_path / "looks")["round1.b"]
    assert (chosen.steps, chosen.seed, chosen.generator["kept_steps"]) == (6, SEED_B, "3")
    assert chosen.computed_steps == 6
    alone = make_config(0, seed=SEED_B)
    run_through(tmp_path / "alone", alone, tiny_roles(tiny_cogvideox_dir))
    expected = read_frames(tmp_path / "alone" / "output1.mp4")
    np.testing.assert_array_equal(read_frames(tmp_path / "looks" / "output1.b.mp4"), expected)
    assert chosen.pixels_key == records_of(tmp_path / "alone")["round1"].pixels_key


def sharing(rounds: int) -> Config:
    config = make_config(rounds)
    shared = config.schedule.model_copy(update={"share_trajectory": True})
    return config.model_copy(update={"schedule": shared})


def test_a_prompt_that_is_kept_costs_the_steps_of_one_video(tiny_cogvideox_dir: Path, tmp_path: Path) -> None:
    def llm() -> FakeChat:
        kept = json.dumps({"prompt": PROMPT})
        return FakeChat({"mismatch": [NO_MISMATCH, NO_MISMATCH], "refinement": [kept, kept]})

    roles = tiny_roles(tiny_cogvideox_dir, llm())
    run_through(tmp_path / "shared", sharing(2), roles)
    records = records_of(tmp_path / "shared")
    assert {record.prompt for record in records.values()} == {PROMPT}
    assert [record.steps for record in records.values()] == [3, 4, 6]
    assert [record.computed_steps for record in records.values()] == [3, 1, 2]
    seen = [event.steps for event in roles.events if isinstance(event, StepDone)]
    assert seen == [3] * 3 + [4] * 2 + [6] * 3
    run_through(tmp_path / "whole", make_config(2), tiny_roles(tiny_cogvideox_dir, llm()))
    whole = records_of(tmp_path / "whole")
    np.testing.assert_array_equal(
        read_frames(tmp_path / "shared" / "output3.mp4"), read_frames(tmp_path / "whole" / "output3.mp4")
    )
    assert records["round3"].pixels_key == whole["round3"].pixels_key
    assert records["round1"].pixels_key != whole["round1"].pixels_key  # what is predicted is another video
    assert not list((tmp_path / "shared").glob("trajectory*"))


@pytest.mark.slow
def test_another_prompt_begins_anew(tiny_cogvideox_dir: Path, tmp_path: Path) -> None:
    run_through(tmp_path / "run", sharing(1), tiny_roles(tiny_cogvideox_dir))
    records = records_of(tmp_path / "run")
    assert len({record.prompt for record in records.values()}) == 2
    assert [record.computed_steps for record in records.values()] == [3, 6]


def test_what_has_no_effect_is_said_and_what_cannot_be_is_refused() -> None:
    alone = searching(look_at=0.2)
    assert "search.look_at has no effect: no round has several candidates" in find_notices_of_run(
        alone, plan_run(alone)
    )
    looking = searching(candidates=2, look_at=0.2)
    cached = looking.model_copy(update={"generator": GeneratorConfig(draft_cache="pab")})
    (note,) = (note for note in find_notices_of_run(cached, plan_run(cached)) if "draft_cache" in note)
    assert "the first steps of an exact video are exact" in note
    server = {"backend": "server", "base_url": "http://127.0.0.1:9/v1", "model": "wan"}
    for generator, what in ((server, "a video server"), ({"video": "a.mp4"}, "a model that begins with")):
        config = looking.model_copy(update={"generator": GeneratorConfig.model_validate(generator)})
        with pytest.raises(ConfigError, match=f"{what}.* cannot resume a denoising"):
            check_model(config)
