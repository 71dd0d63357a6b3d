"""Amount of motion in a video, measured without a model. Knows frames; no file and no prompt."""

from phyt2v_cli.files.video import Frames

_LUMA = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue in the brightness of ITU-R BT.709."""
_BLOCKS = 48
"""Blocks along the shorter side. What is smaller than a block, such as grain, hardly changes its mean."""
_NOISE = 4 / 255
"""Change of a block, of 1, that counts as none: that of an encoder on a still picture."""


def motion_of(frames: Frames) -> float:
    """Mean change of brightness from one frame to the next, 0..1; 0 for a still picture.

    The brightness is averaged over square blocks, 48 along the shorter side, and changes of a block below
    4/255 count as none. `frames` are uint8 (num_frames, height, width, 3). A value means something beside
    that of another video of the same prompt and size: larger objects and stronger colours have larger ones.
    """
    import numpy as np

    num_frames, height, width, _ = frames.shape
    if num_frames < 2:
        return 0.0
    size = max(1, min(height, width) // _BLOCKS)
    rows, columns = height // size, width // size
    weights = np.array(_LUMA, np.float32) / 255
    blocks = np.stack(
        [
            (frame[: rows * size, : columns * size] @ weights).reshape(rows, size, columns, size).mean((1, 3))
            for frame in frames
        ]
    )
    change = np.abs(np.diff(blocks, axis=0))
    return float(np.where(change >= _NOISE, change, 0).mean())
