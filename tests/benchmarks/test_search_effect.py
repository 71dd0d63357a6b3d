"""Search benchmark: a weaker judge is as weak as asked, decides in the runs, and never measures."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from phyt2v_cli.roles import Scores
from phyt2v_cli.tiny.comparison import compare
from phyt2v_cli.tiny.language import parse_prompt
from phyt2v_cli.tiny.wording import subject_of

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
MEASURES = ("semantic_adherence", "physical_commonsense")
SCORES = [(1.0, 0.2), (1.0, 1.0), (0.5, 1.0), (0.9, 0.6), (1.0, 0.7), (0.4, 0.3), (1.0, 1.0), (0.8, 0.8)]


@pytest.fixture
def weak_roles(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return import_module("weak_roles")


class Judge:
    """Judge that reads its scores from the video."""

    name = "tracker"

    def score(self, video_path: Path, _: str) -> Scores:
        sa, pc, _ = json.loads(video_path.read_text())
        return Scores(sa, pc, ("a ball hovers",))


def test_a_weak_judge_is_as_weak_as_asked_and_always_says_the_same(weak_roles: Any, tmp_path: Path) -> None:
    judge = weak_roles.WeakJudge(Judge(), weak_roles.noise_for(SCORES, 0.4))
    clean, weak = [], []
    for number in range(100 * len(SCORES)):
        sa, pc = SCORES[number % len(SCORES)]
        video = tmp_path / f"{number}.mp4"
        video.write_text(json.dumps([sa, pc, number]))
        scores = judge.score(video, "a ball drops")
        assert scores == judge.score(video, "a ball drops")
        assert scores.reasons == ()
        assert min(scores.semantic_adherence, scores.physical_commonsense) >= 0
        assert max(scores.semantic_adherence, scores.physical_commonsense) <= 1
        clean.append(sa + pc)
        weak.append(scores.semantic_adherence + scores.physical_commonsense)
    assert stats.spearmanr(clean, weak).statistic == pytest.approx(0.4, abs=0.1)


class Captioner:
    """Captioner that reads its caption from the video."""

    def caption(self, video_path: Path, _: str) -> str:
        return video_path.read_text().rstrip("0123456789")


def test_a_weak_captioner_errs_as_often_as_asked_and_always_says_the_same(
    weak_roles: Any, tmp_path: Path
) -> None:
    sound = "A red ball rolls along the floor to the right."
    unsound = f"{sound} It jumps to another place at once."
    error = weak_roles.error_for([1.0, 1.0, 1.0, 0.4], 0.4)
    captioner = weak_roles.WeakCaptioner(Captioner(), error)
    prompt = "a red ball rolls"
    subject = subject_of(prompt, parse_prompt(prompt))
    told: dict[str, list[bool]] = {sound: [], unsound: []}
    for number in range(1600):
        known = unsound if number % 4 == 3 else sound
        video = tmp_path / f"{number}.mp4"
        video.write_text(f"{known}{number}")
        caption = captioner.caption(video, "")
        assert caption == captioner.caption(video, "")
        assert caption.startswith(sound)
        told[known].append(bool(compare(prompt, subject, caption)))
    assert sum(told[sound]) / 1200 == pytest.approx(error, abs=0.04)
    assert sum(told[unsound]) / 400 == pytest.approx(1 - error, abs=0.06)
    truth = [known == unsound for known, said in told.items() for _ in said]
    said = [one for said in told.values() for one in said]
    assert stats.spearmanr(truth, said).statistic == pytest.approx(0.4, abs=0.08)


def test_where_all_videos_are_sound_no_captioner_can_be_right(weak_roles: Any) -> None:
    with pytest.raises(ValueError, match="all videos are sound"):
        weak_roles.error_for([1.0, 1.0], 0.4)


def test_no_judge_can_order_equal_videos(weak_roles: Any) -> None:
    with pytest.raises(ValueError, match="the same scores"):
        weak_roles.noise_for([(1.0, 1.0), (1.0, 1.0)], 0.4)


@pytest.mark.slow
def test_prompts_are_chosen_and_judged_by_the_weak_one_and_measured_by_the_other(tmp_path: Path) -> None:
    short = ["schedule.min_steps=2", "schedule.max_steps=4", "refinement.rounds=1"]
    command = [
        *(sys.executable, SCRIPTS / "search_effect.py", "--prompts", "3", "--choose", "1"),
        *(
            "--seeds",
            "0",
            "1000",
            "--judge-correlation",
            "0.4",
            "--caption-correlation",
            "0.4",
            "--searches",
            "loop",
            "--no-controls",
        ),
        *("--runs", tmp_path / "runs", "--out", tmp_path / "out.json"),
        *(argument for setting in short for argument in ("--set", setting)),
    ]
    subprocess.run([*command, "--originals-only", "--part", "2/2"], check=True, capture_output=True)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["original09001"]
    subprocess.run([*command, "--part", "0/2"], check=True, capture_output=True)
    assert not (tmp_path / "out.json").exists()
    for part in ("1/2", "2/2"):
        subprocess.run([*command, "--part", part], check=True, capture_output=True)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "noise of the judge" in done.stdout
    assert "error of the captioner" in done.stdout
    report = json.loads((tmp_path / "out.json").read_text())
    assert len(report["trials"]) == 2
    originals = json.loads((tmp_path / "runs" / "originals9000.json").read_text())
    chosen = sorted(originals, key=lambda prompt: originals[prompt]["lower"])[:1]
    assert {trial["prompt"] for trial in report["trials"]} == set(chosen)
    said, measured = [], []
    for trial in report["trials"]:
        record = json.loads((tmp_path / "runs" / f"{trial['seed']:05d}" / "loop" / "round2.json").read_text())
        said.append([record["scores"][measure] for measure in MEASURES])
        measured.append([trial["arms"]["loop"][measure] for measure in MEASURES])
    assert said != measured
