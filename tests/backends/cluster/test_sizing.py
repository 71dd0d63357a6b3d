"""Number of workers for each role."""

import pytest

from phyt2v_cli.backends.cluster.sizing import Need, fit_cpus, missing_gpus, share_out


@pytest.mark.parametrize(
    ("num_gpus", "render_s", "judge_s", "wanted"),
    [
        (2, 60.0, 5.0, (1, 1)),
        (8, 60.0, 5.0, (7, 1)),
        (8, 60.0, 60.0, (4, 4)),
        (8, 60.0, 20.0, (6, 2)),
        (16, 30.0, 90.0, (4, 12)),
        (256, 100.0, 4.0, (246, 10)),
    ],
)
def test_gpus_go_to_the_slowest_stage(
    num_gpus: int, render_s: float, judge_s: float, wanted: tuple[int, int]
) -> None:
    counts = share_out(num_gpus, Need(1.0, render_s), {"vlm": Need(1.0, judge_s)})
    assert (counts["generator"], counts["vlm"]) == wanted
    # No other sharing lets more videos through.
    rate = min(counts["generator"] / render_s, counts["vlm"] / judge_s)
    others = [min(n / render_s, (num_gpus - n) / judge_s) for n in range(1, num_gpus)]
    assert rate == pytest.approx(max(others), rel=1e-9)


def test_judges_without_a_gpu_keep_up_with_the_generators() -> None:
    counts = share_out(8, Need(1.0, 10.0), {"program": Need(0.0, 25.0)})
    assert counts == {"generator": 8, "program": 20}


def test_parts_of_gpus_are_shared_out() -> None:
    counts = share_out(1, Need(0.6, 60.0), {"vlm": Need(0.4, 5.0)})
    assert counts == {"generator": 1, "vlm": 1}
    assert share_out(2, Need(0.5, 60.0), {})["generator"] == 4


def test_what_is_missing_for_one_worker_of_each() -> None:
    assert missing_gpus(1, [Need(1.0, 1), Need(1.0, 1)]) == 1
    assert missing_gpus(2, [Need(1.0, 1), Need(0.5, 1)]) == 0


ON_CPU, ON_GPU = Need(0.0, 1), Need(1.0, 1)


@pytest.mark.parametrize(
    ("num_cpus", "counts", "fitted"),
    [
        (8.0, (2, 4, 2), (2, 4, 2)),
        (6.5, (2, 4, 2), (2, 2, 2)),  # half a CPU is none
        (5.0, (2, 4, 2), (2, 1, 2)),
        (4.0, (2, 4, 2), (2, 1, 1)),
        (0.0, (2, 4, 2), (2, 1, 1)),  # at least one of each, and those with a GPU stay
    ],
)
def test_workers_without_a_gpu_give_way_if_cpus_are_few(
    num_cpus: float, counts: tuple[int, ...], fitted: tuple[int, ...]
) -> None:
    names = ("generator", "program", "llm")
    needs = dict(zip(names, (ON_GPU, ON_CPU, ON_CPU), strict=True))
    found = fit_cpus(dict(zip(names, counts, strict=True)), needs, num_cpus)
    assert tuple(found[name] for name in names) == fitted
    assert fit_cpus({"generator": 3}, {"generator": ON_GPU}, 1) == {"generator": 3}
