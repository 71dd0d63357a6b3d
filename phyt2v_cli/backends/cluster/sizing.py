"""Number of workers for each role, from the seconds that their stages take. Pure arithmetic; knows no Ray."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Need:
    """What one kind of worker needs: GPUs of one worker, and the seconds of its work for one video."""

    gpus: float
    seconds: float


def share_out(num_gpus: float, generator: Need, judges: Mapping[str, Need]) -> dict[str, int]:
    """Share GPUs out so that as many videos as possible get through all stages.

    Returns the number of workers by name, `generator` among them, at least one of each. Each further worker
    goes to the stage that is slowest; if its GPUs are not to be had, the sharing ends. Judges without a GPU
    get as many workers as keep up with the generators.
    """
    needs = {"generator": generator, **judges}
    counts = dict.fromkeys(needs, 1)
    on_gpu = [name for name, need in needs.items() if need.gpus > 0]
    left = num_gpus - sum(needs[name].gpus for name in on_gpu)
    most = {name: _fitting(num_gpus, needs[name].gpus) for name in on_gpu}
    while on_gpu := [name for name in on_gpu if counts[name] < most[name]]:
        slowest = max(on_gpu, key=lambda name: needs[name].seconds / counts[name])
        if needs[slowest].gpus > left + 1e-9:
            break
        counts[slowest] += 1
        left -= needs[slowest].gpus
    for name in judges:
        if not needs[name].gpus:
            counts[name] = max(1, _keeping_up(needs[name].seconds, generator.seconds, counts["generator"]))
    return counts


def fit_cpus(counts: Mapping[str, int], needs: Mapping[str, Need], num_cpus: float) -> dict[str, int]:
    """Lower the numbers of workers until each has one of `num_cpus` CPUs, as those with a GPU have too.

    Of those without a GPU the most numerous give way first; one of each stays, and waits if it must.
    """
    fitted = dict(counts)
    on_cpu = [name for name, need in needs.items() if not need.gpus]
    for _ in range(max(0, math.ceil(sum(counts.values()) - num_cpus))):
        most = max(on_cpu, key=lambda name: fitted[name], default=None)
        if most is None or fitted[most] == 1:
            break
        fitted[most] -= 1
    return fitted


def _fitting(num_gpus: float, gpus: float) -> int:
    """Workers of one kind that fit: two that each take more than half of a GPU do not share one."""
    return max(1, int(num_gpus + 1e-9) * int(1 / gpus + 1e-9))


def missing_gpus(num_gpus: float, needs: Sequence[Need]) -> float:
    """GPUs that are missing for one worker of each kind; 0 if there are enough."""
    return max(0.0, sum(need.gpus for need in needs) - num_gpus)


def _keeping_up(judge_s: float, render_s: float, num_generators: int) -> int:
    return -(-round(1000 * judge_s * num_generators) // max(1, round(1000 * render_s)))
