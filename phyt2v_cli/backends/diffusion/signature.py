"""Choice of the pipeline class, and validation of the settings against the signature of its call.

This file imports diffusers to inspect a class, and loads no weights. What it knows of a family comes from the
family's table.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import diffusers
from diffusers.utils import DummyObject

from phyt2v_cli.backends.checkpoints.diffusers_folder import ModelFolder
from phyt2v_cli.backends.diffusion import conditioning, family_rules
from phyt2v_cli.backends.diffusion.families.family import Family
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import ConfigError, ModelLoadError

NUM_FRAMES_NAMES = ("num_frames", "video_length", "frames")
FPS_NAMES = ("frame_rate", "fps")
"""Names of these two arguments in the calls of pipelines."""

_GIVEN = ("self", "prompt", "image", "video", "args", "kwargs")
"""Arguments without a default that a config can give."""

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
    if why := _why_unusable(pipeline_class, config):
        raise ModelLoadError(
            f"{config.model} is a {pipeline_class.__name__}, which {why}.", "Name another model."
        )
    parameters = inspect.signature(pipeline_class.__call__).parameters
    # The family's table comes first; the signature is checked only if the table finds no fault.
    lines = [*family_rules.complaints(family, config), *conditioning.complaints(family, config)] or [
        *_complaints(config, pipeline_class, parameters)
    ]
    if lines:
        raise ConfigError("\n".join(lines))
    return pipeline_class


def _why_unusable(pipeline_class: Any, config: GeneratorConfig) -> str:
    """Say why a class makes no videos here; empty if it does."""
    if isinstance(pipeline_class, DummyObject):
        lacking = (name for name in pipeline_class._backends if not _is_installed(name))
        return f"needs a package that is not installed: {', '.join(lacking)}"
    parameters = inspect.signature(pipeline_class.__call__).parameters
    needed = [
        name for name, value in parameters.items() if value.default is value.empty and name not in _GIVEN
    ]
    if "controlnet" in inspect.signature(pipeline_class.__init__).parameters:
        needed.append("the input of its controlnet")
    if needed:
        return f"needs what cannot be given here: {', '.join(needed)}"
    makes_videos = config.video is not None or not parameters.keys().isdisjoint(NUM_FRAMES_NAMES)
    if not makes_videos or "prompt" not in parameters:
        return "makes no video from a text"
    if "num_inference_steps" not in parameters:
        return "has a fixed list of denoising steps, so no number of them can be planned"
    return ""


def _is_installed(backend: str) -> bool:
    return bool(getattr(diffusers.utils, f"is_{backend}_available", lambda: True)())


def steps_of(family: Family) -> int:
    """Number of denoising steps at full quality; a class that is not listed states it in its call."""
    pipeline_class = None if family.is_listed else getattr(diffusers, family.name, None)
    if pipeline_class is None:
        return family.num_inference_steps
    stated = inspect.signature(pipeline_class.__call__).parameters.get("num_inference_steps")
    return stated.default if stated and isinstance(stated.default, int) else family.num_inference_steps


def fps_of(family: Family, parameters: Mapping[str, inspect.Parameter]) -> int:
    """Frames per second of a family's videos; of one that is not listed those that its call states."""
    defaults = [parameters[name].default for name in FPS_NAMES if name in parameters]
    stated = [round(value) for value in defaults if isinstance(value, int | float)]
    return stated[0] if stated and not family.is_listed else family.fps


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
        if getattr(config, field) is not None and None in (config.height, config.width):
            missing = [side for side in ("height", "width") if side in parameters]
            if missing:
                yield f"generator.{field}: it is scaled and cropped to height and width, so set both"
        needed = field in parameters and parameters[field].default is inspect.Parameter.empty
        if needed and getattr(config, field) is None:
            yield f"generator.{field}: {pipeline_class.__name__} needs one; name it with `{field}`"
