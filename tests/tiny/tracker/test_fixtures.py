"""Fixtures are found where they were drawn, and nowhere else."""

import numpy as np
import pytest

from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.tracker.fixtures import find_fixture
from phyt2v_cli.tiny.tracker.tracking import track
from training.renderer import render
from training.scenes import sample

OF_KIND: dict[world.Kind, world.Fixture] = {"ramp": "ramp", "ledge": "ledge", "hide": "wall"}


@pytest.mark.parametrize("kind", OF_KIND)
def test_a_fixture_is_found_to_a_pixel_and_a_half(kind: world.Kind) -> None:
    scenes = sample(kind, 12, np.random.default_rng(61))
    for frames, corners, direction in zip(
        render(scenes).numpy(), scenes.fixture, scenes.direction, strict=True
    ):
        found = find_fixture(frames.astype(np.float32))
        assert found is not None
        fixture, mask = found
        assert fixture.kind == OF_KIND[kind]
        near = 1.5 / world.SIZE
        assert fixture.left == pytest.approx(corners[:, 0].min(), abs=2 * near if kind == "ramp" else near)
        assert fixture.right == pytest.approx(corners[:, 0].max(), abs=2 * near if kind == "ramp" else near)
        assert fixture.top == pytest.approx(corners[:, 1].min(), abs=near)
        assert fixture.downhill == (direction if kind == "ramp" else 0)
        assert not mask[round(world.FLOOR_Y * world.SIZE) :].any()


@pytest.mark.parametrize("kind", [k for k in world.KINDS if k not in OF_KIND])
def test_there_is_no_fixture_in_other_scenes(kind: world.Kind) -> None:
    for violation in (None, *world.VIOLATIONS_OF_KIND[kind]):
        for frames in render(sample(kind, 3, np.random.default_rng(62), violation)).numpy():
            assert find_fixture(frames.astype(np.float32)) is None


@pytest.mark.parametrize("kind", ["ramp", "ledge"])
def test_a_ball_that_rolls_on_a_fixture_is_where_it_says(kind: world.Kind) -> None:
    scenes = sample(kind, 6, np.random.default_rng(63))
    for frames, path, radius in zip(
        render(scenes).numpy(), scenes.position[:, :, 0], scenes.radius[:, 0], strict=True
    ):
        fixture = track(frames).fixture
        assert fixture is not None
        rest = fixture.rest_height(path[:4, 0], float(radius))
        assert rest == pytest.approx(path[:4, 1], abs=1.5 / world.SIZE)


def test_a_wall_holds_nothing_up() -> None:
    (frames,) = render(sample("hide", 1, np.random.default_rng(64))).numpy()
    fixture = track(frames).fixture
    assert fixture is not None
    assert fixture.rest_height(np.linspace(0, 1, 9), 0.1) == pytest.approx(world.FLOOR_Y - 0.1)
