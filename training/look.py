"""Draw a contact sheet of what the training sees, and print its captions. A CPU, seconds.

    python -m training.look --out pool.png

Clips come from one mixed pool, as in training: for each motion a row that obeys the laws, then one that
breaks a law, every third frame, four times enlarged.
"""

import argparse
import random
from pathlib import Path

import numpy as np
from PIL import Image

from phyt2v_cli.tiny import world
from training.captions import caption
from training.renderer import render
from training.scenes import sample_pool

STRIDE, ENLARGED = 3, 4


def main() -> None:
    """Write the picture and print a caption for each row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="PNG")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    pool, rng = sample_pool(200, options.seed), random.Random(options.seed)
    shown = []
    for kind, name in enumerate(world.KINDS):
        for is_violating in (False, True):
            i = int(np.flatnonzero((pool.kind == kind) & ((pool.violation >= 0) == is_violating))[0])
            broken = world.VIOLATIONS[pool.violation[i]] if is_violating else "physical"
            print(f"{name}, {broken}: {caption(pool, i, 'deep', rng)}")
            shown.append(i)
    clips = render(pool)[shown, ::STRIDE].numpy()
    rows, columns, height, width, _ = clips.shape
    sheet = clips.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)
    Image.fromarray(sheet.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)).save(options.out)


if __name__ == "__main__":
    main()
