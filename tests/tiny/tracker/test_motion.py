"""The tracker's judgement against rendered truth, and against itself: more wrong never scores higher."""

import numpy as np
import pytest

from benchmarks.tracker_accuracy import DEGRADATIONS, HELD_OUT_SEED, Row, cells, measure, summarise
from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.tracker.findings import Finding
from phyt2v_cli.tiny.tracker.motion import Motion, analyse
from phyt2v_cli.tiny.tracker.scoring import physical_commonsense
from phyt2v_cli.tiny.tracker.tracking import Track, Tracks


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [measure(kind, violation, 2, "none", HELD_OUT_SEED + 1) for kind, violation in cells()]


@pytest.mark.slow
def test_facts_and_verdicts_are_right(rows: list[Row]) -> None:
    for what, share in summarise(rows)["none"].items():
        assert share >= 0.95, what


def test_physical_clips_score_high_and_broken_ones_low(rows: list[Row]) -> None:
    for row in rows:
        if row.violation is None:
            assert row.physical_commonsense >= 0.95, row
        else:
            assert row.physical_commonsense <= 0.5, row


@pytest.mark.slow
@pytest.mark.parametrize(
    "degradation",
    [d if d == "h264" else pytest.param(d, marks=pytest.mark.slow) for d in DEGRADATIONS if d != "none"],
)
def test_degraded_pictures_change_little(degradation: str) -> None:
    rows = [measure(kind, violation, 1, degradation, HELD_OUT_SEED + 2) for kind, violation in cells()]
    shares = summarise(rows)[degradation]
    by_law = [shares[law] for law in ("physical", *world.VIOLATIONS) if law in shares]
    assert min(shares[what] for what in ("kind", "color", "shape", "direction")) >= 0.9
    assert np.average(by_law) >= 0.9
    assert np.mean([r.physical_commonsense for r in rows if r.violation is None]) >= 0.9


TIMES = np.arange(world.NUM_FRAMES) / world.FPS
CONTACT = world.FLOOR_Y - 0.12


def _analyse(x: object, y: object, visible: object = True) -> Motion:
    """Judge one red ball of radius 0.12 on the path x, y."""
    center = np.stack(np.broadcast_arrays(x, y, TIMES)[:2], axis=1).astype(float)
    seen = np.broadcast_to(np.asarray(visible), TIMES.shape)
    center[~seen] = np.nan
    ball = Track("red", "ball", center, (0.12, 0.12), seen, seen)
    return analyse(Tracks((ball,), len(TIMES), 1.0, seen))


def _names(motion: Motion) -> set[str]:
    return {f.name for f in motion.findings}


def _pc(motion: Motion) -> float:
    return physical_commonsense(motion)[0]


def _fall(gravity: float = world.GRAVITY) -> np.ndarray:
    return np.minimum(0.2 + 0.5 * gravity * TIMES**2, CONTACT)


def test_a_fall_under_gravity_is_flawless() -> None:
    motion = _analyse(0.5, _fall())
    assert motion.kind == "drop"
    assert motion.findings == ()
    assert _pc(motion) == 1


@pytest.mark.parametrize("seed", range(20))
def test_a_wobble_of_a_pixel_breaks_no_law(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wobble = rng.normal(0, 0.4 / 64, (2, len(TIMES)))
    assert _analyse(0.5 + wobble[0], _fall() + wobble[1]).findings == ()
    assert _analyse(0.5 + wobble[0], CONTACT + wobble[1]).kind == "rest"


def test_slower_falls_never_score_higher() -> None:
    scores = [_pc(_analyse(0.5, _fall(g * world.GRAVITY))) for g in (1.0, 0.8, 0.6, 0.5, 0.4, 0.3)]
    assert scores == sorted(scores, reverse=True)
    assert scores[1] == 1 and scores[-1] <= 0.55


def test_longer_hovering_never_scores_higher() -> None:
    def held(frames: int) -> np.ndarray:
        fall = _fall()
        return np.concatenate([fall[:5], np.repeat(fall[4], frames), fall[5:]])[: len(TIMES)]

    scores = [_pc(_analyse(0.5, held(n))) for n in (0, 5, 8, 12, 20)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 1 and scores[-1] <= 0.5


def test_longer_absence_never_scores_higher() -> None:
    frames = np.arange(len(TIMES))
    motions = [_analyse(0.5, CONTACT, (frames < 8) | (frames >= 8 + n)) for n in (0, 1, 2, 5, 17)]
    scores = [_pc(m) for m in motions]
    assert scores == sorted(scores, reverse=True)
    assert "vanish" not in _names(motions[1]), "one missing frame is a flicker"
    assert "vanish" in _names(motions[2])


def test_two_broken_laws_score_less_than_one() -> None:
    jumping = np.where(TIMES < 1, 0.3, 0.7)
    hovering = np.full(len(TIMES), 0.4)
    assert _pc(_analyse(jumping, hovering)) < min(
        _pc(_analyse(0.5, hovering)), _pc(_analyse(jumping, CONTACT))
    )


def test_leaving_the_picture_is_not_vanishing() -> None:
    x = 0.3 + 0.6 * TIMES
    assert "vanish" not in _names(_analyse(x, CONTACT, x < 1.1))


def test_nothing_seen_is_worth_nothing() -> None:
    nothing = analyse(Tracks((), 25, 1.0, np.ones(25, dtype=bool)))
    assert nothing.kind is None
    assert physical_commonsense(nothing) == (0.0, ["no object is seen (PC 0)"])


def test_small_blemishes_cost_little() -> None:
    ball = _analyse(0.5, _fall())
    spotted = Motion(ball.objects, "drop", None, 0, (Finding("smear", 0.12, 3, "smeared"),))
    assert _pc(spotted) >= 0.8
