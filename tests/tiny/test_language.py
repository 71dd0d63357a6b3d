"""Free prompts are read as people mean them, and the training captions are understood."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.language import RequestedObject, parse_prompt
from training.captions import DEPTHS, caption
from training.scenes import sample


def _read(prompt: str) -> tuple[list[str], str | None, str | None]:
    request = parse_prompt(prompt)
    objects = [" ".join(x for x in (o.color, o.shape) if x) for o in request.objects]
    return objects, request.kind, request.direction


@pytest.mark.parametrize(
    ("prompt", "objects", "kind", "direction"),
    [
        ("a ball drops", ["ball"], "drop", None),
        ("A crimson orb plummets from the top and bounces", ["red ball"], "drop", None),
        ("It fell: a jet-black crate", ["black cube"], "drop", None),
        ("a purple crate falls; the crate lands", ["purple cube"], "drop", None),
        ("someone lets go of a small marble", ["ball"], "drop", None),
        ("Someone lets go of a green balloon and it drifts up", ["green balloon"], "float", None),
        ("a child releases a balloon", ["balloon"], "float", None),
        ("A basketball is tossed to the left", ["ball"], "throw", "left"),
        ("a red ball flies up in an arc and falls down", ["red ball"], "throw", None),
        ("a square red box slides from left to right and comes to rest", ["red cube"], "slide", "right"),
        ("a blue sphere moves to the left", ["blue ball"], "roll", "left"),
        ("a golden pendulum swings on a string", ["yellow ball"], "swing", None),
        ("a pendulum: a purple ball on a cord goes from side to side", ["purple ball"], "swing", None),
        ("the white cube sits still on the floor on the left", ["white cube"], "rest", None),
        ("two balls, one red and one blue, collide", ["red ball", "blue ball"], "collide", None),
        ("a red and a blue ball crash into each other", ["red ball", "blue ball"], "collide", None),
        ("a red ball and a blue one meet head-on", ["red ball", "blue ball"], "collide", None),
        ("a red ball hits another one", ["red ball", "ball"], "collide", None),
        (
            "a ball rolls to the right and bumps into the green orb",
            ["ball", "green ball"],
            "collide",
            "right",
        ),
        ("two red balls bump", ["red ball", "red ball"], "collide", None),
        ("a red ball hits the floor", ["red ball"], "drop", None),
        ("a red ball rolls. a red ball rolls along the floor and slows down", ["red ball"], "roll", None),
        ("a balloon", ["balloon"], None, None),
        ("a green ball rolls down a ramp to the left", ["green ball"], "ramp", "left"),
        ("a marble rolls off the table", ["ball"], "ledge", None),
        ("a blue orb drops over the edge of a shelf", ["blue ball"], "ledge", None),
        ("a heavy red ball hits a small blue ball", ["red ball", "blue ball"], "unequal", None),
        ("a tiny red ball is hit by a huge white ball", ["white ball", "red ball"], "unequal", None),
        ("a pendulum hits a ball", ["ball", "ball"], "strike", None),
        ("a red pendulum strikes a blue ball", ["red ball", "blue ball"], "strike", None),
        ("a red ball on a string swings into a green ball", ["red ball", "green ball"], "strike", None),
        ("a stack of blocks topples", ["cube", "cube"], "topple", None),
        ("a tower of a red box and a blue box tips over", ["red cube", "blue cube"], "topple", None),
        ("a ball rolls behind a wall and comes out again", ["ball"], "hide", None),
        ("a big red ball falls and makes one small bounce", ["red ball"], "drop", None),
        ("a big ball and a second ball collide", ["ball", "ball"], "collide", None),
    ],
)
def test_reads(prompt: str, objects: list[str], kind: str | None, direction: str | None) -> None:
    assert _read(prompt) == (objects, kind, direction)


@pytest.mark.parametrize(
    ("prompt", "unknown"),
    [
        ("A dog runs in the park", ("dog", "runs", "park")),
        ("a car crashes into a wall", ("car",)),
        ("someone throws a frisbee", ("frisbee",)),
        ("a black cat sits on a mat", ("cat", "mat")),
    ],
)
def test_knows_what_is_not_of_this_world(prompt: str, unknown: tuple[str, ...]) -> None:
    request = parse_prompt(prompt)
    assert not request.in_world
    assert request.unknown == unknown


def test_a_known_object_is_of_this_world_among_strangers() -> None:
    request = parse_prompt("a dog looks at a red ball")
    assert request.in_world
    assert request.objects == (RequestedObject("ball", "red"),)


def test_bouncing_is_told_from_falling() -> None:
    assert parse_prompt("a ball falls and bounces").bounces
    assert not parse_prompt("a ball falls").bounces


@given(st.text(max_size=200))
def test_reads_any_text(text: str) -> None:
    parse_prompt(text)


@pytest.mark.parametrize("kind", world.KINDS)
def test_understands_the_training_captions(kind: world.Kind) -> None:
    rng = random.Random(17)
    scenes = sample(kind, 30, np.random.default_rng(18))
    misses = dict.fromkeys(("kind", "colors", "shape", "count", "direction"), 0)
    prompts = [(i, caption(scenes, i, depth, rng)) for i in range(len(scenes)) for depth in DEPTHS]
    for i, text in prompts:
        request = parse_prompt(text)
        num_objects = 2 if kind in world.PAIR_KINDS else 1
        colors = {world.COLORS[c] for c in scenes.color[i, :num_objects]}
        side = "right" if scenes.direction[i] > 0 else "left" if scenes.direction[i] < 0 else None
        # "only a cube" is all that some captions say of a thing at rest
        misses["kind"] += request.kind != kind and not (kind == "rest" and request.kind is None)
        misses["colors"] += not {o.color for o in request.objects} <= {*colors, None}
        misses["shape"] += any(o.shape != world.SHAPES[scenes.shape[i, 0]] for o in request.objects)
        misses["count"] += len(request.objects) != num_objects
        misses["direction"] += request.direction not in (None, side) and not scenes.head_on[i]
    for what, number in misses.items():
        assert number <= 0.05 * len(prompts), what
