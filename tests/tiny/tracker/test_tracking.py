"""The tracker's eye: objects found in rendered clips, and strangers turned away."""

import numpy as np
import pytest

from phyt2v_cli.files.video import Frames
from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.tracker.tracking import track
from training.renderer import render
from training.scenes import Scenes, sample


def _scene(kind: world.Kind, violation: world.Violation | None = None, seed: int = 901) -> Scenes:
    return sample(kind, 1, np.random.default_rng(seed), violation)


def _clip(kind: world.Kind, violation: world.Violation | None = None, size: int = world.SIZE) -> Frames:
    frames: Frames = render(_scene(kind, violation), size=size).numpy()[0]
    return frames


@pytest.mark.parametrize("kind", world.KINDS)
def test_follows_centres_to_a_pixel(kind: world.Kind) -> None:
    scene = _scene(kind)
    tracks = track(render(scene).numpy()[0])
    colors = [world.COLORS[c] for c in scene.color[0]]
    assert len(tracks.objects) == (2 if kind in world.PAIR_KINDS else 1)
    assert tracks.clean.all()
    for o in tracks.objects:
        i = colors.index(o.color)
        known = o.visible & ((scene.position[0, :, i] > 0.05) & (scene.position[0, :, i] < 0.95)).all(axis=1)
        assert known.sum() > 15
        assert np.abs(o.center - scene.position[0, :, i])[known].max() < 1.3 / world.SIZE
        assert o.half_size[0] == pytest.approx(scene.radius[0, i], abs=0.025)


@pytest.mark.parametrize("size", [48, 128, 256])
def test_lengths_do_not_depend_on_the_picture_size(size: int) -> None:
    (small,) = track(_clip("drop")).objects
    (large,) = track(_clip("drop", size=size)).objects
    assert (small.color, small.shape) == (large.color, large.shape)
    assert np.abs(small.center - large.center).max() < 0.02


def test_reads_a_picture_wider_than_tall() -> None:
    frames = _clip("rest")
    wide = np.concatenate([frames[:, :, :1].repeat(32, axis=2), frames], axis=2)
    (o,) = track(wide).objects
    (narrow,) = track(frames).objects
    assert np.abs(o.center[:, 0] - narrow.center[:, 0] - 0.5).max() < 0.01


def test_finds_the_pivot_of_a_swing() -> None:
    scene = _scene("swing")
    pivot = track(render(scene).numpy()[0]).pivot
    assert pivot == pytest.approx(float(scene.pivot[0, 0]), abs=0.03)
    assert track(_clip("float")).pivot is None, "a balloon's tail is no string"


def test_a_vanished_object_is_not_seen_and_not_clean() -> None:
    scene = _scene("roll", "vanish")
    tracks = track(render(scene).numpy()[0])
    (o,) = tracks.objects
    assert (o.visible == scene.visible[0, :, 0]).all()
    assert (tracks.clean == o.visible).all()


def test_an_object_that_left_the_picture_is_no_blemish() -> None:
    tracks = track(_clip("drop", "through-floor"))
    assert not tracks.objects[0].visible.all()
    assert tracks.clean.all()


def test_a_ghost_of_the_same_colour_is_not_clean() -> None:
    (o,) = track(_clip("rest")).objects
    y, x = (int(64 * o.center[0, k]) for k in (1, 0))
    frames = _clip("rest").copy()
    frames[5:9, 8:22, 24:38] = frames[5:9, y - 7 : y + 7, x - 7 : x + 7]
    clean = track(frames).clean
    assert not clean[5:9].any()
    assert clean[:5].all() and clean[9:].all()


def test_a_smear_is_not_clean() -> None:
    frames = _clip("rest").copy()
    frames[5:9, 6:24, 10:50] = (frames[5:9, 6:24, 10:50] * 0.5 + np.array([90, 40, 60])).astype(np.uint8)
    clean = track(frames).clean
    assert not clean[5:9].any()
    assert clean[:5].all() and clean[9:].all()


def test_one_object_that_changes_its_colour_stays_one() -> None:
    rng = np.random.default_rng(3)
    scene = sample("rest", 1, rng)
    before, after = (world.COLORS.index(c) for c in ("red", "blue"))
    scene.color[:] = before
    frames = render(scene).numpy()[0]
    scene.color[:] = after
    frames[12:] = render(scene).numpy()[0][12:]
    (o,) = track(frames).objects
    assert o.visible.all()
    assert o.new_color == (12, "blue")


def test_two_objects_of_one_colour_are_two() -> None:
    scene = _scene("collide")
    scene.color[:, 1] = scene.color[:, 0]
    objects = track(render(scene).numpy()[0]).objects
    assert len({o.color for o in objects}) == 1
    assert len(objects) == 2


def _strangers() -> dict[str, Frames]:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] / 64
    landscape = np.stack([90 + 60 * x, 120 + 70 * np.sin(9 * y), 60 + 90 * x * y], axis=2)
    return {
        "noise": rng.integers(0, 256, (25, 64, 64, 3), dtype=np.uint8),
        "black": np.zeros((25, 64, 64, 3), np.uint8),
        "white": np.full((25, 64, 64, 3), 255, np.uint8),
        "sky only": np.broadcast_to(np.array(world.SKY_RGB, np.uint8), (25, 64, 64, 3)),
        "landscape": np.broadcast_to(landscape.astype(np.uint8), (25, 64, 64, 3)),
        "inverted": 255 - _clip("drop"),
        "upside down": _clip("drop")[:, ::-1],
    }


@pytest.mark.parametrize("name", list(_strangers()))
def test_turns_other_worlds_away(name: str) -> None:
    tracks = track(_strangers()[name])
    assert tracks.foreign is not None
    assert not tracks.objects


def test_an_empty_world_has_no_objects() -> None:
    scene = _scene("rest")
    scene.visible[:] = False
    tracks = track(render(scene).numpy()[0])
    assert tracks.foreign is None
    assert tracks.objects == ()
