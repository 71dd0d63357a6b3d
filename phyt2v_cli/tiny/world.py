"""World of the embedded model: constants that its renderer, its judges and its writer share.

Lengths are in picture heights, times in s, y points down. This file knows no model, no video file and no
wording; words for these things are in `language.py`.
"""

from typing import Literal, get_args

NUM_FRAMES = 25
FPS = 12
SIZE = 64
"""Height and width of the picture in pixels."""

GRAVITY = 2.0
"""Gravity in picture heights per s^2, for everything that falls: a drop and two bounces fit in a clip."""

SWING_GRAVITY = 4.0
"""Gravity for pendulums, in the same unit, so that a whole swing fits in a clip."""

FLOOR_Y = 0.84
"""y of the top of the floor."""

Color = Literal["red", "green", "blue", "yellow", "purple", "orange", "white", "black"]
Shape = Literal["ball", "cube", "balloon"]
Kind = Literal[
    "drop",
    "throw",
    "roll",
    "slide",
    "swing",
    "collide",
    "float",
    "rest",
    "ramp",
    "ledge",
    "unequal",
    "strike",
    "topple",
    "hide",
]
"""ramp: a ball rolls down a ramp and on along the floor. ledge: a ball rolls off a ledge and falls. unequal:
a heavy ball hits a light one. strike: a pendulum hits a ball. topple: a stack of two blocks tips over. hide:
a ball rolls behind a wall and comes out again."""
Violation = Literal[
    "hover",
    "jump",
    "constant-fall",
    "through-floor",
    "gain-height",
    "self-propelled",
    "stuck-swing",
    "pass-through",
    "sink",
    "leap",
    "vanish",
    "stuck",
    "level-flight",
    "straight-fall",
    "momentum",
    "swap",
]
Fixture = Literal["ramp", "ledge", "wall"]

COLORS: tuple[Color, ...] = get_args(Color)
SHAPES: tuple[Shape, ...] = get_args(Shape)
KINDS: tuple[Kind, ...] = get_args(Kind)
LEARNED_KINDS: tuple[Kind, ...] = KINDS[:8]
"""Kinds that the embedded model was trained on; the others are for its next version."""
PAIR_KINDS: tuple[Kind, ...] = ("collide", "unequal", "strike", "topple")
"""Kinds with two objects."""
VIOLATIONS: tuple[Violation, ...] = get_args(Violation)

RGB: dict[Color, tuple[int, int, int]] = {
    "red": (214, 40, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 220),
    "yellow": (248, 214, 40),
    "purple": (140, 50, 180),
    "orange": (244, 130, 24),
    "white": (250, 250, 250),
    "black": (24, 24, 28),
}
SKY_RGB = (172, 190, 200)
FLOOR_RGB = (122, 112, 102)
STRING_RGB = (92, 92, 96)
FIXTURE_RGB = (92, 98, 112)
"""Ramps, ledges and walls: flat, and further from every shade of the palette than a blob's colour may be."""

SHAPES_OF_KIND: dict[Kind, tuple[Shape, ...]] = {
    "drop": ("ball", "cube"),
    "throw": ("ball", "cube"),
    "roll": ("ball",),
    "slide": ("cube",),
    "swing": ("ball",),
    "collide": ("ball",),
    "float": ("balloon",),
    "rest": ("ball", "cube"),
    "ramp": ("ball",),
    "ledge": ("ball",),
    "unequal": ("ball",),
    "strike": ("ball",),
    "topple": ("cube",),
    "hide": ("ball",),
}

VIOLATIONS_OF_KIND: dict[Kind, tuple[Violation, ...]] = {
    "drop": ("hover", "jump", "constant-fall", "through-floor", "gain-height", "vanish"),
    "throw": ("hover", "jump", "through-floor", "vanish"),
    "roll": ("self-propelled", "jump", "vanish"),
    "slide": ("self-propelled", "jump", "vanish"),
    "swing": ("stuck-swing", "jump", "vanish"),
    "collide": ("pass-through", "vanish"),
    "float": ("sink", "jump", "vanish"),
    "rest": ("leap", "jump", "vanish"),
    "ramp": ("self-propelled", "stuck", "vanish"),
    "ledge": ("level-flight", "straight-fall", "hover", "vanish"),
    "unequal": ("momentum", "pass-through", "vanish"),
    "strike": ("self-propelled", "pass-through", "momentum", "vanish"),
    "topple": ("hover", "leap", "vanish"),
    "hide": ("vanish", "jump", "swap"),
}
"""Violations by kind of motion. hover: stops in mid-air and hangs there. jump: is suddenly elsewhere.
constant-fall: falls at one speed from the first frame and stops dead. through-floor: falls on through the
floor. gain-height: each bounce is higher. self-propelled: speeds up with nothing pushing. stuck-swing: stops
at the side of its swing and hangs there. pass-through: two balls go through each other. sink: the balloon
falls. leap: shoots up from the floor by itself. vanish: is gone for some frames or for good, or never comes
out from behind the wall. stuck: stops on the ramp. level-flight: goes on level past the edge. straight-fall:
loses its speed sideways at the edge. momentum: the other is not pushed as it should be. swap: another colour
comes out from behind the wall.

self-propelled: on a ramp, it rolls up by itself; with a pendulum, the ball leaves before it is hit. jump:
behind a wall, it comes out at once. hover: the stack stops tilted. leap: the upper block flies up."""
