"""SA and PC on rendered clips whose truth is known."""

import numpy as np
import pytest

from phyt2v_cli.backends.embedded.tracker import describe, score_tracks
from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.comparison import compare
from phyt2v_cli.tiny.language import parse_prompt
from phyt2v_cli.tiny.tracker.motion import analyse
from phyt2v_cli.tiny.tracker.tracking import Tracks, track
from phyt2v_cli.tiny.wording import subject_of
from training.renderer import render
from training.scenes import Scenes, sample

BROKEN = [(k, v) for k in world.KINDS for v in world.VIOLATIONS_OF_KIND[k]]

REQUESTS: dict[world.Kind, str] = {
    "drop": "a {a} falls",
    "throw": "a {a} is thrown",
    "roll": "a {a} rolls",
    "slide": "a {a} slides",
    "swing": "a {a} swings on a string",
    "collide": "a {a} and a {b} collide",
    "float": "a {a} floats up",
    "rest": "a {a} rests on the floor",
    "ramp": "a {a} rolls down a ramp",
    "ledge": "a {a} rolls off a table",
    "unequal": "a big {a} hits a small {b}",
    "strike": "a {a} on a string hits a {b}",
    "topple": "a stack of a {a} and a {b} topples",
    "hide": "a {a} rolls behind a wall",
}


def tracked(
    kind: world.Kind, violation: world.Violation | None = None, seed: int = 7
) -> tuple[Scenes, Tracks]:
    scenes = sample(kind, 1, np.random.default_rng(seed), violation)
    return scenes, track(render(scenes).numpy()[0])


def request(scenes: Scenes) -> str:
    shape = world.SHAPES[scenes.shape[0, 0]]
    first, second = (f"{world.COLORS[c]} {shape}" for c in scenes.color[0])
    return REQUESTS[world.KINDS[scenes.kind[0]]].format(a=first, b=second)


@pytest.mark.parametrize("kind", world.KINDS)
def test_a_physical_clip_of_what_was_asked_for_scores_full(kind: world.Kind) -> None:
    scenes, tracks = tracked(kind)
    scores = score_tracks(tracks, request(scenes))
    assert scores.semantic_adherence == pytest.approx(1)
    assert scores.physical_commonsense is not None
    assert scores.physical_commonsense >= 0.95


@pytest.mark.parametrize(("kind", "violation"), BROKEN)
def test_a_broken_law_costs_and_is_named(kind: world.Kind, violation: world.Violation) -> None:
    scenes, tracks = tracked(kind, violation)
    scores = score_tracks(tracks, request(scenes))
    assert scores.physical_commonsense is not None
    assert scores.physical_commonsense <= 0.6
    assert any("PC -" in reason for reason in scores.reasons)


@pytest.mark.parametrize(("kind", "violation"), BROKEN)
def test_the_rulebook_understands_what_the_tracker_says_of_a_broken_law(
    kind: world.Kind, violation: world.Violation
) -> None:
    scenes, tracks = tracked(kind, violation)
    prompt = request(scenes)
    subject = subject_of(prompt, parse_prompt(prompt))
    assert compare(prompt, subject, describe(analyse(tracks)))


@pytest.mark.parametrize("kind", world.KINDS)
def test_the_rulebook_finds_nothing_wrong_with_a_physical_clip(kind: world.Kind) -> None:
    scenes, tracks = tracked(kind)
    prompt = request(scenes)
    assert not compare(prompt, subject_of(prompt, parse_prompt(prompt)), describe(analyse(tracks)))


def test_what_is_missing_is_named() -> None:
    scenes, tracks = tracked("drop")
    other = next(c for c in world.COLORS if c != world.COLORS[scenes.color[0, 0]])
    scores = score_tracks(tracks, f"a {other} balloon floats up")
    assert scores.semantic_adherence is not None
    assert scores.semantic_adherence < 0.4
    assert any(other in reason for reason in scores.reasons)


def test_pc_does_not_depend_on_the_prompt() -> None:
    _, tracks = tracked("drop", "hover")
    values = {score_tracks(tracks, p).physical_commonsense for p in ("a red ball", "honey is poured", "")}
    assert len(values) == 1


def test_it_abstains_outside_its_world() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (8, 64, 64, 3), dtype=np.uint8)
    scores = score_tracks(track(noise), "a red ball drops")
    assert scores.semantic_adherence is None
    assert scores.physical_commonsense is None
    assert "abstains" in scores.reasons[0]
    _, tracks = tracked("drop")
    assert score_tracks(tracks, "honey is poured over pancakes").semantic_adherence is None


def test_a_heavy_and_a_light_ball_that_meet_are_a_collision_too() -> None:
    scenes, tracks = tracked("unequal")
    first, second = (world.COLORS[c] for c in scenes.color[0])
    asked = f"a {first} ball and a {second} ball collide"
    assert score_tracks(tracks, asked).semantic_adherence == pytest.approx(1)
    _, equal = tracked("collide")
    full, part = (score_tracks(equal, f"a {size} ball hits a small ball") for size in ("", "heavy"))
    assert full.semantic_adherence == 1
    assert 0.5 < (part.semantic_adherence or 0) < 1
