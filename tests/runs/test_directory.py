"""The run directory: whose it is, who holds it, and what may be trusted in it."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyt2v_cli.config.judges import LlmConfig
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import RunDirError
from phyt2v_cli.roles import ChatReply
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.identity import list_differences, run_key
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.testing.fakes import FakeChat, FakeRoles
from phyt2v_cli.video_id import RoundId
from tests.fake_runs import PROMPT, make_config, open_run, run_through


def test_how_a_scorer_runs_is_no_part_of_the_run_but_who_scores_is() -> None:
    def key(**other: object) -> str:
        program = {"backend": "command", "command": ["judge"]}
        scorer = {**program, "others": [{**program, "name": "second", **other}]}
        return run_key(PROMPT, Config.model_validate({"scorer": scorer}))

    assert key() == key(keep_alive=True, timeout_s=5)
    assert key() != key(command=["another-judge"])


def test_settings_that_a_file_does_not_know_are_the_defaults() -> None:
    config = make_config()
    old = config.model_dump(mode="json")
    del old["refinement"]["stop_score"]
    assert list_differences(PROMPT, config, PROMPT, old) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)
)


@pytest.mark.slow
@given(
    st.text().map(lambda text: f"a ball {text}"),
    st.dictionaries(st.text(min_size=1).map(lambda key: "x-" + key), json_values),
)
def test_records_survive_their_own_json_with_unknown_keys(prompt: str, unknown: dict[str, object]) -> None:
    known = {
        "round": 1,
        "prompt": prompt,
        "steps": 3,
        "purpose": "draft",
        "seed": 0,
        "video": "output1.mp4",
        "run_key": "k",
    }
    record = VideoRecord.model_validate({**known, **unknown})
    again = VideoRecord.model_validate_json(record.model_dump_json())
    assert again == record
    assert json.loads(again.model_dump_json()).items() >= unknown.items()


def test_the_same_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    with open_run(tmp_path / "run"), pytest.raises(RunDirError, match=f"process {os.getpid()}"):
        open_run(tmp_path / "run")
    open_run(tmp_path / "run").close()


def test_force_starts_a_complete_run_anew_but_goes_on_with_an_unfinished_one(tmp_path: Path) -> None:
    path = tmp_path / "run"
    open_run(path, make_config(rounds=1)).close()
    open_run(path, make_config(rounds=1), force=True).close()
    assert not (tmp_path / "run.old-1").exists()
    run_through(path, make_config(rounds=1))
    open_run(path, make_config(rounds=1), force=True).close()
    assert (tmp_path / "run.old-1" / "output2.mp4").exists()


def test_a_run_that_nothing_came_of_makes_way(tmp_path: Path) -> None:
    open_run(tmp_path / "run", make_config(rounds=1)).close()
    with open_run(tmp_path / "run", make_config(rounds=2)) as run:
        assert run.config.refinement.rounds == 2


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    for name in ("notes.txt", "run.json"):
        path = tmp_path / name.partition(".")[0]
        path.mkdir()
        (path / name).write_text('{"mine": true}')
        for force in (False, True):
            with pytest.raises(RunDirError, match="not empty"):
                open_run(path, force=force)
        with pytest.raises(RunDirError, match="no run directory"):
            RunDir.resume(path)
        assert [entry.name for entry in path.iterdir()] == [name]


def test_resume_needs_no_command(tmp_path: Path) -> None:
    path = tmp_path / "run"
    open_run(path, make_config(rounds=1)).close()
    with RunDir.resume(path) as run:
        assert (run.record.prompt, run.config) == (PROMPT, make_config(rounds=1))
    (path / "run.json").write_text("{")
    with pytest.raises(RunDirError, match="Begin it again with this folder as `out`"):
        RunDir.resume(path)
    with pytest.raises(RunDirError, match="no run directory"):
        RunDir.resume(tmp_path / "nowhere")


def test_rounds_of_another_run_are_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1))
    (path / "run.json").write_text("")
    with pytest.raises(RunDirError, match="another prompt or config"):
        open_run(path, make_config(rounds=1, seed=5))
    cast = FakeRoles()
    run_through(path, make_config(rounds=1), cast)
    assert cast.llm.tasks() == ["analysis"]


def test_an_enormous_record_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=0))
    with (path / "round1.json").open("r+b") as file:
        file.truncate(10**9)
    with open_run(path, make_config(rounds=0)) as run:
        assert run.read_video(RoundId(1)) is None
        assert (path / "round1.json.broken-1").exists()


def test_a_record_cannot_point_outside(tmp_path: Path) -> None:
    with open_run(tmp_path / "run") as run:
        fields = {"prompt": "x", "steps": 1, "purpose": "draft", "seed": 0, "run_key": run.key}
        for video in ("../../etc/passwd", "/etc/passwd", "..", "run.json", "output2.mp4", ""):
            path = run.path / "round1.json"
            path.write_text(json.dumps({**fields, "round": 1, "video": video}))
            assert run.read_video(RoundId(1)) is None
            assert not path.exists()


@pytest.mark.parametrize(
    ("prices", "cost"),
    [
        ({"prompt_token_price": 2.0, "completion_token_price": 8.0}, 5 * (10 * 2 + 2 * 8) / 1e6),
        ({"prompt_token_price": 0.0, "completion_token_price": 0.0}, 0.0),
        ({"prompt_token_price": 2.0}, None),
        ({}, None),
    ],
)
def test_every_reply_is_paid_for(prices: dict[str, float], cost: float | None, tmp_path: Path) -> None:
    config = make_config(rounds=1)
    config = config.model_copy(update={"llm": LlmConfig.model_validate(prices)})
    cast = FakeRoles(llm=FakeChat({"analysis": ["no JSON"], "refinement": ["{}"]}))
    run_through(tmp_path / "run", config, cast)
    usage = json.loads((tmp_path / "run" / "run.json").read_text())["usage"]
    assert usage["requests"] == 5  # two of them asked again
    assert usage["cost"] == (None if cost is None else pytest.approx(cost))


def test_a_run_that_was_paid_for_in_part_has_no_cost(tmp_path: Path) -> None:
    prices = LlmConfig(prompt_token_price=1.0, completion_token_price=1.0)
    config = make_config()
    with open_run(tmp_path / "run", config) as run:
        run.count_reply(ChatReply("x", 10, 2))
    config = config.model_copy(update={"llm": prices})
    with open_run(tmp_path / "run", config) as run:
        run.count_reply(ChatReply("x", 10, 2))
        assert run.record.usage.cost is None
