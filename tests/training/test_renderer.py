"""Pictures of scenes."""

import numpy as np

from phyt2v_cli.tiny import world
from training.renderer import render
from training.scenes import sample_pool


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    # training draws motions with and without a ramp, a wall or a string at once
    pool = sample_pool(28, seed=5)
    together = render(pool).numpy()
    for kind in range(len(world.KINDS)):
        i = pool.kind.tolist().index(kind)
        np.testing.assert_array_equal(together[i], render(pool.take(np.array([i])))[0].numpy())
