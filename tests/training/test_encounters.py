"""The encounters obey the formulas that they state, measured on their paths."""

import numpy as np
import pytest

from phyt2v_cli.tiny import world
from training.scenes import Scenes, sample
from training.simulation import push_apart

G = world.GRAVITY / world.FPS**2
"""Gravity per frame^2."""


def _physical(kind: world.Kind) -> Scenes:
    return sample(kind, 40, np.random.default_rng(31))


def _speeds(x: np.ndarray, frames: slice) -> np.ndarray:
    return np.asarray(np.diff(x[:, frames], axis=1).mean(axis=1))


def test_a_ball_rolls_down_a_ramp_with_five_sevenths_of_the_pull() -> None:
    scenes = _physical("ramp")
    corners = scenes.fixture
    rise = world.FLOOR_Y - corners[:, 0, 1]
    base = np.abs(corners[:, 1, 0] - corners[:, 0, 0])
    path = scenes.position[:, :9, 0]
    way = np.linalg.norm(path - path[:, :1], axis=2)
    expected = 5 / 7 * G * rise / np.hypot(rise, base)
    assert np.diff(way, 2, axis=1) == pytest.approx(np.repeat(expected[:, None], 7, axis=1), rel=1e-6)
    # it keeps its speed at the foot, and 7/10 v^2 = g h
    last = np.linalg.norm(np.diff(scenes.position[:, :, 0], axis=1), axis=2).max(axis=1)
    fallen = world.FLOOR_Y - scenes.radius[:, 0] - path[:, 0, 1]
    assert last == pytest.approx(np.sqrt(10 / 7 * G * fallen), rel=0.06)


def test_a_ball_leaves_the_ledge_fast_enough_and_falls_in_a_parabola() -> None:
    scenes = _physical("ledge")
    speed = np.abs(_speeds(scenes.position[:, :, 0, 0], slice(0, 5)))
    assert (speed**2 > G * scenes.radius[:, 0]).all()
    y = scenes.position[:, :, 0, 1]
    bends = np.diff(y, 2, axis=1)
    falls = bends > 0.9 * G
    assert (falls.sum(axis=1) >= 3).all()
    assert np.median(bends[falls]) == pytest.approx(G, rel=1e-6)
    assert (y <= world.FLOOR_Y - scenes.radius[:, :1] + 1e-9).all()


def test_balls_of_different_mass_keep_their_momentum() -> None:
    scenes = _physical("unequal")
    mass = scenes.radius**3
    v = np.diff(scenes.position[..., 0], axis=1) * world.FPS
    momentum = np.abs((mass[:, None] * v).sum(axis=2))
    # of a ball that rolls all the time, friction takes 0.04 per s^2
    lost = 0.04 * (world.NUM_FRAMES - 2) / world.FPS * mass.sum(axis=1)
    assert (momentum[:, -1] < momentum[:, 0]).all()
    assert (momentum[:, -1] + lost > momentum[:, 0]).all()
    heavy, light = np.abs(v[..., 0]), np.abs(v[..., 1])
    assert (heavy[:, -1] > 0.05).all(), "the heavy ball goes on, slower"
    assert (heavy[:, -1] < heavy[:, 0]).all()
    assert (light.max(axis=1) > 1.2 * heavy[:, 0]).all(), "the light ball leaves faster"


def test_a_push_keeps_momentum_and_no_energy_is_won() -> None:
    rng = np.random.default_rng(4)
    mass, v = rng.uniform(1, 9, (50, 2)), rng.uniform(-1, 1, (50, 2))
    restitution = rng.uniform(0, 1, 50)
    after = push_apart(v, mass, restitution)
    assert (mass * after).sum(axis=1) == pytest.approx((mass * v).sum(axis=1))
    assert after[:, 1] - after[:, 0] == pytest.approx(restitution * (v[:, 0] - v[:, 1]))
    assert ((mass * after**2).sum(axis=1) <= (mass * v**2).sum(axis=1) + 1e-12).all()


def test_a_pendulum_hits_with_the_speed_of_its_fall() -> None:
    scenes = _physical("strike")
    bob, ball = scenes.position[:, :, 0], scenes.position[:, :, 1]
    steps = np.diff(bob, axis=1)
    fastest = np.linalg.norm(steps, axis=2).max(axis=1)
    fallen = bob[..., 1].max(axis=1) - bob[:, 0, 1]
    assert fastest == pytest.approx(np.sqrt(2 * G * fallen), rel=0.05)
    ball_speed = np.abs(np.diff(ball[..., 0], axis=1)).max(axis=1)
    assert ((ball_speed > 0.8 * fastest) & (ball_speed < fastest)).all()
    length = np.linalg.norm(bob - scenes.pivot[:, None], axis=2)
    assert length == pytest.approx(np.repeat(length[:, :1], world.NUM_FRAMES, axis=1))


def test_a_stack_tips_over_with_the_energy_of_a_falling_box() -> None:
    scenes = _physical("topple")
    alpha = np.abs(scenes.angle[..., 0])
    s = scenes.radius[:, :1]
    spin = (alpha[:, 2:] - alpha[:, :-2]) / 2 * world.FPS
    inner = alpha[:, 1:-1]
    moving = (alpha[:, :-2] > 0.02) & (alpha[:, 2:] < np.pi / 2)
    # 1/2 I spin^2 + m g height of the centre of mass, over m: I = 4/3 R^2, R = sqrt(5) s
    energy = 2 / 3 * 5 * s**2 * spin**2 + world.GRAVITY * np.sqrt(5) * s * np.cos(inner - np.arctan(0.5))
    for e, mask in zip(energy, moving, strict=True):
        assert np.ptp(e[mask]) < 0.06 * e[mask].mean()
    gap = np.linalg.norm(scenes.position[:, :, 1] - scenes.position[:, :, 0], axis=2)
    assert gap == pytest.approx(np.repeat(2 * s, world.NUM_FRAMES, axis=1))


def test_a_ball_behind_a_wall_keeps_rolling() -> None:
    bends = np.diff(_physical("hide").position[:, :, 0, 0], 2, axis=1)
    assert np.abs(bends) == pytest.approx(np.full_like(bends, 0.05 / world.FPS**2))
