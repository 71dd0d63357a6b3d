"""The tracker as captioner and scorer of mp4 files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from phyt2v_cli.backends.embedded.tracker import TrackerCaptioner, TrackerScorer
from phyt2v_cli.files.video import Frames, VideoMetadata, write_video
from phyt2v_cli.tiny import world
from training.renderer import render
from training.scenes import sample


def _write(path: Path, frames: Frames) -> Path:
    write_video(path, frames, fps=world.FPS, metadata=VideoMetadata("clip", seed=0, steps=1))
    return path


def _video(
    folder: Path, kind: world.Kind, violation: world.Violation | None = None, *colors: world.Color
) -> Path:
    scene = sample(kind, 1, np.random.default_rng(5), violation)
    for i, color in enumerate(colors):
        scene.color[:, i] = world.COLORS.index(color)
    scene.shape[:] = world.SHAPES.index(world.SHAPES_OF_KIND[kind][0])
    return _write(folder / "clip.mp4", render(scene).numpy()[0])


def test_a_faithful_physical_video_scores_full(tmp_path: Path) -> None:
    scores = TrackerScorer().score(_video(tmp_path, "drop", None, "red"), "a red ball falls and bounces")
    assert (scores.semantic_adherence, scores.physical_commonsense) == (1, 1)
    assert scores.reasons == ()
    assert TrackerScorer().name == "tracker"


def test_each_deduction_is_named(tmp_path: Path) -> None:
    scores = TrackerScorer().score(_video(tmp_path, "drop", "hover", "red"), "a blue cube slides to the left")
    assert scores.semantic_adherence == pytest.approx(0.26, abs=0.05)
    assert scores.physical_commonsense is not None and scores.physical_commonsense <= 0.5
    told = " ".join(scores.reasons)
    for word in ("hangs in mid-air from frame", "nothing blue", "no cube", "slide asked for", "to the left"):
        assert word in told


def test_pc_does_not_see_the_prompt(tmp_path: Path) -> None:
    video = _video(tmp_path, "drop", "gain-height")
    prompts = ("a ball falls", "two blue cubes slide", "each bounce is higher", "a cat")
    assert len({TrackerScorer().score(video, p).physical_commonsense for p in prompts}) == 1


def test_a_broken_motion_still_counts_as_that_motion_in_part(tmp_path: Path) -> None:
    prompt = "a red ball falls"
    whole = TrackerScorer().score(_video(tmp_path, "drop", None, "red"), prompt).semantic_adherence
    broken = TrackerScorer().score(_video(tmp_path, "drop", "hover", "red"), prompt).semantic_adherence
    other = TrackerScorer().score(_video(tmp_path, "roll", None, "red"), prompt).semantic_adherence
    assert whole is not None and broken is not None and other is not None
    assert whole > broken > other


def test_abstains_from_prompts_of_other_worlds(tmp_path: Path) -> None:
    scores = TrackerScorer().score(_video(tmp_path, "rest"), "a dog runs in the park")
    assert scores.semantic_adherence is None
    assert scores.physical_commonsense == 1
    assert "names nothing of the embedded world" in scores.reasons[-1]


def test_abstains_from_pictures_of_other_worlds(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    video = _write(tmp_path / "noise.mp4", frames)
    scores = TrackerScorer().score(video, "a red ball falls")
    assert (scores.semantic_adherence, scores.physical_commonsense) == (None, None)
    assert scores.reasons[0].startswith("The tracker abstains: ")
    assert "cannot describe" in TrackerCaptioner().caption(video, "Describe the video.")


def test_an_empty_world_scores_nothing(tmp_path: Path) -> None:
    scene = sample("rest", 1, np.random.default_rng(5))
    scene.visible[:] = False
    video = _write(tmp_path / "empty.mp4", render(scene).numpy()[0])
    scores = TrackerScorer().score(video, "a red ball falls")
    assert (scores.semantic_adherence, scores.physical_commonsense) == (0, 0)
    assert "Nothing is seen" in TrackerCaptioner().caption(video, "")


@pytest.mark.parametrize(
    ("kind", "violation", "colors", "words"),
    [
        ("drop", None, ("red",), ("A red ball falls from the upper",)),
        ("drop", "hover", ("orange",), ("An orange ball falls", "It hangs in mid-air from frame")),
        ("throw", None, ("blue",), ("A blue ball flies in an arc to the",)),
        ("roll", "vanish", ("white",), ("A white ball rolls", "frame")),
        ("slide", "jump", ("green",), ("A green cube slides", "jumps to another place")),
        ("swing", "stuck-swing", ("black",), ("A black ball swings on a string", "hangs there")),
        ("collide", None, ("red", "blue"), ("red ball", "blue ball", "bump into each other")),
        ("collide", "pass-through", ("red", "blue"), ("They go through each other",)),
        ("float", "sink", ("purple",), ("A purple balloon", "It sinks")),
        ("rest", None, ("yellow",), ("A yellow ball stays still on the floor.",)),
    ],
)
def test_captions_say_what_is_seen(
    tmp_path: Path,
    kind: world.Kind,
    violation: world.Violation | None,
    colors: tuple[world.Color, ...],
    words: tuple[str, ...],
) -> None:
    caption = TrackerCaptioner().caption(_video(tmp_path, kind, violation, *colors), "Describe the video.")
    assert all(w in caption for w in words), caption
    assert caption.endswith(".")


def test_the_factories_do_not_load_the_tracker() -> None:
    code = "import sys, phyt2v_cli.backends; print('scipy' in sys.modules, 'numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split()[0] == "False"
