"""The frames of a video that a VLM is shown. Knows no model and no server."""

from pathlib import Path

from PIL import Image

from phyt2v_cli.settings import VlmConfig
from phyt2v_cli.video import sample_frames


def sampled_images(video_path: Path, config: VlmConfig) -> list[Image.Image]:
    """Return `config.num_frames` RGB pictures, spread evenly over the video.

    Their longest side is at most `config.max_frame_size` pixels; the aspect stays and nothing is enlarged.
    Raises VideoError where the video is missing or broken.
    """
    images = [Image.fromarray(frame) for frame in sample_frames(video_path, config.num_frames)]
    for image in images:
        image.thumbnail((config.max_frame_size, config.max_frame_size), Image.Resampling.LANCZOS)
    return images
