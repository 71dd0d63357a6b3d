"""Share of physical videos that a model shows once it has learned its captions perfectly, by depth.

    python -m training.expected

A caption shows clips as often as they had it in training; what counts is its motion, its depth, and in a deep
one the blind wording. The mean is over captions of physical clips, as the benchmarks have them.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from phyt2v_cli.tiny import world
from training.captions import BLIND_SPOTS, DEPTHS, Depth, draw_depth, draw_wordings
from training.scenes import Scenes, sample_pool

Shares = Mapping[str, Mapping[Depth, float]]


def expected_shares(scenes: Scenes, rng: random.Random) -> Shares:
    """Shares of physical videos by depth, for each kind and for "all", from captions drawn as in training."""
    # physical and violating clips, by kind, depth and blind wording
    clips: dict[tuple[world.Kind, Depth, bool], list[int]] = defaultdict(lambda: [0, 0])
    for i in range(len(scenes)):
        kind, violating = world.KINDS[scenes.kind[i]], bool(scenes.violation[i] >= 0)
        depth, blind = draw_depth(scenes, i, rng), False
        if depth == "deep":
            names = draw_wordings(kind, rng, blind=violating)
            blind = any(names[fact] in spots for fact, spots in BLIND_SPOTS[kind].items())
        clips[kind, depth, blind][violating] += 1

    def share(kinds: tuple[world.Kind, ...], depth: Depth) -> float:
        cells = [n for (kind, d, _), n in clips.items() if kind in kinds and d == depth]
        return sum(p * p / (p + v) for p, v in cells) / sum(p for p, _ in cells)

    rows = {"all": world.KINDS} | {kind: (kind,) for kind in world.KINDS}
    return {name: {depth: share(kinds, depth) for depth in DEPTHS} for name, kinds in rows.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=64000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    shares = expected_shares(sample_pool(options.clips, options.seed), random.Random(options.seed))
    table = Table("kind", *DEPTHS, title=f"Expected share of physical videos, {options.clips} clips")
    for name, row in shares.items():
        table.add_row(name, *(f"{row[depth]:.3f}" for depth in DEPTHS))
    Console().print(table)


if __name__ == "__main__":
    main()
