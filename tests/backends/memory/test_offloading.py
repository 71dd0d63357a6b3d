"""Which level a pipeline gets; that all levels make the same video is in test_placed_pipeline.py."""

from dataclasses import replace

import pytest

from phyt2v_cli.backends.memory.offloading import OFFLOAD_LEVELS, MemoryNeed, Placement, choose, lower

GB = 10**9
NEED = MemoryNeed(
    weights=21 * GB,
    largest_component=11 * GB,
    group=2 * GB,
    denoise=3 * GB,
    decode=16 * GB,
    tiled_decode=4 * GB,
    autoencoder=1 * GB,
)


@pytest.mark.parametrize(
    ("free", "level", "tiled"),
    [(80, "none", False), (45, "none", False), (30, "none", True), (24, "model", False), (12, "group", True)],
)
def test_the_fastest_that_fits_is_chosen_and_says_why(free: int, level: str, tiled: bool) -> None:
    placement = choose(NEED, free=free * GB, host_free=100 * GB, wanted="auto")
    assert (placement.level, placement.tiled_decode) == (level, tiled)
    assert f"{free}.0 GB are free" in placement.reason


@pytest.mark.parametrize(
    ("free", "decode_level", "tiled"),
    [(45, None, False), (35, None, True), (30, "model", False), (23, "model", True)],
)
def test_a_decode_that_does_not_fit_is_tiled_and_then_done_alone(
    free: int, decode_level: str | None, tiled: bool
) -> None:
    need = replace(NEED, tiled_decode=9 * GB)
    placement = choose(need, free=free * GB, host_free=2**40, wanted="none")
    assert placement.level == "none"
    assert (placement.decode_level, placement.tiled_decode) == (decode_level, tiled)
    assert placement.level_of(decoding=True) == (decode_level or "none")
    assert placement.level_of(decoding=False) == "none"


def test_only_the_autoencoder_is_there_in_a_decode_at_lower_levels() -> None:
    """Weights of 11 GB, which denoising needs 3 GB beside, do not count with the 9 GB of a decode."""
    need = replace(NEED, tiled_decode=9 * GB)
    assert choose(need, free=15 * GB, host_free=2**40, wanted="auto").level == "model"
    assert choose(need, free=14 * GB, host_free=2**40, wanted="auto").level == "group"


def test_prefetching_needs_room_on_the_host() -> None:
    assert choose(NEED, free=24 * GB, host_free=20 * GB, wanted="auto").level == "model"
    assert choose(NEED, free=12 * GB, host_free=20 * GB, wanted="auto").level == "sequential"
    assert choose(NEED, free=15 * GB, host_free=20 * GB, wanted="auto").level == "model"


def test_where_nothing_fits_the_smallest_is_tried() -> None:
    assert choose(NEED, free=1 * GB, host_free=100 * GB, wanted="auto") == Placement(
        "sequential", "resident it needs 25.5 GB, 1.0 GB are free", tiled_decode=True
    )


@pytest.mark.parametrize("level", OFFLOAD_LEVELS)
def test_what_is_configured_is_taken(level: str) -> None:
    placement = choose(NEED, free=1, host_free=1, wanted=level)  # type: ignore[arg-type]
    assert (placement.level, placement.reason) == (level, "as configured")


def test_every_fall_needs_less_memory_and_there_is_an_end() -> None:
    placement: Placement | None = Placement("none", "there is room")
    levels = []
    while placement is not None:
        levels.append(placement.level)
        placement = lower(placement, OFFLOAD_LEVELS, decoding=False)
    assert tuple(levels) == OFFLOAD_LEVELS
    needs = [NEED.at(level) for level in OFFLOAD_LEVELS]
    assert needs == sorted(needs, reverse=True)


def test_decoding_is_tiled_before_anything_is_moved() -> None:
    tiled = lower(Placement("none", "there is room"), OFFLOAD_LEVELS, decoding=True)
    assert tiled is not None
    assert (tiled.level, tiled.tiled_decode) == ("none", True)
    alone = lower(tiled, OFFLOAD_LEVELS, decoding=True)
    assert alone is not None
    assert (alone.level, alone.decode_level) == ("none", "model")  # the next video is denoised as before
    placement: Placement | None = alone
    levels = []
    while placement is not None:
        levels.append(placement.decode_level)
        placement = lower(placement, OFFLOAD_LEVELS, decoding=True)
    assert levels == ["model", "group", "sequential"]
