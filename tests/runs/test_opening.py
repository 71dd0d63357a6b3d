"""Which judges may still be replaced: by what the records hold, and in runs that failed at one of them."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import BackendError, RunDirError
from phyt2v_cli.runs.identity import HeardJudges, heard_judges
from phyt2v_cli.runs.opening import default_run_dir
from phyt2v_cli.runs.records import PlanRecord, RunRecord, VideoRecord
from phyt2v_cli.testing.fakes import FakeCaptioner, FakeChat, FakeRoles, FakeScorer
from tests.fake_runs import PROMPT, make_config, run_through
from tests.faults.processes import outcome


@dataclass
class LostCaptioner(FakeCaptioner):
    """A name that no server knows."""

    def caption(self, *_: object) -> str:
        raise BackendError("The captioner is not there")


def with_judges(**judges: dict[str, object]) -> Config:
    return Config.model_validate({**make_config(rounds=1).model_dump(), **judges})


WRONG_CAPTIONER = with_judges(captioner={"backend": "openai", "model": "wrong"})
RIGHT_CAPTIONER = with_judges(captioner={"backend": "openai", "model": "right"})


def fail(path: Path, config: Config, cast: FakeRoles) -> None:
    with pytest.raises(BackendError):
        run_through(path, config, cast)
    assert cast.generator.denoised


def test_a_captioner_that_said_nothing_is_replaced_without_rendering_again(tmp_path: Path) -> None:
    path = tmp_path / "run"
    fail(path, WRONG_CAPTIONER, FakeRoles(captioner=LostCaptioner()))
    cast = FakeRoles()
    run_through(path, RIGHT_CAPTIONER, cast)
    assert len(cast.generator.denoised) == 1  # the second video
    assert "analysis" not in cast.llm.tasks()
    assert json.loads((path / "run.json").read_text())["config"]["captioner"]["model"] == "right"
    run_through(tmp_path / "whole", RIGHT_CAPTIONER)
    assert outcome(path) == outcome(tmp_path / "whole")
    assert not list(path.glob("*.broken*"))


def test_one_that_was_heard_is_not(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, WRONG_CAPTIONER)
    with pytest.raises(RunDirError, match=r'captioner\.model: "wrong" -> "right"'):
        run_through(path, RIGHT_CAPTIONER)


def test_what_else_differs_is_still_another_run(tmp_path: Path) -> None:
    path = tmp_path / "run"
    fail(path, WRONG_CAPTIONER, FakeRoles(captioner=LostCaptioner()))
    other = Config.model_validate({**RIGHT_CAPTIONER.model_dump(), "run": {"seed": 3}})
    with pytest.raises(RunDirError, match=r"run\.seed: 0 -> 3") as caught:
        run_through(path, other)
    assert "captioner" not in str(caught.value)


@pytest.mark.parametrize("second_model", ["right", None])
def test_of_several_scorers_those_that_said_nothing_are_replaced(
    second_model: str | None, tmp_path: Path
) -> None:
    def config(first: str, second: str | None) -> Config:
        others = [{"backend": "openai", "model": second}] if second else []
        return with_judges(scorer={"backend": "openai", "model": first, "others": others})

    path = tmp_path / "run"
    lost = FakeScorer("second", error=BackendError("The scorer is not there"))
    fail(path, config("first", "wrong"), FakeRoles(other_scorers=[lost]))
    with pytest.raises(RunDirError, match=r'scorer\.model: "first" -> "another"'):
        run_through(path, config("another", "wrong"))
    cast = FakeRoles()
    run_through(path, config("first", second_model), cast)
    assert [video for video, _ in cast.scorer.calls] == ["output2.mp4"]


def test_an_llm_is_heard_with_its_analysis(tmp_path: Path) -> None:
    wrong = with_judges(llm={"backend": "openai", "model": "wrong"})
    with pytest.raises(BackendError):
        run_through(tmp_path, wrong, FakeRoles(llm=FakeChat({"analysis": [BackendError("not there")]})))
    run_through(tmp_path, with_judges(llm={"backend": "openai", "model": "right"}))
    with pytest.raises(RunDirError, match=r'llm\.model: "right" -> "wrong"'):
        run_through(tmp_path, wrong)


def test_a_round_that_lost_its_run_still_speaks_for_its_llm() -> None:
    run = RunRecord(prompt=PROMPT, seed=0, config={}, plan=[PlanRecord(round=1, steps=1, purpose="final")])
    record = VideoRecord(
        round=1, prompt=PROMPT, steps=1, purpose="draft", seed=0, video="output1.mp4", run_key="k"
    )
    assert heard_judges(run, [record]) == HeardJudges(llm=False, captioner=False, num_scorers=0)
    record.refined_prompt = "better"
    assert heard_judges(run, [record]).llm


def test_without_out_the_corrected_command_finds_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong, right = default_run_dir(PROMPT, WRONG_CAPTIONER), default_run_dir(PROMPT, RIGHT_CAPTIONER)
    assert wrong != right
    fail(wrong, WRONG_CAPTIONER, FakeRoles(captioner=LostCaptioner()))
    assert default_run_dir(PROMPT, WRONG_CAPTIONER) == wrong
    assert default_run_dir(PROMPT, RIGHT_CAPTIONER) == wrong
    assert default_run_dir("another prompt", RIGHT_CAPTIONER).parent == right.parent
    run_through(default_run_dir(PROMPT, RIGHT_CAPTIONER), RIGHT_CAPTIONER)
    assert default_run_dir(PROMPT, RIGHT_CAPTIONER) == wrong
    assert default_run_dir(PROMPT, with_judges(captioner={"model": "third"})) not in (wrong, right)


def test_without_out_a_run_that_did_not_fail_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stopped = iter([False] * 9 + [True] * 100)
    wrong, right = default_run_dir(PROMPT, WRONG_CAPTIONER), default_run_dir(PROMPT, RIGHT_CAPTIONER)
    with pytest.raises(Exception, match="stopped"):
        run_through(wrong, WRONG_CAPTIONER, cancelled=lambda: next(stopped))
    assert default_run_dir(PROMPT, RIGHT_CAPTIONER) == right
