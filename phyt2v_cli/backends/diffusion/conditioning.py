"""Image-to-video and video-to-video input: checked before the model loads, scaled when it is used.

This file must not import torch or diffusers, because it serves checks that run before anything is loaded. It
knows files and images; what it knows of a family comes from the family's table.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phyt2v_cli.backends.diffusion.families.family import Family
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import ConfigError, FilesError, PromptError, VideoError
from phyt2v_cli.files.picture import is_transparent, read_picture
from phyt2v_cli.files.untrusted import refusals_as
from phyt2v_cli.files.video import read_frames, sha256_of
from phyt2v_cli.quantities import count

if TYPE_CHECKING:
    from PIL.Image import Image

_KINDS = {
    "image": "a picture, such as a PNG or JPEG",
    "video": "a video that plays to its end, such as an mp4",
}

_DEFAULT_STRENGTH = 0.8
"""Default of most pipelines, used for a family whose own default would return the video unchanged."""


def pipeline_for(config: GeneratorConfig, family: Family, pipeline_class: str) -> str:
    """Pipeline class for the config's image or video; `pipeline_class`, the folder's own, for text alone."""
    if config.image is not None:
        return family.image_pipeline or pipeline_class
    if config.video is not None:
        return family.video_pipeline or pipeline_class
    return family.text_pipeline or pipeline_class


def complaints(family: Family, config: GeneratorConfig) -> Iterator[str]:
    """Check image, video and strength against the family; yield a `field: message` line for each problem."""
    if config.image is not None and config.video is not None:
        yield "generator.image: there is generator.video too; a video begins with one of them"
    is_known = family.is_listed
    if config.image is not None and family.image_pipeline is None and is_known:
        yield f"generator.image: this {family.name} cannot begin with an image; name a checkpoint made for it"
    if config.video is not None and family.video_pipeline is None and is_known:
        yield f"generator.video: this {family.name} cannot begin with a video; name another model"
    if config.image is None and family.needs_image:
        yield f"generator.image: this {family.name} is made to begin with an image; name one with `image`"
    if family.needs_more:
        yield f"generator.model: this {family.name} needs {family.needs_more}, which cannot be given here"
    if config.strength is not None and config.video is None:
        yield "generator.strength: it says how far to leave generator.video, which is not set"
    for name, source in (("image", config.image), ("video", config.video)):
        if source is not None and is_known and (config.height is None or config.width is None):
            yield f"generator.{name}: it is scaled and cropped to height and width, so set both"


def notes(config: GeneratorConfig) -> Iterator[str]:
    """Yield notes about an image that passed `digest`."""
    if config.image is not None and is_transparent(Path(config.image)):
        yield f"{config.image} is transparent in parts; they are shown over black"


def digest(config: GeneratorConfig) -> str | None:
    """Check the config's image or video, and return the sha256 of its file in hex; None if none is set.

    Raises ConfigError if the file is missing or unreadable, or is no image or no whole video.
    """
    source = config.image or config.video
    if source is None:
        return None
    path = Path(source)
    field = "image" if config.image is not None else "video"
    with refusals_as(ConfigError, path, prefix=f"generator.{field}: "):
        if not path.is_file():
            what = f"{path} is no file" if path.exists() else f"there is no file {path}"
            raise ConfigError(f"generator.{field}: {what}", f"Name {_KINDS[field]}.")
        if field == "image":
            _open_image(path)
        else:
            _read_frames(path)
        return sha256_of(path)


def call_arguments(config: GeneratorConfig, family: Family) -> Mapping[str, Any]:
    """Arguments of the pipeline's call for the image or video, scaled and cropped to height and width.

    Empty for text alone. Raises ConfigError if the file is unusable, has changed since the run began, or is a
    video with too few frames.
    """
    found = digest(config)
    if found is None:
        return {}
    if config.source_sha256 not in (None, found):
        raise ConfigError(
            f"{config.image or config.video} has changed since the run began",
            "Put the old file back, or start another run.",
        )
    size = _size(config)
    if config.image is not None:
        return {"image": _fit(_open_image(Path(config.image)), size)}
    frames = _read_frames(Path(config.video or ""))
    num_frames = config.num_frames
    if num_frames is None:
        num_frames = family.num_frames.floor(len(frames))
    if len(frames) < max(num_frames, 1):
        raise ConfigError(
            f"generator.video: {config.video} has {count(len(frames), 'frame')}, and "
            f"{max(num_frames, 1)} are needed"
        )
    video = [_fit(frame, size) for frame in frames[:num_frames]]
    length = {"num_frames": num_frames}  # a call that does not ask for it takes the clip's
    if family.video_strength_keeps:
        return {**length, "video": [video], "strength": 1 - (config.strength or _DEFAULT_STRENGTH)}
    return {**length, "video": video, **({} if config.strength is None else {"strength": config.strength})}


def picture_arguments(config: GeneratorConfig, image: Path) -> Mapping[str, Any]:
    """Arguments of the pipeline's call for another picture than the config's, scaled and cropped like it.

    Raises PromptError if it cannot be used, since other prompts have other pictures.
    """
    try:
        return {"image": _fit(_open_image(image), _size(config))}
    except ConfigError as error:
        raise PromptError(error.message.removeprefix("generator.image: "), error.hint) from error


def _size(config: GeneratorConfig) -> tuple[int, int] | None:
    return (config.width, config.height) if config.width and config.height else None


def _open_image(path: Path) -> "Image":
    try:
        return read_picture(path)
    except FilesError as error:
        raise ConfigError(f"generator.image: {error.message}", error.hint) from error


def _read_frames(path: Path) -> "list[Image]":
    from PIL import Image

    try:
        return [Image.fromarray(frame) for frame in read_frames(path)]
    except VideoError as error:
        raise ConfigError(f"generator.video: {error.message}", f"Name {_KINDS['video']}.") from error


def _fit(image: "Image", size: tuple[int, int] | None) -> "Image":
    """Scale an image to cover `size` (width, height), if there is one, and crop it around its center."""
    from PIL import ImageOps

    return image if size is None else ImageOps.fit(image, size)
