"""What is checked before anything is loaded or written: judges, model folder, disk and output folder.

Knows the config and the file system; loads no model.
"""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from phyt2v_cli.atomic import describe_os_error
from phyt2v_cli.config import LoadedConfig
from phyt2v_cli.errors import BackendError, ConfigError, FilesError
from phyt2v_cli.settings import CaptionerConfig, Config, LlmConfig, ScorerConfig, Section

if TYPE_CHECKING:
    from phyt2v_cli.backends.families import Family

_BYTES_PER_PIXEL = 0.5
"""Upper bound for near-lossless H.264 of noisy frames, latents included."""

_UNKNOWN_SIZE = (81, 720, 1280)
_SPARE_BYTES = 4 * 2**20
"""Records, a sheet and the file system's own needs."""


def check_judges(config: Config) -> None:
    """Raise ConfigError where a role of the loop is played by nobody, or by somebody who cannot be found."""
    roles: list[tuple[str, LlmConfig | CaptionerConfig | ScorerConfig]] = [
        ("llm", config.llm),
        ("captioner", config.captioner),
        ("scorer", config.scorer),
        *((f"scorer.others[{n}]", other) for n, other in enumerate(config.scorer.others)),
    ]
    lines = []
    for role, section in roles:
        if section.backend is None:
            lines.append(f"{role}.backend: none is set; choices: {', '.join(_choices(section))}")
        if section.backend in ("openai", "transformers") and section.model is None:
            lines.append(f"{role}.model: the {section.backend} backend needs one")
        if isinstance(section, ScorerConfig) and section.backend == "command":
            lines += [f"{role}.command: {complaint}" for complaint in _complaints_about_program(section)]
    if lines:
        lines.append("Set them with --set or in a config file; `phyt2v generate` renders without judges.")
        raise ConfigError("\n".join(lines))


def _complaints_about_program(section: ScorerConfig) -> list[str]:
    from phyt2v_cli.backends.command_scorer import find_program

    if section.command is None:
        return ["the command backend needs a program"]
    try:
        find_program(section.command)
    except BackendError as error:
        return [str(error)]
    return []


def check_model(config: Config) -> None:
    """Judge the model by its json files, before anything is loaded or written.

    Raises ModelLoadError where its folder is missing, incomplete or unsafe, and ConfigError where its family
    cannot make the wanted frames or sizes or does not take a setting.
    """
    from phyt2v_cli.backends import conditioning, families

    family = _family(config)
    lines = [
        *families.complaints(family, config.generator),
        *conditioning.complaints(family, config.generator),
    ]
    if lines:
        raise ConfigError("\n".join(lines))


def complete(loaded: LoadedConfig) -> Config:
    """Return the config with what only the model's and the user's files can tell.

    That is the published steps of the model's family, where no preset and nobody set any, and the digest of
    the image or video that the run begins with. Raises ModelLoadError where the model must be looked at and
    is not there, and ConfigError where the image or video cannot be read.
    """
    from phyt2v_cli.backends import conditioning

    config = loaded.config
    is_set = config.schedule.steps is not None or loaded.origins["schedule.max_steps"] != "default"
    if loaded.preset is None and not is_set:
        steps = _family(config).num_inference_steps
        schedule = config.schedule.model_copy(update={"max_steps": steps})
        config = config.model_copy(update={"schedule": schedule})
    if sha256 := conditioning.digest(config.generator):
        generator = config.generator
        # Absolute, because the run may be resumed from elsewhere.
        paths = {
            name: str(Path(path).absolute())
            for name in ("image", "video")
            if (path := getattr(generator, name)) is not None
        }
        generator = generator.model_copy(update={"source_sha256": sha256, **paths})
        config = config.model_copy(update={"generator": generator})
    return config


def _family(config: Config) -> "Family":
    from phyt2v_cli.backends.families import family_of
    from phyt2v_cli.backends.model_folder import find_model

    folder = find_model(config.generator.model)
    return family_of(folder.pipeline_class, folder.component_configs)


def needed_bytes(config: Config, num_videos: int) -> int:
    """Return about how much disk the videos of a run take at most."""
    wanted = (config.generator.num_frames, config.generator.height, config.generator.width)
    frames, height, width = (value or assumed for value, assumed in zip(wanted, _UNKNOWN_SIZE, strict=True))
    return _SPARE_BYTES + int(num_videos * frames * height * width * _BYTES_PER_PIXEL)


def check_disk(folder: Path, needed: int) -> None:
    """Raise FilesError where `folder`, or the parent it will be created in, is not writable or too full."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise FilesError(f"{existing} is a file, not a folder; choose another one with --out")
    try:
        free = shutil.disk_usage(existing).free
        if free < needed:
            raise FilesError(
                f"{folder}: about {_megabytes(needed)} are needed and {_megabytes(free)} are free; "
                "free some space or choose another disk with --out"
            )
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise describe_os_error(error, f"the folder {existing} cannot be written to") from error


def _megabytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"


def _choices(section: Section) -> list[str]:
    annotation = type(section).model_fields["backend"].annotation
    return [name for option in get_args(annotation) for name in get_args(option)]
