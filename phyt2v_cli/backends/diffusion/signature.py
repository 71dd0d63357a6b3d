"""Choice of the pipeline class, and validation of the settings against the signature of its call.

This file imports diffusers to inspect a class, and loads no weights. What it knows of a family comes from the
family's table.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import diffusers

from phyt2v_cli.backends.checkpoints.diffusers_folder import ModelFolder
from phyt2v_cli.backends.diffusion import conditioning, family_rules
from phyt2v_cli.backends.diffusion.families import Family
from phyt2v_cli.config.schema import GeneratorConfig
from phyt2v_cli.errors import ConfigError, ModelLoadError

NUM_FRAMES_NAMES = ("num_frames", "video_length", "frames")
FPS_NAMES = ("frame_rate", "fps")
"""Names of these two arguments in the calls of pipelines."""

_SETTINGS = (
    "height",
    "width",
    "guidance_scale",
    "negative_prompt",
    "image",
    "video",
    "strength",
    *family_rules.OPTIONS,
)


def choose_pipeline_class(config: GeneratorConfig, folder: ModelFolder, family: Family) -> Any:
    """Choose the pipeline class to load the folder with.

    Raises ModelLoadError if diffusers lacks the class or it does not make videos from text, and ConfigError
    with a line for each setting that the family or the class does not take.
    """
    pipeline_class = getattr(
        diffusers, conditioning.pipeline_for(config, family, folder.pipeline_class), None
    )
    if pipeline_class is None:
        raise ModelLoadError(
            f"{config.model} needs the pipeline class {folder.pipeline_class}, which diffusers "
            f"{diffusers.__version__} does not have.",
            "Upgrade diffusers, or name another model.",
        )
    parameters = inspect.signature(pipeline_class.__call__).parameters
    makes_videos = config.video is not None or not parameters.keys().isdisjoint(NUM_FRAMES_NAMES)
    if not (makes_videos and {"prompt", "num_inference_steps"} <= parameters.keys()):
        raise ModelLoadError(
            f"{config.model} is a {folder.pipeline_class}, which makes no video from a text.",
            "Name another model.",
        )
    # The family's table comes first; the signature is checked only if the table finds no fault.
    lines = [*family_rules.complaints(family, config), *conditioning.complaints(family, config)] or [
        *_complaints(config, pipeline_class, parameters)
    ]
    if lines:
        raise ConfigError("\n".join(lines))
    return pipeline_class


def _complaints(
    config: GeneratorConfig, pipeline_class: Any, parameters: Mapping[str, inspect.Parameter]
) -> Iterator[str]:
    taken = set(parameters)
    if "guider" in inspect.signature(pipeline_class.__init__).parameters:
        taken.add("guidance_scale")  # it is set on the guider component
    if config.video is not None:
        taken |= {"height", "width"}  # its frames come in that size
    for field in _SETTINGS:
        if getattr(config, field) not in (None, "") and field not in taken:
            yield f"generator.{field}: {pipeline_class.__name__} does not take it; leave it out"
    for field in ("image", "video"):
        needed = field in parameters and parameters[field].default is inspect.Parameter.empty
        if needed and getattr(config, field) is None:
            yield f"generator.{field}: {pipeline_class.__name__} needs one; name it with `{field}`"
