"""The loop over doubles of the roles, with real files; what it survives is in tests/faults."""

import json
from pathlib import Path

import pytest

from phyt2v_cli.errors import BackendError, PromptError, ReplyError, RunInterruptedError
from phyt2v_cli.events import Event, Notice, RoundDone, RoundStarted, StageStarted, StepDone
from phyt2v_cli.files.video import VideoMetadata
from phyt2v_cli.roles import Scores
from phyt2v_cli.testing.fakes import FakeChat, FakeGenerator, FakeRoles, FakeScorer
from phyt2v_cli.video_id import CONTROL, RoundId, VideoId
from tests.fake_runs import PROMPT, made_from, make_config, run_through
from tests.faults.processes import outcome
from tests.faults.test_kills import kill

NO_MISMATCH = json.dumps({"found": False, "text": ""})


def read(path: Path, name: str) -> dict[str, object]:
    return json.loads((path / name).read_text())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "run"
    run_through(path, make_config(rounds=1))
    return path


def test_every_round_is_rendered_and_judged(tmp_path: Path) -> None:
    cast = FakeRoles()
    result = run_through(tmp_path / "run", make_config(rounds=2), cast)
    assert [steps for _, _, steps in cast.generator.denoised] == [3, 4, 6]
    assert {seed for _, seed, _ in cast.generator.denoised} == {0}
    assert cast.llm.tasks() == ["analysis", *["mismatch", "refinement"] * 2]
    # SA is judged against the original prompt, in every round, the last one too.
    assert cast.scorer.calls == [(f"output{number}.mp4", PROMPT) for number in (1, 2, 3)]
    assert cast.captioner.calls == 3
    assert result.video == tmp_path / "run" / "output3.mp4"
    assert (result.id, result.selected_by, result.stop_reason) == (RoundId(3), "last", None)
    rounds = [read(tmp_path / "run", f"round{number}.json") for number in (1, 2, 3)]
    assert [record["purpose"] for record in rounds] == ["draft", "draft", "final"]
    assert rounds[1]["prompt"] == rounds[0]["refined_prompt"]
    assert rounds[2]["mismatch"] is None
    assert rounds[2]["refined_prompt"] is None
    assert made_from(result.video) == VideoMetadata(result.prompt, 0, 6, 3)
    assert not list((tmp_path / "run").glob("latents*"))
    record = read(tmp_path / "run", "run.json")
    assert record["status"] == "complete"
    assert record["usage"] == {"requests": 5, "prompt_tokens": 50, "completion_tokens": 10, "cost": None}


def test_a_single_video_is_a_final(tmp_path: Path) -> None:
    cast = FakeRoles()
    result = run_through(tmp_path / "run", make_config(rounds=0), cast)
    assert cast.generator.denoised == [(PROMPT, 0, 6)]
    assert result.prompt == PROMPT


def test_a_complete_run_is_left_alone(uninterrupted: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in uninterrupted.iterdir() if path.suffix != ".owner"}
    cast = FakeRoles()
    result = run_through(uninterrupted, make_config(rounds=1), cast)
    assert not cast.worked()
    assert result.video.name == "output2.mp4"
    after = {path: path.stat().st_mtime_ns for path in uninterrupted.iterdir() if path.suffix != ".owner"}
    assert after == before


def test_a_run_that_is_resumed_with_another_attention_kernel_says_so(tmp_path: Path) -> None:
    def cast_with(kernel: str) -> FakeRoles:
        return FakeRoles(generator=FakeGenerator(settings={"offload": "none", "attention": kernel}))

    def notes(cast: FakeRoles) -> list[str]:
        return [event.text for event in cast.events if isinstance(event, Notice)]

    first, second = cast_with("cudnn"), cast_with("flash-attn-4")
    with pytest.raises(RunInterruptedError):
        run_through(
            tmp_path / "run",
            cast=first,
            cancelled=lambda: any(isinstance(event, RoundDone) for event in first.events),
        )
    run_through(tmp_path / "run", cast=second)
    assert not notes(first)
    (note,) = notes(second)
    assert "made with the attention kernel cudnn, and now it is flash-attn-4" in note


def test_told_to_stop_between_steps_and_between_stages(tmp_path: Path, uninterrupted: Path) -> None:
    path, seen = tmp_path / "run", list[Event]()

    def stop_at(number: int) -> bool:
        return len(seen) > number

    for number in (1, 5, 8):
        seen.clear()
        with pytest.raises(RunInterruptedError):
            run_through(
                path,
                make_config(rounds=1),
                emit=seen.append,
                cancelled=lambda number=number: stop_at(number),  # type: ignore[misc]
            )
        assert read(path, "run.json")["status"] == "interrupted"
    run_through(path, make_config(rounds=1))
    assert outcome(path) == outcome(uninterrupted)


def test_stopping_takes_one_step(tmp_path: Path) -> None:
    seen: list[Event] = []
    with pytest.raises(RunInterruptedError):
        run_through(
            tmp_path / "run",
            emit=seen.append,
            cancelled=lambda: any(isinstance(event, StepDone) for event in seen),
        )
    assert sum(isinstance(event, StepDone) for event in seen) == 1


def test_an_llm_that_cannot_be_reached_costs_no_gpu_time(tmp_path: Path) -> None:
    cast = FakeRoles(llm=FakeChat({"analysis": [BackendError("no answer")]}))
    with pytest.raises(BackendError):
        run_through(tmp_path / "run", cast=cast)
    assert cast.loads == 0
    assert read(tmp_path / "run", "run.json")["status"] == "failed"


def test_an_analysis_that_stays_unusable_fails_the_run(tmp_path: Path) -> None:
    cast = FakeRoles(llm=FakeChat({"analysis": ["no", "never"]}))
    with pytest.raises(ReplyError):
        run_through(tmp_path / "run", cast=cast)
    assert cast.loads == 0
    assert cast.llm.tasks() == ["analysis", "analysis"]


def test_a_reply_is_asked_for_again_with_the_error(tmp_path: Path) -> None:
    cast = FakeRoles(llm=FakeChat({"refinement": [json.dumps({"prompt": PROMPT.upper()})]}))
    run_through(tmp_path / "run", make_config(rounds=1), cast)
    assert cast.llm.tasks() == ["analysis", "mismatch", "refinement", "refinement"]
    assert "unchanged" in cast.llm.requests[-1].data["error"]
    assert read(tmp_path / "run", "round1.json")["flags"] == []


def test_a_refined_prompt_must_fit_the_text_encoder_and_the_word_limit(tmp_path: Path) -> None:
    long, longer = ("word " * 61, "word " * 121)
    script = {"refinement": [json.dumps({"prompt": text}) for text in (long, longer)]}
    cast = FakeRoles(llm=FakeChat(script))  # type: ignore[arg-type]
    run_through(tmp_path / "run", make_config(rounds=1), cast)
    assert "1 token longer" in cast.llm.requests[-1].data["error"]
    record = read(tmp_path / "run", "round1.json")
    assert record["flags"] == ["refinement_unusable"]
    assert record["refined_prompt"] == PROMPT


def test_an_original_prompt_beyond_the_text_encoder(tmp_path: Path) -> None:
    prompt = "ball " * 70
    with pytest.raises(PromptError, match="10 tokens"):
        run_through(tmp_path / "run", prompt=prompt)
    cast = FakeRoles()
    config = make_config(rounds=0)
    config = config.model_copy(
        update={"generator": config.generator.model_copy(update={"allow_truncation": True})}
    )
    run_through(tmp_path / "other", config, cast, prompt=prompt)
    assert read(tmp_path / "other", "round1.json")["flags"] == ["truncated_prompt"]
    assert any(isinstance(event, Notice) and "10 tokens" in event.text for event in cast.events)


def test_rewrite_from_original_shows_the_original(tmp_path: Path) -> None:
    for rewrite_from in ("previous", "original"):
        cast = FakeRoles()
        run_through(tmp_path / rewrite_from, make_config(rounds=2, rewrite_from=rewrite_from), cast)
        asked = [request.data["prompt"] for request in cast.llm.requests if request.task == "refinement"]
        second = PROMPT if rewrite_from == "original" else cast.generator.denoised[1][0]
        assert asked == [PROMPT, second]
        assert all(request.data["original_prompt"] == PROMPT for request in cast.llm.requests)


def test_without_early_stop_every_planned_round_is_rendered(tmp_path: Path) -> None:
    unchanged = json.dumps({"prompt": PROMPT})
    script = {"mismatch": [NO_MISMATCH] * 2, "refinement": [unchanged] * 2}
    cast = FakeRoles(llm=FakeChat(script), scorer=FakeScorer())  # type: ignore[arg-type]
    result = run_through(tmp_path / "run", make_config(rounds=2), cast)
    assert [prompt for prompt, _, _ in cast.generator.denoised] == [PROMPT] * 3
    assert read(tmp_path / "run", "round1.json")["flags"] == []
    assert result.stop_reason is None


@pytest.mark.parametrize("reason", ["no_mismatch", "stop_score"])
def test_early_stop_ends_on_a_final_under_the_next_number(reason: str, tmp_path: Path) -> None:
    def cast() -> FakeRoles:
        if reason == "no_mismatch":
            return FakeRoles(llm=FakeChat({"mismatch": [NO_MISMATCH]}))
        return FakeRoles(scorer=FakeScorer(by_video={"output1.mp4": Scores(0.95, 0.9)}))

    first, config = cast(), make_config(rounds=4, early_stop=True)
    result = run_through(tmp_path / "run", config, first)
    assert [steps for _, _, steps in first.generator.denoised] == [3, 6]
    assert (result.id, result.stop_reason, result.prompt) == (RoundId(2), reason, PROMPT)
    assert read(tmp_path / "run", "round2.json")["purpose"] == "final"
    assert read(tmp_path / "run", "run.json")["stop_reason"] == reason
    totals = [event.total_rounds for event in first.events if isinstance(event, RoundStarted)]
    assert totals == [5, 2]
    assert "refinement" not in first.llm.tasks()
    again = cast()
    assert run_through(tmp_path / "run", config, again) == result
    assert not again.worked()


def test_early_stop_on_a_final_renders_nothing_more(tmp_path: Path) -> None:
    config = make_config(rounds=3, early_stop=True)
    config = config.model_copy(update={"schedule": config.schedule.model_copy(update={"kind": "constant"})})
    cast = FakeRoles(llm=FakeChat({"mismatch": [NO_MISMATCH]}))
    result = run_through(tmp_path / "run", config, cast)
    assert len(cast.generator.denoised) == 1
    assert (result.id, result.stop_reason) == (RoundId(1), "no_mismatch")


CONTROL_VIDEO = CONTROL.video_name


@pytest.mark.parametrize(
    ("control", "last", "winner", "rule"),
    [
        (Scores(0.9, 0.9), Scores(0.5, 0.6), CONTROL_VIDEO, "best"),
        (Scores(0.2, 0.9), Scores(0.6, 0.6), "output3.mp4", "best"),
        (Scores(0.5, 0.5), Scores(0.5, 0.5), "output3.mp4", "best"),
        (Scores(0.9, 0.9), Scores(None, 0.6), "output3.mp4", "last_unscored"),
    ],
)
def test_select_best_compares_finals_only(
    control: Scores, last: Scores, winner: str, rule: str, tmp_path: Path
) -> None:
    scores = {"output1.mp4": Scores(1.0, 1.0), "output3.mp4": last, CONTROL_VIDEO: control}
    cast = FakeRoles(scorer=FakeScorer(by_video=scores))
    result = run_through(tmp_path / "run", make_config(rounds=2, select="best", control=True), cast)
    assert (result.video.name, result.selected_by) == (winner, rule)
    assert cast.generator.denoised[-1] == (PROMPT, 0, 6)
    assert read(tmp_path / "run", "control.json")["purpose"] == "final"
    saved = read(tmp_path / "run", "run.json")["result"]
    assert saved["id"] == ("control" if winner == CONTROL_VIDEO else "round3")  # type: ignore[index]


def test_a_control_can_be_added_to_a_complete_run(tmp_path: Path) -> None:
    run_through(tmp_path / "run", make_config(rounds=1))
    cast = FakeRoles()
    run_through(tmp_path / "run", make_config(rounds=1, control=True), cast)
    assert cast.generator.denoised == [(PROMPT, 0, 6)]
    assert made_from(tmp_path / "run" / CONTROL_VIDEO) == VideoMetadata(PROMPT, 0, 6, None)


def test_a_scorer_may_abstain(tmp_path: Path) -> None:
    abstains = Scores(None, None, ("this is not my world",))
    cast = FakeRoles(scorer=FakeScorer(by_video={f"output{n}.mp4": abstains for n in (1, 2)}))
    run_through(tmp_path / "run", make_config(rounds=1, early_stop=True, stop_score=0.0), cast)
    record = read(tmp_path / "run", "round1.json")
    assert record["scores"] == {"semantic_adherence": None, "physical_commonsense": None}
    assert record["scorers"]["double"]["reasons"] == ["this is not my world"]  # type: ignore[index]
    data = next(request.data for request in cast.llm.requests if request.task == "mismatch")
    assert "semantic_adherence" not in data
    assert data["reasons"] == "this is not my world"


def two_scorers(error: Exception | None = None) -> FakeRoles:
    sure = Scores(0.9, 0.95, ("all is there",))
    first = FakeScorer("first", {"output1.mp4": sure, "output2.mp4": Scores(0.1, 0.2)})
    second = FakeScorer("second", {"output1.mp4": Scores(0.3, None, ("no physics here",))}, error)
    return FakeRoles(scorer=first, other_scorers=[second])


def test_the_scores_of_two_scorers_are_kept_apart_and_the_first_decides(tmp_path: Path) -> None:
    cast = two_scorers()
    result = run_through(tmp_path / "run", make_config(rounds=3, early_stop=True), cast)
    assert (result.id, result.stop_reason) == (RoundId(2), "stop_score")  # the second would have gone on
    record = read(tmp_path / "run", "round1.json")
    assert record["scores"] == {"semantic_adherence": 0.9, "physical_commonsense": 0.95}
    assert record["scorers"] == {
        "first": {
            "semantic_adherence": 0.9,
            "physical_commonsense": 0.95,
            "reasons": ["all is there"],
        },
        "second": {
            "semantic_adherence": 0.3,
            "physical_commonsense": None,
            "reasons": ["no physics here"],
        },
    }
    done = [event for event in cast.events if isinstance(event, RoundDone)]
    assert list(done[0].scorers) == ["first", "second"]
    assert done[0].scores == Scores(0.9, 0.95, ("all is there",))
    asked = [request.data for request in cast.llm.requests if "reasons" in request.data]
    assert {data["reasons"] for data in asked} == {"all is there"}
    again = two_scorers()
    run_through(tmp_path / "run", make_config(rounds=3, early_stop=True), again)
    assert not again.worked()


def test_a_scorer_that_fails_leaves_the_others_score_saved(tmp_path: Path) -> None:
    with pytest.raises(BackendError):
        run_through(tmp_path / "run", make_config(rounds=0), two_scorers(BackendError("no answer")))
    assert list(read(tmp_path / "run", "round1.json")["scorers"]) == ["first"]  # type: ignore[call-overload]
    assert read(tmp_path / "run", "round1.json")["scores"] is None
    cast = two_scorers()
    run_through(tmp_path / "run", make_config(rounds=0), cast)
    assert cast.scorer.calls == []
    assert [name for name, _ in cast.other_scorers[0].calls] == ["output1.mp4"]
    assert list(read(tmp_path / "run", "round1.json")["scorers"]) == ["first", "second"]  # type: ignore[call-overload]


def test_killed_between_two_scorers_only_the_missing_one_is_asked(tmp_path: Path) -> None:
    kill(tmp_path / "run", "scorer:1")
    cast = FakeRoles(other_scorers=[FakeScorer("second")])
    run_through(tmp_path / "run", make_config(rounds=1), cast)
    assert [name for name, _ in cast.scorer.calls] == ["output2.mp4"]
    assert [name for name, _ in cast.other_scorers[0].calls] == ["output1.mp4", "output2.mp4"]
    assert cast.captioner.calls == 1


def test_events_name_every_stage_once(tmp_path: Path) -> None:
    cast = FakeRoles()
    run_through(tmp_path / "run", make_config(rounds=1, control=True), cast)
    stages = [(event.video, event.stage) for event in cast.events if isinstance(event, StageStarted)]
    video = ["denoise", "decode", "encode", "caption", "score"]
    expected: list[tuple[VideoId, str]] = [(RoundId(1), stage) for stage in [*video, "mismatch", "refine"]]
    expected += [(id, stage) for id in (RoundId(2), CONTROL) for stage in video]
    assert stages == expected
