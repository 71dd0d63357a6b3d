"""Simulate motion for the scenes: free fall, and what every simulation shares."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from phyt2v_cli.tiny import world

Array = npt.NDArray[np.float64]

SUBSTEPS = 24
"""Simulation steps per frame; at 24 a bounce's height is off by less than half a pixel."""

DT = 1 / (world.FPS * SUBSTEPS)
"""Time of a simulation step in s."""

TIMES = np.arange(world.NUM_FRAMES) / world.FPS


def fall(start: Array, velocity: Array, floor: Array, restitution: Array, gravity: float) -> Array:
    """Simulate bodies in free fall over a floor that returns `restitution` of the speed; (N, T, 2).

    `floor` is where the centre is at contact; np.inf where there is none.
    """
    p, v = start.copy(), velocity.copy()
    frames = [p.copy()]
    for _ in range(world.NUM_FRAMES - 1):
        for _ in range(SUBSTEPS):
            p = p + v * DT
            p[:, 1] += 0.5 * gravity * DT * DT
            v[:, 1] += gravity * DT
            hit = (p[:, 1] >= floor) & (v[:, 1] > 0)
            p[:, 1] = np.where(hit, floor, p[:, 1])
            rebound = np.where(v[:, 1] * restitution < 0.12, 0.0, -v[:, 1] * restitution)
            v[:, 1] = np.where(hit, rebound, v[:, 1])
            v[:, 0] = np.where(hit, v[:, 0] * 0.97, v[:, 0])
        frames.append(p.copy())
    return np.stack(frames, axis=1)


def hold(path: Array, frame: npt.NDArray[np.int64]) -> Array:
    """Freeze every path from its frame on."""
    index = np.minimum(np.arange(path.shape[1])[None], frame[:, None])
    return np.take_along_axis(path, index[..., None], axis=1)


def along_floor(x: Array, contact: Array) -> Array:
    """Put paths x (N, T) at the heights `contact` (N,)."""
    return np.stack([x, np.broadcast_to(contact[:, None], x.shape)], axis=2)


def push_apart(v: Array, mass: Array, restitution: Array) -> Array:
    """Speeds (N, 2) after two bodies of `mass` (N, 2) have hit each other along a line.

    Momentum is kept, and `restitution` of the speed of approach: v' = vc -+ e m_other / (m1 + m2) (v1 - v2),
    where vc is the speed of the centre of mass.
    """
    total = mass.sum(axis=1)
    center = (mass * v).sum(axis=1) / total
    approach = restitution * (v[:, 0] - v[:, 1])
    return np.stack([center - approach * mass[:, 1] / total, center + approach * mass[:, 0] / total], axis=1)


def collide(x: Array, v: Array, reach: Array, friction: float, respond: Callable[[Array], Array]) -> Array:
    """Simulate two balls on the floor, the first one left of the second; (N, T, 2) x of each.

    reach: (N,) distance of their centres when they touch. friction: loss of speed per s. respond: speeds
    (N, 2) after a hit.
    """
    frames = [x.copy()]
    for _ in range(world.NUM_FRAMES - 1):
        for _ in range(SUBSTEPS):
            x = x + v * DT
            v = v - np.sign(v) * np.minimum(friction * DT, np.abs(v))
            touch = (x[:, 1] - x[:, 0] <= reach) & (v[:, 0] > v[:, 1])
            if touch.any():
                v = np.where(touch[:, None], respond(v), v)
        frames.append(x.copy())
    return np.stack(frames, axis=1)
