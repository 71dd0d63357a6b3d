"""Sample scenes of the embedded world: what moves where, physically or with one named violation.

Everything is vectorised over clips in numpy. Trajectories are simulated, not drawn by hand: a violation
changes the law, never the picture. This file knows nothing of pixels and words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from phyt2v_cli.tiny import world
from training.encounters import ENCOUNTERS, NUM_CORNERS
from training.simulation import DT, SUBSTEPS, TIMES, Array, along_floor, collide, fall, hold, push_apart


@dataclass
class Scenes:
    """A batch of N scenes with T frames and up to two objects.

    position: (N, T, 2, 2) object centres as x, y; visible: (N, T, 2); radius: (N, 2), 0 where there is no
    second object; color, shape, kind: indices into world.COLORS, SHAPES, KINDS; violation: index into
    world.VIOLATIONS or -1; pivot: (N, 2), NaN where nothing swings; direction: +1 moves right, -1 left, 0
    neither; head_on: collisions in which both balls move; angle: (N, T, 2) turn in radians, clockwise on the
    screen; fixture: (N, 4, 2) corners of a convex ramp, ledge or wall, NaN without one.
    """

    kind: npt.NDArray[np.int64]
    violation: npt.NDArray[np.int64]
    shape: npt.NDArray[np.int64]
    color: npt.NDArray[np.int64]
    radius: Array
    position: Array
    visible: npt.NDArray[np.bool_]
    pivot: Array
    direction: npt.NDArray[np.int64]
    head_on: npt.NDArray[np.bool_]
    angle: Array
    fixture: Array

    def __len__(self) -> int:
        """Return N."""
        return len(self.kind)

    def take(self, index: npt.NDArray[np.int64]) -> "Scenes":
        """Return the scenes at `index`, in that order."""
        return Scenes(*(getattr(self, f.name)[index] for f in fields(self)))

    @staticmethod
    def concatenate(parts: "list[Scenes]") -> "Scenes":
        """Join batches."""
        return Scenes(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Scenes)))


def _drop(
    rng: np.random.Generator, n: int, law: str | None, contact: Array, bouncy: npt.NDArray[np.bool_]
) -> Array:
    start = np.stack([rng.uniform(0.2, 0.8, n), rng.uniform(0.17, 0.36, n)], axis=1)
    restitution = np.where(bouncy, rng.uniform(0.58, 0.76, n), rng.uniform(0.25, 0.4, n))
    floor = contact
    if law == "gain-height":
        start[:, 1] = contact - rng.uniform(0.2, 0.27, n)
        restitution = rng.uniform(1.16, 1.3, n)
    if law == "through-floor":
        floor = np.full(n, np.inf)
    if law == "constant-fall":
        speed = (contact - start[:, 1]) / rng.uniform(1.1, 1.7, n)
        y = np.minimum(start[:, 1, None] + speed[:, None] * TIMES, contact[:, None])
        return np.stack([np.broadcast_to(start[:, :1], y.shape), y], axis=2)
    path = fall(start, np.zeros((n, 2)), floor, restitution, world.GRAVITY)
    return hold(path, rng.integers(3, 6, n)) if law == "hover" else path


def _throw(
    rng: np.random.Generator, n: int, law: str | None, contact: Array, bouncy: npt.NDArray[np.bool_]
) -> Array:
    x0, x1 = rng.uniform(0.14, 0.24, n), rng.uniform(0.64, 0.82, n)
    start = np.stack([x0, rng.uniform(0.5, 0.66, n)], axis=1)
    velocity = np.stack([(x1 - x0) / TIMES[-1], -rng.uniform(0.75, 1.05, n)], axis=1)
    restitution = np.where(bouncy, rng.uniform(0.5, 0.7, n), rng.uniform(0.2, 0.35, n))
    floor = np.full(n, np.inf) if law == "through-floor" else contact
    path = fall(start, velocity, floor, restitution, world.GRAVITY)
    return hold(path, rng.integers(4, 8, n)) if law == "hover" else path


def _roll(
    rng: np.random.Generator, n: int, law: str | None, contact: Array, _: npt.NDArray[np.bool_]
) -> Array:
    x0 = rng.uniform(0.14, 0.24, n)[:, None]
    if law == "self-propelled":
        late = rng.uniform(0, 0.5, n)[:, None]
        return along_floor(
            x0 + 0.5 * rng.uniform(0.34, 0.44, n)[:, None] * np.maximum(TIMES - late, 0) ** 2, contact
        )
    distance, slowing = rng.uniform(0.45, 0.64, n)[:, None], rng.uniform(0.1, 0.3, n)[:, None]
    s = TIMES / TIMES[-1]
    return along_floor(x0 + distance * (s - 0.5 * slowing * s**2) / (1 - 0.5 * slowing), contact)


def _slide(
    rng: np.random.Generator, n: int, law: str | None, contact: Array, b: npt.NDArray[np.bool_]
) -> Array:
    if law == "self-propelled":
        return _roll(rng, n, law, contact, b)
    x0 = rng.uniform(0.14, 0.26, n)[:, None]
    distance, stop = rng.uniform(0.35, 0.55, n)[:, None], rng.uniform(1.0, 1.6, n)[:, None]
    s = np.minimum(TIMES / stop, 1)
    return along_floor(x0 + distance * (2 * s - s**2), contact)


def _swing(rng: np.random.Generator, n: int, law: str | None, length: Array, pivot: Array) -> Array:
    """Integrate the pendulum equation with light damping, released from rest on the left."""
    angle, speed = -np.radians(rng.uniform(30, 46, n)), np.zeros(n)
    angles = [angle.copy()]
    for _ in range(world.NUM_FRAMES - 1):
        for _ in range(SUBSTEPS):
            speed = speed + (-world.SWING_GRAVITY / length * np.sin(angle) - 0.12 * speed) * DT
            angle = angle + speed * DT
        angles.append(angle.copy())
    theta = np.stack(angles, axis=1)
    if law == "stuck-swing":
        # the frame at which it has come furthest to the other side, give or take one
        frame = np.argmax(theta[:, :18], axis=1) + rng.integers(-1, 2, n)
        theta = np.take_along_axis(
            theta, np.minimum(np.arange(world.NUM_FRAMES)[None], frame[:, None]), axis=1
        )
    offset = np.stack([np.sin(theta), np.cos(theta)], axis=2) * length[:, None, None]
    return pivot[:, None] + offset


def _collide(
    rng: np.random.Generator, n: int, law: str | None, radius: Array, head_on: npt.NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Two equal balls on the floor, the first from the left; (N, T) x of each."""
    x = np.stack(
        [
            rng.uniform(0.13, 0.18, n),
            np.where(head_on, rng.uniform(0.82, 0.87, n), rng.uniform(0.46, 0.52, n)),
        ],
        axis=1,
    )
    v = np.stack(
        [
            np.where(head_on, rng.uniform(0.32, 0.42, n), rng.uniform(0.34, 0.4, n)),
            np.where(head_on, -rng.uniform(0.32, 0.42, n), 0.0),
        ],
        axis=1,
    )
    restitution = rng.uniform(0.85, 0.98, n)
    passing = law == "pass-through"
    path = collide(
        x, v, 2 * radius, 0.09, lambda v: v if passing else push_apart(v, np.ones((n, 2)), restitution)
    )
    return path[..., 0], path[..., 1]


def _float(rng: np.random.Generator, n: int, law: str | None, radius: Array, contact: Array) -> Array:
    x0 = rng.uniform(0.25, 0.75, n)[:, None]
    sway = rng.uniform(0.0, 0.02, n)[:, None] * np.sin(
        2 * np.pi * (TIMES / 1.7 + rng.uniform(0, 1, n)[:, None])
    )
    speed = rng.uniform(0.22, 0.32, n)[:, None]
    # it starts from rest and reaches the speed at which drag balances buoyancy within a quarter of a second
    risen = speed * (TIMES - 0.12 * (1 - np.exp(-TIMES / 0.12)))
    if law == "sink":
        y = np.minimum(rng.uniform(0.2, 0.28, n)[:, None] + 1.25 * risen, contact[:, None])
    else:
        y = np.maximum(contact[:, None] - rng.uniform(0.0, 0.05, n)[:, None] - risen, 1.25 * radius[:, None])
    return np.stack([x0 + sway, y], axis=2)


def _rest(
    rng: np.random.Generator, n: int, law: str | None, contact: Array, _: npt.NDArray[np.bool_]
) -> Array:
    start = np.stack([rng.uniform(0.2, 0.8, n), contact], axis=1)
    still = np.repeat(start[:, None], world.NUM_FRAMES, axis=1)
    if law != "leap":
        return still
    frame = rng.integers(3, 9, n)
    flight = fall(
        start,
        np.stack([np.zeros(n), -rng.uniform(0.95, 1.3, n)], axis=1),
        contact,
        np.full(n, 0.4),
        world.GRAVITY,
    )
    return np.take_along_axis(
        flight, np.maximum(np.arange(world.NUM_FRAMES)[None] - frame[:, None], 0)[..., None], 1
    )


_SINGLE: dict[str, Callable[..., Array]] = {
    "drop": _drop,
    "throw": _throw,
    "roll": _roll,
    "slide": _slide,
    "rest": _rest,
}


def sample(
    kind: world.Kind, n: int, rng: np.random.Generator, violation: world.Violation | None = None
) -> Scenes:
    """Sample `n` scenes of one kind, all physical or all with one violation."""
    shapes = world.SHAPES_OF_KIND[kind]
    shape = np.repeat(rng.choice([world.SHAPES.index(s) for s in shapes], n)[:, None], 2, axis=1)
    first = rng.integers(0, len(world.COLORS), n)
    second = (first + rng.integers(1, len(world.COLORS), n)) % len(world.COLORS)
    low, high = (0.085, 0.12) if kind == "collide" else (0.1, 0.15)
    r = rng.uniform(low, high, n)
    contact = world.FLOOR_Y - r * np.where(shape[:, 0] == world.SHAPES.index("balloon"), 1.15, 1.0)
    pivot = np.full((n, 2), np.nan)
    head_on = np.zeros(n, dtype=bool)
    position = np.zeros((n, world.NUM_FRAMES, 2, 2))
    radius = np.stack([r, np.zeros(n)], axis=1)
    angle, fixture = np.zeros((n, world.NUM_FRAMES, 2)), np.full((n, NUM_CORNERS, 2), np.nan)
    visible = np.ones((n, world.NUM_FRAMES, 2), dtype=bool)
    law = violation
    if kind in ENCOUNTERS:
        course = ENCOUNTERS[kind](rng, n, law)
        position, radius = course.position, course.radius
        visible = visible if course.visible is None else course.visible
        pivot = pivot if course.pivot is None else course.pivot
        angle = angle if course.angle is None else course.angle
        fixture = fixture if course.fixture is None else course.fixture
    elif kind == "swing":
        pivot = np.stack([rng.uniform(0.46, 0.54, n), rng.uniform(0.02, 0.06, n)], axis=1)
        position[:, :, 0] = _swing(rng, n, law, rng.uniform(0.38, 0.5, n), pivot)
    elif kind == "collide":
        head_on = rng.random(n) < 0.5
        xs = _collide(rng, n, law, r, head_on)
        for i, x in enumerate(xs):
            position[:, :, i] = along_floor(x, contact)
        radius[:, 1] = r
    elif kind == "float":
        position[:, :, 0] = _float(rng, n, law, r, contact)
    else:
        position[:, :, 0] = _SINGLE[kind](rng, n, law, contact, shape[:, 0] == world.SHAPES.index("ball"))

    visible &= (radius > 0)[:, None]
    frames = np.arange(world.NUM_FRAMES)[None]
    if law == "jump" and kind != "hide":
        x = position[:, :, 0, 0]
        frame = rng.integers(6, 17, n)
        now = np.take_along_axis(x, frame[:, None], 1)[:, 0]
        away = np.where(now > 0.5, -1, 1) * rng.uniform(0.28, 0.4, n)
        x += np.where(frames >= frame[:, None], away[:, None], 0)
        np.clip(x, 0.1, 0.9, out=x)
    if law == "vanish" and kind != "hide":
        start = rng.integers(5, 13, n)
        end = np.where(rng.random(n) < 0.5, world.NUM_FRAMES, start + rng.integers(6, 10, n))
        gone = (frames >= start[:, None]) & (frames < end[:, None])
        which = rng.integers(0, 2, n) if kind in world.PAIR_KINDS else np.zeros(n, dtype=int)
        for i in range(2):
            visible[..., i] &= ~(gone & (which == i)[:, None])

    direction = np.zeros(n, dtype=np.int64)
    if kind not in ("drop", "float", "rest"):
        mirror = rng.random(n) < 0.5
        for places in (position, pivot, fixture):
            places[mirror, ..., 0] = 1 - places[mirror, ..., 0]
        angle[mirror] *= -1
        direction = np.where(mirror, -1, 1)
        if kind == "ramp" and law == "self-propelled":
            direction = -direction
    return Scenes(
        kind=np.full(n, world.KINDS.index(kind)),
        violation=np.full(n, -1 if law is None else world.VIOLATIONS.index(law)),
        shape=shape,
        color=np.stack([first, second], axis=1),
        radius=radius,
        position=position,
        visible=visible,
        pivot=pivot,
        direction=direction,
        head_on=head_on,
        angle=angle,
        fixture=fixture,
    )


KIND_SHARES: dict[world.Kind, float] = {
    "drop": 0.09,
    "throw": 0.07,
    "roll": 0.06,
    "slide": 0.05,
    "swing": 0.06,
    "collide": 0.09,
    "float": 0.05,
    "rest": 0.03,
    "ramp": 0.08,
    "ledge": 0.08,
    "unequal": 0.09,
    "strike": 0.09,
    "topple": 0.08,
    "hide": 0.08,
}
"""The harder motions get more of the pool."""

VIOLATING_SHARE = 0.45
"""Share of each kind that breaks a law."""


def sample_pool(
    n: int,
    seed: int,
    violating_share: float = VIOLATING_SHARE,
    *,
    kinds: Sequence[world.Kind] = world.KINDS,
) -> Scenes:
    """Sample a shuffled pool of `n` scenes of `kinds`: `violating_share` of each kind with a violation."""
    rng = np.random.default_rng(seed)
    ends = np.cumsum([0.0, *(KIND_SHARES[kind] for kind in kinds)])
    counts = np.diff(np.rint(n * ends / ends[-1]).astype(int))
    parts = []
    for kind, count in zip(kinds, counts, strict=True):
        violating = round(count * violating_share)
        parts.append(sample(kind, count - violating, rng))
        split = np.array_split(np.arange(violating), len(world.VIOLATIONS_OF_KIND[kind]))
        parts += [
            sample(kind, len(p), rng, v) for v, p in zip(world.VIOLATIONS_OF_KIND[kind], split, strict=True)
        ]
    pool = Scenes.concatenate(parts)
    return pool.take(rng.permutation(len(pool)))
