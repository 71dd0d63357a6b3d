"""Arguments of a pipeline's call that are the same for every prompt. Knows no family by name."""

import inspect
from collections.abc import Mapping
from typing import Any

from phyt2v_cli.backends.diffusion.call import latent_split
from phyt2v_cli.backends.diffusion.families.family import Family
from phyt2v_cli.backends.diffusion.signature import FPS_NAMES, NUM_FRAMES_NAMES
from phyt2v_cli.config.generator import GeneratorConfig


def fixed_arguments(
    pipeline: Any, config: GeneratorConfig, family: Family, *, fps: int, source: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments of the pipeline's call by name: those that are set, and that its signature has.

    `source` are those for the config's image or video.
    """
    parameters = inspect.signature(type(pipeline).__call__).parameters
    wanted = {
        **family.call_arguments,
        "height": config.height,
        "width": config.width,
        **dict.fromkeys(NUM_FRAMES_NAMES, config.num_frames),
        **config.model_dump(include={"guidance_scale", "guidance_scale_2", "true_cfg_scale"}),
        **({"negative_prompt": config.negative_prompt} if config.negative_prompt else {}),
        "max_sequence_length": family.max_sequence_length,
        **dict.fromkeys(FPS_NAMES, fps),
        "output_type": "np",
        **(latent_split.arguments(pipeline) if family.decodes_apart else {}),
        **source,
    }
    return {name: value for name, value in wanted.items() if value is not None and name in parameters}
