"""A rewrite whose video hardly moves any more is flagged, told to the LLM, and loses ties."""

import json
from pathlib import Path

import numpy as np
import pytest

from phyt2v_cli.config.schema import Config, SearchConfig
from phyt2v_cli.files.motion import motion_of
from phyt2v_cli.files.video import read_frames
from phyt2v_cli.refinement.motion_guard import note_on
from phyt2v_cli.roles import Decoded, Latents, Scores
from phyt2v_cli.runs.reader import read_run
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.testing.fakes import FakeChat, FakeGenerator, FakeRoles, FakeScorer
from tests.fake_runs import PROMPT, make_config, run_through


class StillIfRewritten(FakeGenerator):
    """Moves for the prompts in `moving` only."""

    def __init__(self, moving: tuple[str, ...] = (PROMPT,)) -> None:
        super().__init__()
        self.moving = moving

    def decode(self, latents: Latents) -> Decoded:
        prompt = self.denoised[-1][0]
        frames = np.repeat(super().decode(latents).frames[:1], 8, axis=0)
        if prompt.endswith(self.moving):
            for number, frame in enumerate(frames):
                frame[:, 4 * number : 4 * number + 8] = 255
        return Decoded(frames, self.settings)


def records_of(path: Path) -> dict[str, VideoRecord]:
    return {video.id.name: video for video in read_run(path).videos}


def test_motion_is_recorded_for_each_video(tmp_path: Path) -> None:
    run_through(tmp_path / "run", make_config(1, controls=["original", "blind"]), FakeRoles())
    for record in records_of(tmp_path / "run").values():
        measured = motion_of(read_frames(tmp_path / "run" / record.video))
        assert record.motion == pytest.approx(measured, abs=1e-6)


def test_a_stilled_video_is_flagged_and_is_a_departure(tmp_path: Path) -> None:
    nothing = json.dumps({"found": False, "text": ""})
    roles = FakeRoles(
        generator=StillIfRewritten(),
        llm=FakeChat({"mismatch": [json.dumps({"found": True, "text": "It hovers."}), nothing]}),
    )
    run_through(tmp_path / "run", make_config(2, early_stop=True), roles)
    records = records_of(tmp_path / "run")
    assert [name for name, record in records.items() if "stilled" in record.flags] == ["round2", "round3"]
    second = records["round2"].mismatch
    assert second is not None
    assert second.found
    assert second.text == "The video hardly moves: it has 0% of the motion of the first one."
    last = [request for request in roles.llm.requests if request.task == "refinement"][-1]
    assert last.data["mismatch"] == second.text
    assert len(records) == 3, "a stilled video is no reason to stop"


def test_it_is_added_to_what_the_llm_has_found(tmp_path: Path) -> None:
    found = json.dumps({"found": True, "text": "It hovers."})
    roles = FakeRoles(generator=StillIfRewritten(), llm=FakeChat({"mismatch": [found, found]}))
    run_through(tmp_path / "run", make_config(2), roles)
    first, second = (records_of(tmp_path / "run")[name].mismatch for name in ("round1", "round2"))
    assert first is not None
    assert second is not None
    assert first.text == "It hovers."
    assert second.text.startswith("It hovers. The video hardly moves")


def test_high_scores_are_no_reason_to_stop_either(tmp_path: Path) -> None:
    scorer = FakeScorer(by_video={"output2.mp4": Scores(1.0, 1.0)})
    roles = FakeRoles(generator=StillIfRewritten(), scorer=scorer)
    result = run_through(tmp_path / "run", make_config(2, early_stop=True), roles)
    assert (result.stop_reason, len(result.rounds)) == (None, 3)


def test_controls_are_compared_too(tmp_path: Path) -> None:
    config = make_config(1, controls=["original", "blind"])
    run_through(tmp_path / "run", config, FakeRoles(generator=StillIfRewritten()))
    flags = {name: record.flags for name, record in records_of(tmp_path / "run").items()}
    assert flags == {"control": [], "blind": ["stilled"], "round1": [], "round2": ["stilled"]}


def test_candidates_of_the_first_round_are_compared_with_its_first(tmp_path: Path) -> None:
    scorer = FakeScorer(by_video={"output1.b.mp4": Scores(0.9, 0.9)})
    roles = FakeRoles(generator=StillIfRewritten(), scorer=scorer)
    config = make_config(2).model_copy(update={"search": SearchConfig(candidates=2)})
    run_through(tmp_path / "run", config, roles)
    records = records_of(tmp_path / "run")
    assert records["round1.b"].is_chosen
    assert [name for name, record in records.items() if "stilled" in record.flags] == [
        "round1.b",
        "round2",
        "round2.b",
        "round3",
    ]


def test_a_run_of_before_gets_its_motion_when_it_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run"
    whole = FakeRoles()
    run_through(path, make_config(1), whole)
    for name in ("run.json", "round1.json"):
        tree = json.loads((path / name).read_text())
        tree |= {"status": "interrupted"} if name == "run.json" else {"motion": None}
        (path / name).write_text(json.dumps(tree))
    (path / "round2.json").unlink()
    (path / "output2.mp4").unlink()
    run_through(path, make_config(1))
    assert records_of(path)["round1"].motion is not None


def searching() -> Config:
    search = SearchConfig(candidates=2, finals=2, vary="rewrites")
    return make_config(2).model_copy(update={"search": search})


@pytest.mark.parametrize(("score", "chosen"), [(0.5, "round2.b"), (0.6, "round2")], ids=["tie", "better"])
def test_it_loses_ties_only(score: float, chosen: str, tmp_path: Path) -> None:
    scorer = FakeScorer(by_video={"output2.mp4": Scores(score, score)})
    replies = [json.dumps({"step_back": "", "prompt": text}) for text in ("blind", "frozen", "it moves")]
    roles = FakeRoles(
        generator=StillIfRewritten((PROMPT, "moves")), llm=FakeChat({"refinement": replies}), scorer=scorer
    )
    run_through(tmp_path / "run", searching(), roles)
    records = records_of(tmp_path / "run")
    assert (records["round2"].flags, records["round2.b"].flags) == (["stilled"], [])
    assert [name for name, record in records.items() if record.is_chosen][1] == chosen


def test_the_best_final_is_not_a_stilled_one_with_the_same_scores(tmp_path: Path) -> None:
    roles = FakeRoles(generator=StillIfRewritten())
    config = make_config(1, control=True, select="best")
    result = run_through(tmp_path / "run", config, roles)
    assert result.video.name == "control.mp4"


def record(motion: float | None) -> VideoRecord:
    return VideoRecord.model_validate(
        {
            "id": "round1",
            "video": "output1.mp4",
            "prompt": PROMPT,
            "steps": 5,
            "purpose": "draft",
            "seed": 1,
            "run_key": "",
            "motion": motion,
        }
    )


@pytest.mark.parametrize(
    ("motion", "first", "prompt", "is_stilled"),
    [
        (0.002, 0.01, PROMPT, True),
        (0.004, 0.01, PROMPT, False),
        (0.02, 0.01, PROMPT, False),
        (0.0, 0.00004, PROMPT, False),
        (0.0, 0.0003, PROMPT, True),
        (0.0, 0.01, "a stone skips over a frozen lake", True),
        (0.0, 0.01, "a truck passes a stationary car, static camera", True),
        (0.0, 0.01, "a man stands still", False),
        (0.0, 0.01, "a red ball lies on the floor", False),
        (0.0, 0.01, "A cube at REST.", False),
        (0.0, 0.01, "a ball hits a wrestler", True),
        (None, 0.01, PROMPT, False),
        (0.0, None, PROMPT, False),
    ],
)
def test_what_counts_as_stilled(
    motion: float | None, first: float | None, prompt: str, is_stilled: bool
) -> None:
    assert (note_on(record(motion), record(first), prompt) is not None) == is_stilled
