"""Which rung a pipeline gets; that all rungs make the same video is in test_placed_pipeline.py."""

import pytest

from phyt2v_cli.backends.memory.offloading import RUNGS, MemoryNeed, Placement, choose, lower

GB = 10**9
NEED = MemoryNeed(
    weights=21 * GB,
    largest_component=11 * GB,
    group=2 * GB,
    denoise=3 * GB,
    decode=16 * GB,
    tiled_decode=4 * GB,
)


@pytest.mark.parametrize(
    ("free", "rung", "tiled"),
    [(80, "none", False), (40, "none", False), (30, "none", True), (24, "group", False), (12, "group", True)],
)
def test_the_fastest_that_fits_is_chosen_and_says_why(free: int, rung: str, tiled: bool) -> None:
    placement = choose(NEED, free=free * GB, host_free=100 * GB, wanted="auto")
    assert (placement.rung, placement.tiled_decode) == (rung, tiled)
    assert f"{free}.0 GB are free" in placement.reason


def test_prefetching_needs_room_on_the_host() -> None:
    assert choose(NEED, free=24 * GB, host_free=20 * GB, wanted="auto").rung == "model"
    assert choose(NEED, free=12 * GB, host_free=20 * GB, wanted="auto").rung == "sequential"


def test_where_nothing_fits_the_smallest_is_tried() -> None:
    assert choose(NEED, free=1 * GB, host_free=100 * GB, wanted="auto") == Placement(
        "sequential", "resident it needs 25.5 GB, 1.0 GB are free", tiled_decode=True
    )


@pytest.mark.parametrize("rung", RUNGS)
def test_what_is_configured_is_taken(rung: str) -> None:
    placement = choose(NEED, free=1, host_free=1, wanted=rung)  # type: ignore[arg-type]
    assert (placement.rung, placement.reason) == (rung, "as configured")


def test_every_fall_needs_less_memory_and_there_is_an_end() -> None:
    placement: Placement | None = Placement("none", "there is room")
    rungs = []
    while placement is not None:
        rungs.append(placement.rung)
        placement = lower(placement, RUNGS, decoding=False)
    assert tuple(rungs) == RUNGS
    needs = [NEED.at(rung) for rung in RUNGS]
    assert needs == sorted(needs, reverse=True)


def test_decoding_is_tiled_before_anything_is_moved() -> None:
    tiled = lower(Placement("none", "there is room"), RUNGS, decoding=True)
    assert tiled is not None
    assert (tiled.rung, tiled.tiled_decode) == ("none", True)
    model = lower(tiled, RUNGS, decoding=True)
    assert model is not None
    assert model.rung == "model"
