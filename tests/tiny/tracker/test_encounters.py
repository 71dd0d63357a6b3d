"""Laws of encounters on rendered clips that are bent by degrees: more wrong never scores higher."""

from collections.abc import Callable

import numpy as np
import pytest

from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.tracker.motion import Motion, analyse
from phyt2v_cli.tiny.tracker.scoring import physical_commonsense
from phyt2v_cli.tiny.tracker.tracking import track
from training.renderer import render
from training.scenes import Scenes, sample


def _judge(kind: world.Kind, bend: Callable[[Scenes], None] = lambda _: None) -> Motion:
    scenes = sample(kind, 1, np.random.default_rng(71))
    bend(scenes)
    return analyse(track(render(scenes).numpy()[0]))


def _scores(kind: world.Kind, bends: list[Callable[[Scenes], None]]) -> list[float]:
    return [physical_commonsense(_judge(kind, bend))[0] for bend in bends]


def _names(motion: Motion) -> set[str]:
    return {f.name for f in motion.findings}


def _late(frames: int) -> Callable[[Scenes], None]:
    """Hold the ball, fully hidden by the wall, for so many frames."""

    def bend(scenes: Scenes) -> None:
        path, (left, right) = scenes.position[0, :, 0], np.sort(scenes.fixture[0, :2, 0])
        r = scenes.radius[0, 0]
        start = int(np.argmax((path[:, 0] > left + r) & (path[:, 0] < right - r)))
        index = np.where(
            np.arange(len(path)) <= start,
            np.arange(len(path)),
            np.maximum(start, np.arange(len(path)) - frames),
        )
        scenes.position[0, :, 0] = path[index]

    return bend


def test_the_later_a_ball_comes_out_the_lower_the_score() -> None:
    scores = _scores("hide", [_late(n) for n in (0, 1, 6, 10)])
    assert scores == sorted(scores, reverse=True)
    assert scores[1] >= 0.95, "a frame is not seen"
    assert scores[2] <= 0.6


def _light_push(share: float) -> Callable[[Scenes], None]:
    """Let the light ball get this share of its speed."""

    def bend(scenes: Scenes) -> None:
        x = scenes.position[0, :, 1, 0]
        x[:] = x[0] + share * (x - x[0])
        heavy, reach = scenes.position[0, :, 0, 0], 2 * np.sqrt(scenes.radius[0].prod())
        way = float(scenes.direction[0])
        heavy[:] = way * np.minimum(way * heavy, way * x - reach)  # solid all the same

    return bend


def test_the_less_push_is_passed_on_the_lower_the_score() -> None:
    scores = _scores("unequal", [_light_push(s) for s in (1, 0.9, 0)])
    assert scores == sorted(scores, reverse=True)
    assert scores[1] >= 0.95
    assert scores[-1] <= 0.6


def test_a_ball_may_stay_on_a_ramp_for_a_moment() -> None:
    def stay(frames: int) -> Callable[[Scenes], None]:
        def bend(scenes: Scenes) -> None:
            path = scenes.position[0, :, 0]
            scenes.position[0, :, 0] = path[np.maximum(np.arange(len(path)) - frames, 0)]

        return bend

    scores = _scores("ramp", [stay(n) for n in (0, 2, 10, 24)])
    assert scores == sorted(scores, reverse=True)
    assert scores[1] == 1
    assert scores[2] <= 0.6


def test_a_stack_may_stand_before_it_topples_but_not_hang() -> None:
    def halt(angle: float) -> Callable[[Scenes], None]:
        def bend(scenes: Scenes) -> None:
            frames = np.arange(world.NUM_FRAMES)
            stop = int(np.argmax(np.abs(scenes.angle[0, :, 0]) >= angle))
            scenes.position[0] = scenes.position[0, np.minimum(frames, stop)]
            scenes.angle[0] = scenes.angle[0, np.minimum(frames, stop)]

        return bend

    assert "hover" not in _names(_judge("topple", halt(0)))
    for degrees in (35, 50, 65):
        assert "hover" in _names(_judge("topple", halt(np.radians(degrees))))
    assert _names(_judge("topple", halt(np.pi / 2))) == set()


@pytest.mark.parametrize(
    ("kind", "violation", "said"),
    [
        ("ramp", "self-propelled", "rolls up the ramp by itself"),
        ("ramp", "stuck", "stops on the ramp"),
        ("ledge", "level-flight", "goes on level in the air past the edge"),
        ("ledge", "straight-fall", "falls straight down at the edge"),
        ("unequal", "momentum", "the push is not passed on"),
        ("strike", "self-propelled", "rolls away by itself before it is hit"),
        ("strike", "pass-through", "go through each other"),
        ("topple", "hover", "stop tilted and hang in the air"),
        ("topple", "leap", "fly up by themselves"),
        ("hide", "swap", "comes out"),
    ],
)
def test_each_violation_is_told_in_words(kind: world.Kind, violation: world.Violation, said: str) -> None:
    for frames in render(sample(kind, 3, np.random.default_rng(72), violation)).numpy():
        texts = [f.text for f in analyse(track(frames)).findings if f.name == violation]
        assert texts
        assert said in texts[0]
