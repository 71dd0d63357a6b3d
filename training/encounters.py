"""Simulate motions that meet a fixture or another object: ramp, ledge, wall, heavy ball, pendulum, stack.

Everything here moves to the right; `scenes.sample` mirrors half of it. Each function has the formulas that it
follows, and the violations of its kind.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phyt2v_cli.tiny import world
from training.simulation import DT, SUBSTEPS, TIMES, Array, along_floor, collide, fall, hold, push_apart

NUM_CORNERS = 4

Frames = npt.NDArray[np.int64]


@dataclass
class Course:
    """What N clips of one kind show; see `Scenes` for the fields. None: as in a clip without it."""

    position: Array
    radius: Array
    fixture: Array | None = None
    pivot: Array | None = None
    angle: Array | None = None
    visible: npt.NDArray[np.bool_] | None = None


def _two(first: Array, second: Array) -> Array:
    return np.stack([first, second], axis=2)


def _alone(path: Array, r: Array) -> tuple[Array, Array]:
    """Position and radius of one object, with an absent second one."""
    return _two(path, np.zeros_like(path)), np.stack([r, np.zeros_like(r)], axis=1)


def _corners(*points: tuple[Array | float, Array | float]) -> Array:
    """Corners (N, NUM_CORNERS, 2) of a convex fixture, clockwise; a triangle repeats its last one."""
    xs, ys = (np.broadcast_arrays(*(p[k] for p in points)) for k in (0, 1))
    corners = np.stack([np.stack(xs, axis=1), np.stack(ys, axis=1)], axis=2)
    repeated = np.repeat(corners[:, -1:], NUM_CORNERS - len(points), axis=1)
    return np.concatenate([corners, repeated], axis=1)


def _at(t: Array) -> Frames:
    """First frame at or after the time t."""
    return np.ceil(t * world.FPS).astype(np.int64)


@dataclass(frozen=True)
class Slope:
    """Ramp down to the right and the floor after it, for balls of radius r; all (N,).

    The centre's path is the slope, raised by r along its normal, and then the floor's: it is straight on
    both, and bends where the ball touches both, r tan(angle / 2) before and after the foot.
    """

    left: Array
    foot: Array
    height: Array
    r: Array

    @property
    def angle(self) -> Array:
        """Angle to the floor in radians."""
        return np.asarray(np.arctan2(self.height, self.foot - self.left))

    @property
    def length(self) -> Array:
        """Way of the centre from above the top corner to the bend."""
        return np.hypot(self.height, self.foot - self.left) - self.r * np.tan(self.angle / 2)

    def path(self, way: Array) -> Array:
        """Centres (N, T, 2) after a `way` (N, T) from the top."""
        cos, sin = np.cos(self.angle)[:, None], np.sin(self.angle)[:, None]
        on_slope = np.minimum(way, self.length[:, None])
        x = self.left[:, None] + self.r[:, None] * sin + on_slope * cos
        y = world.FLOOR_Y - self.height[:, None] - self.r[:, None] * cos + on_slope * sin
        return np.stack([x + np.maximum(way - self.length[:, None], 0), y], axis=2)


def ramp(rng: np.random.Generator, n: int, law: str | None) -> Course:
    """A solid ball rolls down a slope without slipping, then on along the floor.

    Its acceleration is 5/7 g sin(angle), since 2/7 of the energy goes into its spin; at the foot it keeps its
    speed, and on the floor friction takes 0.3 per s^2.
    """
    slope = Slope(
        rng.uniform(0.02, 0.06, n),
        rng.uniform(0.5, 0.58, n),
        rng.uniform(0.17, 0.24, n),
        rng.uniform(0.07, 0.09, n),
    )
    start = rng.uniform(0.03, 0.06, n)[:, None]
    length = slope.length[:, None]
    if law == "self-propelled":
        late = rng.uniform(0.1, 0.4, n)[:, None]
        climbed = 0.5 * rng.uniform(0.3, 0.4, n)[:, None] * np.maximum(TIMES - late, 0) ** 2
        path = slope.path(np.maximum(length + rng.uniform(0.0, 0.1, n)[:, None] - climbed, start))
    else:
        pull = 5 / 7 * world.GRAVITY * np.sin(slope.angle)[:, None]
        at_foot = np.sqrt(2 * (length - start) / pull)
        speed = pull * at_foot
        rolling = np.minimum(np.maximum(TIMES - at_foot, 0), speed / 0.3)
        down = 0.5 * pull * np.minimum(TIMES, at_foot) ** 2
        path = slope.path(start + down + speed * rolling - 0.15 * rolling**2)
    if law == "stuck":
        path = hold(path, rng.integers(6, 11, n))
    corners = _corners(
        (slope.left, world.FLOOR_Y - slope.height), (slope.foot, world.FLOOR_Y), (slope.left, world.FLOOR_Y)
    )
    return Course(*_alone(path, slope.r), fixture=corners)


def bounce_heights(since: Array, height: Array, restitution: Array) -> Array:
    """Heights over the contact, at times `since` the fall from `height` began; all (N, T) or (N, 1).

    Parabolas, h - g t^2 / 2 at first: v = sqrt(2 g h) at the floor, and each bounce keeps `restitution` of
    the speed.
    """
    g = world.GRAVITY
    speed = np.sqrt(2 * g * height)
    above = np.maximum(height - 0.5 * g * np.maximum(since, 0) ** 2, 0)
    bounce = speed / g
    for _ in range(4):
        speed = speed * restitution
        t = since - bounce
        above = np.where(t > 0, np.maximum(speed * t - 0.5 * g * t**2, 0), above)
        bounce = bounce + 2 * speed / g
    return np.asarray(above)


def ledge(rng: np.random.Generator, n: int, law: str | None) -> Course:
    """A ball rolls on a ledge at one speed v, leaves it at the edge and falls in a parabola.

    v^2 > g r, so that it loses touch at once, when its centre is over the edge. The first bounce takes a
    third of the speed sideways.
    """
    r, top, edge = rng.uniform(0.07, 0.09, n), rng.uniform(0.44, 0.54, n), rng.uniform(0.3, 0.38, n)
    x0 = rng.uniform(0.1, 0.14, n)
    v = np.sqrt(world.GRAVITY * r) * rng.uniform(1.05, 1.25, n)
    height = world.FLOOR_Y - top
    level = edge + (r + 0.01 if law == "straight-fall" else 0)
    since = TIMES - ((level - x0) / v)[:, None]
    landing = np.sqrt(2 * height / world.GRAVITY)[:, None]
    after = np.minimum(since, landing) + 0.67 * np.maximum(since - landing, 0)
    x = level[:, None] + v[:, None] * np.where(since < 0, since, 0.0 if law == "straight-fall" else after)
    above = bounce_heights(since, height[:, None], rng.uniform(0.3, 0.5, n)[:, None])
    y = world.FLOOR_Y - r[:, None] - above
    if law == "level-flight":
        x = x0[:, None] + v[:, None] * TIMES
        y = np.broadcast_to((top - r)[:, None], x.shape)
    path = np.stack([x, y], axis=2)
    if law == "hover":
        path = hold(path, _at(TIMES[-1] - since[:, -1] + landing[:, 0] * rng.uniform(0.4, 0.7, n)))
    corners = _corners((np.zeros(n), top), (edge, top), (edge, world.FLOOR_Y), (np.zeros(n), world.FLOOR_Y))
    return Course(*_alone(path, r), fixture=corners)


def unequal(rng: np.random.Generator, n: int, law: str | None) -> Course:
    """A heavy ball rolls into a light one at rest: m1 v1 = m1 v1' + m2 v2', masses as the cubes of the radii.

    Balls of different size touch at a distance of 2 sqrt(r1 r2) along the floor, which takes up what is not
    level in their push. Friction takes 0.04 per s^2.
    """
    radius = np.stack([rng.uniform(0.115, 0.135, n), rng.uniform(0.07, 0.08, n)], axis=1)
    x = np.stack([rng.uniform(0.14, 0.17, n), rng.uniform(0.52, 0.57, n)], axis=1)
    v = np.stack([rng.uniform(0.27, 0.33, n), np.zeros(n)], axis=1)
    restitution = rng.uniform(0.85, 0.98, n)
    returned = np.where(rng.random(n) < 0.5, 0.0, rng.uniform(0.6, 0.9, n))

    def respond(v: Array) -> Array:
        if law == "momentum":  # the light one stays, and stops the heavy one or throws it back
            return np.stack([-returned * v[:, 0], np.zeros(n)], axis=1)
        return v if law == "pass-through" else push_apart(v, radius**3, restitution)

    xs = collide(x, v, 2 * np.sqrt(radius.prod(axis=1)), 0.04, respond)
    paths = [along_floor(xs[..., i], world.FLOOR_Y - radius[:, i]) for i in range(2)]
    return Course(_two(*paths), radius)


def strike(rng: np.random.Generator, n: int, law: str | None) -> Course:
    """A pendulum, let go at the side, hits a ball of its own mass that rests at its lowest point.

    angle'' = -g / L sin(angle); at the hit, speeds as in `push_apart`; friction takes 0.12 per s^2 of the
    ball's.
    """
    r = rng.uniform(0.08, 0.095, n)
    pivot = np.stack([rng.uniform(0.4, 0.45, n), rng.uniform(0.02, 0.06, n)], axis=1)
    length = world.FLOOR_Y - r - pivot[:, 1]
    angle, spin = -np.radians(rng.uniform(22, 27, n)), np.zeros(n)
    ball, v = pivot[:, 0] + 2 * r, np.zeros(n)
    restitution = rng.uniform(0.7, 0.85, n)
    early, early_speed = rng.uniform(0.2, 0.45, n), rng.uniform(0.35, 0.45, n)
    angles, balls = [angle.copy()], [ball.copy()]
    for step in range((world.NUM_FRAMES - 1) * SUBSTEPS):
        spin = spin - world.GRAVITY / length * np.sin(angle) * DT
        angle, ball = angle + spin * DT, ball + v * DT
        v = np.maximum(v - 0.12 * DT, 0)
        if law == "self-propelled":
            v = np.where(np.abs(step * DT - early) < DT / 2, early_speed, v)
        elif law != "pass-through":
            speeds = np.stack([spin * length, v], axis=1)
            hit = (pivot[:, 0] + length * np.sin(angle) + 2 * r >= ball) & (speeds[:, 0] > v)
            after = push_apart(speeds, np.ones((n, 2)), restitution)
            if law == "momentum":  # as if the ball were nailed to the floor
                after = speeds * [-0.8, 0]
            spin, v = np.where(hit, after[:, 0] / length, spin), np.where(hit, after[:, 1], v)
        if step % SUBSTEPS == SUBSTEPS - 1:
            angles.append(angle.copy())
            balls.append(ball.copy())
    theta = np.stack(angles, axis=1)
    bob = pivot[:, None] + np.stack([np.sin(theta), np.cos(theta)], axis=2) * length[:, None, None]
    path = along_floor(np.stack(balls, axis=1), world.FLOOR_Y - r)
    return Course(_two(bob, path), np.stack([r, r], axis=1), pivot=pivot)


def topple(rng: np.random.Generator, n: int, law: str | None) -> Course:
    """A stack of two blocks is pushed, tips over its lower corner as one body, and lies down on the floor.

    For a box of half-diagonal R whose centre of mass is phi beside the corner's vertical, the inertia about
    the corner is 4/3 m R^2, so phi'' = 3 g / (4 R) sin(phi), from -atan(1/2) on. The push just carries it
    over. (Loose blocks would part a little near the end; these keep together.)
    """
    s = rng.uniform(0.085, 0.1, n)
    corner = np.stack([rng.uniform(0.24, 0.34, n) + s, np.full(n, world.FLOOR_Y)], axis=1)
    rate, balance = 0.75 * world.GRAVITY / (np.sqrt(5) * s), np.arctan(0.5)
    over = rng.uniform(0.6, 0.8, n)
    late = rng.uniform(0.1, 0.35, n)
    turned, spin = np.zeros(n), np.sqrt(over**2 + 2 * rate * (1 - np.cos(balance)))
    angles = [turned.copy()]
    for step in range((world.NUM_FRAMES - 1) * SUBSTEPS):
        moving = (step * DT >= late) & (turned < np.pi / 2) & (law != "leap")
        spin = spin + np.where(moving, rate * np.sin(turned - balance) * DT, 0)
        turned = np.minimum(turned + np.where(moving, spin * DT, 0), np.pi / 2)
        if step % SUBSTEPS == SUBSTEPS - 1:
            angles.append(turned.copy())
    alpha = np.stack(angles, axis=1)
    if law == "hover":
        alpha = np.minimum(alpha, np.radians(rng.uniform(32, 60, n))[:, None])
    cos, sin = np.cos(alpha), np.sin(alpha)
    paths = []
    for up in (1, 3):
        x, y = -s[:, None], -up * s[:, None]
        paths.append(corner[:, None] + np.stack([x * cos - y * sin, x * sin + y * cos], axis=2))
    if law == "leap":
        up = np.stack([rng.uniform(0.28, 0.4, n), -rng.uniform(0.8, 1.1, n)], axis=1)
        flight = fall(paths[1][:, 0], up, world.FLOOR_Y - s, np.full(n, 0.3), world.GRAVITY)
        since = np.maximum(np.arange(world.NUM_FRAMES) - _at(late)[:, None], 0)
        paths[1] = np.take_along_axis(flight, since[..., None], axis=1)
    return Course(_two(*paths), np.stack([s, s], axis=1), angle=np.stack([alpha, alpha], axis=2))


def hide(rng: np.random.Generator, n: int, law: str | None) -> Course:
    """A ball rolls along the floor behind a wall that hides it for a while, and comes out at the other side.

    It loses 0.05 per s^2 to friction, in sight or not.
    """
    r = rng.uniform(0.075, 0.09, n)
    middle, half = rng.uniform(0.47, 0.53, n), rng.uniform(0.14, 0.165, n)
    top = world.FLOOR_Y - 2 * r - rng.uniform(0.06, 0.14, n)
    x = rng.uniform(0.08, 0.11, n)[:, None] + rng.uniform(0.44, 0.5, n)[:, None] * TIMES - 0.025 * TIMES**2
    visible = np.ones((n, world.NUM_FRAMES, 2), dtype=bool)
    gone = np.argmax(
        x > (middle - half + r)[:, None], axis=1
    )  # the first frame in which nothing of it is seen
    since = np.arange(world.NUM_FRAMES) >= gone[:, None]
    if law == "jump":
        out = middle + half + rng.uniform(0.6, 1.2, n) * r
        x = x + np.where(since, (out - np.take_along_axis(x, gone[:, None], 1)[:, 0])[:, None], 0)
    if law == "vanish":
        visible &= ~since[..., None]
    path = along_floor(x, world.FLOOR_Y - r)
    position, radius = _alone(path, r)
    if law == "swap":
        position, radius = _two(path, path), np.stack([r, r], axis=1)
        visible = np.stack([~since, since], axis=2)
    left, right = middle - half, middle + half
    corners = _corners((left, top), (right, top), (right, world.FLOOR_Y + 0.03), (left, world.FLOOR_Y + 0.03))
    return Course(position, radius, fixture=corners, visible=visible)


ENCOUNTERS: dict[world.Kind, Callable[[np.random.Generator, int, str | None], Course]] = {
    "ramp": ramp,
    "ledge": ledge,
    "unequal": unequal,
    "strike": strike,
    "topple": topple,
    "hide": hide,
}
