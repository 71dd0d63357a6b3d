"""A study renders and judges what is missing, and goes on after whatever has ended it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phyt2v_cli.errors import ConfigError, PromptError, RunDirError, RunInterruptedError
from phyt2v_cli.files.atomic import TEMPORARY
from phyt2v_cli.roles import Denoised, Scores
from phyt2v_cli.runs.identity import candidate_seed
from phyt2v_cli.sets.study.folder import StudyDir
from phyt2v_cli.sets.study.running import VideoDone
from phyt2v_cli.testing.fakes import FakeChat, FakeGenerator, FakeScorer
from tests.fake_runs import make_config
from tests.fake_studies import ENTRIES, FakeStudy, StepsScorer

NUM_VIDEOS = 2 * 3 * (2 + 1 + 1)
"""Two prompts with two rewrites each: finals of two seeds, a draft, and one with a cache."""


def test_each_prompt_and_its_rewrites_are_rendered_in_every_setting(tmp_path: Path) -> None:
    study = FakeStudy(tmp_path / "s")
    videos = study.complete()
    assert len(videos) == len(study.generator.denoised) == NUM_VIDEOS
    prompts = {prompt for prompt, _, _ in study.generator.denoised}
    assert len(prompts) == 6
    for prompt in prompts:
        made = [(seed, steps) for of, seed, steps in study.generator.denoised if of == prompt]
        assert made == [(0, 6), (0, 3), (candidate_seed(0, "b"), 6), (0, 3)]
    assert study.loads == ["off", "pab"], "the cache is loaded once, for all prompts"
    assert study.generator.drafts == [False, True, False] * 6 + [True] * 6
    (scorer,) = study.scorers
    assert isinstance(scorer, StepsScorer)
    assert len(scorer.calls) == NUM_VIDEOS + 6, "finals of the first seed are judged again"
    assert sum(bool(video.again) for video in videos) == 6
    assert {video.scores["steps"].physical_commonsense for video in videos} == {0.3, 0.6}
    done = [told for told in study.told if isinstance(told, VideoDone)]
    assert [(told.number, told.total) for told in done] == [(n + 1, NUM_VIDEOS) for n in range(NUM_VIDEOS)]


def test_looks_are_rendered_as_parts_of_finals(tmp_path: Path) -> None:
    study = FakeStudy(tmp_path / "s")
    videos = study.complete(look_steps=[2])
    looks = [video for video in videos if video.setting.is_look]
    assert {video.setting.name for video in looks} == {"look after 2 steps"}
    assert len(looks) == 6
    shared = [trajectory for trajectory in study.generator.trajectories if trajectory is not None]
    assert [trajectory.num_steps for trajectory in shared] == [6] * 6
    assert len(FakeStudy(tmp_path / "s").complete(look_steps=[2])) == NUM_VIDEOS + 6, "they are kept"


def test_a_model_that_predicts_nothing_half_way_has_no_looks(tmp_path: Path) -> None:
    class Whole(FakeGenerator):
        def denoise(self, prompt: str, **options: Any) -> Denoised:
            if options.get("trajectory") is not None:
                raise ConfigError("schedule.share_trajectory: this model cannot resume a video, alas")
            return super().denoise(prompt, **options)

    study = FakeStudy(tmp_path / "s", generator=Whole())
    assert len(study.complete(look_steps=[2])) == NUM_VIDEOS
    assert study.num_planned == NUM_VIDEOS
    told = [told for told in study.told if isinstance(told, str)]
    assert told == ["looks are left out: schedule.share_trajectory: this model cannot resume a video, alas"]


def test_a_rewrite_is_asked_to_be_unlike_those_before(tmp_path: Path) -> None:
    study = FakeStudy(tmp_path / "s")
    study.complete()
    assert study.llm.tasks() == ["analysis", "refinement", "refinement"] * 2
    first, second = study.llm.requests[1:3]
    assert "other_prompts" not in first.data
    assert second.data["other_prompts"].startswith("a red ball drops, version")


def test_a_complete_study_does_nothing(tmp_path: Path) -> None:
    videos = FakeStudy(tmp_path / "s").complete()
    again = FakeStudy(tmp_path / "s")
    assert again.complete() == videos
    assert (again.loads, again.llm.requests, again.told) == ([], [], [])


@pytest.mark.slow
def test_more_seeds_rewrites_and_settings_are_added_to_what_is_there(tmp_path: Path) -> None:
    FakeStudy(tmp_path / "s").complete()
    more = FakeStudy(tmp_path / "s")
    videos = more.complete(num_rewrites=3, num_seeds=3, draft_steps=[3, 4])
    assert len(videos) == 2 * 4 * (3 + 2 + 1)
    assert len(more.generator.denoised) == len(videos) - NUM_VIDEOS
    assert more.llm.tasks() == ["analysis", "refinement"] * 2
    fewer = FakeStudy(tmp_path / "s")
    assert len(fewer.complete(num_rewrites=1, num_seeds=1)) == 2 * 2 * (1 + 1 + 1)
    assert fewer.loads == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 5, NUM_VIDEOS - 1])
def test_a_kill_loses_one_video(number: int, tmp_path: Path) -> None:
    path = tmp_path / "s"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_studies", path, str(number)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    process.kill()
    process.communicate(timeout=60)
    study = FakeStudy(path)
    videos = study.complete()
    assert len(study.generator.denoised) == NUM_VIDEOS - (number - 1)
    whole = FakeStudy(tmp_path / "whole").complete()
    assert [(video.setting, video.scores) for video in videos] == [
        (video.setting, video.scores) for video in whole
    ]
    assert not list(path.rglob("*.latents.safetensors"))
    assert not list(path.rglob(TEMPORARY))


def test_it_stops_between_steps_and_goes_on(tmp_path: Path) -> None:
    polls = iter([False] * 40)
    study = FakeStudy(tmp_path / "s", cancelled=lambda: next(polls, True))
    with pytest.raises(RunInterruptedError):
        study.complete()
    begun = len(study.generator.denoised)
    assert 1 < begun < NUM_VIDEOS
    again = FakeStudy(tmp_path / "s")
    assert len(again.complete()) == NUM_VIDEOS
    assert len(again.generator.denoised) <= NUM_VIDEOS - begun + 1


def test_nothing_is_begun_once_the_time_is_over(tmp_path: Path) -> None:
    left = iter([False] * 8)  # asked once for each prompt and each video
    study = FakeStudy(tmp_path / "s", is_over=lambda: next(left, True))
    assert len(study.complete()) == 7
    assert (study.num_missing, study.num_planned) == (NUM_VIDEOS - 7 - 2 * 4, NUM_VIDEOS)
    assert study.loads == ["off"]
    again = FakeStudy(tmp_path / "s")
    assert len(again.complete()) == NUM_VIDEOS
    assert len(again.generator.denoised) == NUM_VIDEOS - 7


def test_a_video_that_was_changed_is_made_and_judged_again_if_a_judge_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "s"
    FakeStudy(path).complete()
    victim = next(path.glob("ball/*.mp4"))
    victim.write_bytes(b"no video")
    broken = next(path.glob("cube/*.mp4")).with_suffix(".json")
    broken.write_text("{")
    study = FakeStudy(path, scorers=[StepsScorer(), FakeScorer("second")])
    videos = study.complete()
    assert len(study.generator.denoised) == 2
    assert all(set(video.scores) == {"steps", "second"} for video in videos)
    assert any("is empty or broken; kept as" in told for told in study.told if isinstance(told, str))


def test_a_record_that_names_another_file_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "s"
    FakeStudy(path).complete(ENTRIES[:1])
    record = next(path.glob("ball/*.mp4")).with_suffix(".json")
    tree = json.loads(record.read_text()) | {"pixels_key": "../../outside", "scorers": {}}
    record.write_text(json.dumps(tree))
    study = FakeStudy(path)
    assert len(study.complete(ENTRIES[:1])) == NUM_VIDEOS // 2
    assert len(study.generator.denoised) == 1
    assert not (tmp_path / "outside.json").exists()
    assert json.loads(record.read_text())["pixels_key"] == record.stem


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    FakeStudy(tmp_path / "s").complete(ENTRIES[:1])
    (tmp_path / "s" / "cube").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunDirError, match="cube is a symbolic link"):
        FakeStudy(tmp_path / "s").complete()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_scores_that_are_missing_are_recorded_as_such(tmp_path: Path) -> None:
    study = FakeStudy(tmp_path / "s", scorers=[StepsScorer(abstains_below=4)])
    videos = study.complete()
    assert sum(video.scores["steps"] == Scores(None, None, ("too few steps",)) for video in videos) == 12
    again = FakeStudy(tmp_path / "s")
    again.complete()
    assert again.loads == [], "abstaining is an answer"


def test_an_llm_with_no_further_rewrite_is_asked_once(tmp_path: Path) -> None:
    same = '{"prompt": "a red ball drops"}'
    study = FakeStudy(tmp_path / "s", llm=FakeChat({"refinement": [same, same]}))
    videos = study.complete(ENTRIES[:1])
    assert len(videos) == study.num_planned == 4
    assert any(isinstance(told, str) and "ball: 0 of 2 rewrites" in told for told in study.told)
    again = FakeStudy(tmp_path / "s")
    assert (len(again.complete(ENTRIES[:1])), again.llm.requests) == (4, [])


class FlatGenerator(FakeGenerator):
    """Makes one flat colour of drafts."""

    def denoise(self, *args: object, draft: bool = False, **kwargs: object) -> Denoised:
        made = super().denoise(*args, draft=draft, **kwargs)  # type: ignore[arg-type]
        return Denoised(np.zeros_like(made.latents), made.how) if draft else made


def test_a_video_without_a_picture_is_left_out_and_not_tried_again(tmp_path: Path) -> None:
    study = FakeStudy(tmp_path / "s", generator=FlatGenerator())
    assert {video.setting.is_final for video in study.complete()} == {True}
    again = FakeStudy(tmp_path / "s")
    again.complete()
    assert again.loads == []


def test_a_prompt_that_is_too_long_is_told_before_anything_is_rendered(tmp_path: Path) -> None:
    study = FakeStudy(tmp_path / "s", generator=FakeGenerator(max_tokens=3))
    with pytest.raises(PromptError, match=r"ball: The prompt is 1 token longer"):
        study.complete()
    assert study.generator.denoised == []


def test_the_videos_of_another_model_or_judge_are_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "s"
    FakeStudy(path).complete(ENTRIES[:1])
    wider = make_config()
    wider = wider.model_copy(update={"generator": wider.generator.model_copy(update={"width": 96})})
    with pytest.raises(RunDirError, match=r"generator\.width: default -> 96"):
        FakeStudy(path, config=wider).complete()
    (path / "study.json").unlink()
    with pytest.raises(RunDirError, match="may be of anything"):
        FakeStudy(path).complete()


def test_a_folder_with_something_else_or_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(RunDirError, match="holds something else"):
        FakeStudy(tmp_path / "other").complete()
    with (
        StudyDir.open(tmp_path / "s", make_config()),
        pytest.raises(RunDirError, match="is in use by process"),
    ):
        FakeStudy(tmp_path / "s").complete()


def test_the_record_of_a_video_says_what_it_is_of(tmp_path: Path) -> None:
    FakeStudy(tmp_path / "s").complete(ENTRIES[:1], num_rewrites=0, num_seeds=1)
    records = [json.loads(path.read_text()) for path in (tmp_path / "s" / "ball").glob("*.json")]
    videos = [record for record in records if record["schema"] == "phyt2v.calibration-video/1"]
    assert sorted((one["steps"], one["cache"] or "", one["is_final"]) for one in videos) == [
        (3, "", False),
        (3, "pab", False),
        (6, "", True),
    ]
