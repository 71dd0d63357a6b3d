"""What is checked before anything is loaded or written: judges, model folder, disk and output folder.

Knows the config and the file system; loads no model.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from phyt2v_cli.config.layers import LoadedConfig, clamp_steps
from phyt2v_cli.config.schema import CaptionerConfig, Config, LlmConfig, ScorerConfig, Section, ServiceConfig
from phyt2v_cli.errors import BackendError, ConfigError, FilesError, ModelLoadError, UsageError
from phyt2v_cli.files.atomic import describe_os_error
from phyt2v_cli.files.untrusted import expand, is_hub_id, refusals_as

if TYPE_CHECKING:
    from phyt2v_cli.backends.diffusion.families import Family

_BYTES_PER_PIXEL = 0.5
"""Upper bound for near-lossless H.264 of noisy frames, latents included."""

_UNKNOWN_SIZE = (81, 720, 1280)
_MAX_NAME_BYTES = 200
"""Of a video: file systems take 255, and latents and temporary files beside it have longer names."""

_SPARE_BYTES = 4 * 2**20
"""Records, a sheet and the file system's own needs."""


_Judge = LlmConfig | CaptionerConfig | ScorerConfig


def check_judges(config: Config, *, will_ask: bool = True) -> None:
    """Raise ConfigError where a role of the loop is played by nobody, or by somebody who cannot be found.

    With `will_ask` also where a server that answers nobody without a key would be asked without one, and
    ModelLoadError where a local folder cannot be the model of a role.
    """
    roles: list[tuple[str, _Judge]] = [
        ("llm", config.llm),
        ("captioner", config.captioner),
        ("scorer", config.scorer),
        *((f"scorer.others[{n}]", other) for n, other in enumerate(config.scorer.others)),
    ]
    lines: list[str] = []
    for role, section in roles:
        if section.backend is None:
            lines.append(f"{role}.backend: none is set; choices: {', '.join(_choices(section))}")
        if section.backend in ("openai", "transformers") and section.model is None:
            lines.append(f"{role}.model: the {section.backend} backend needs one")
        if isinstance(section, ScorerConfig) and section.backend == "command":
            lines += [f"{role}.command: {complaint}" for complaint in _complaints_about_program(section)]
    if lines:
        key = ServiceConfig.model_fields["api_key_env"].default
        lines.append(f"Set them with --set or in a config file, or export {key}; docs/models.md shows how.")
    if will_ask:
        lines += _missing_keys(roles)
    if lines:
        raise ConfigError("\n".join([*lines, "`phyt2v generate` renders without judges."]))
    if will_ask:
        _check_local_models(roles)


def _check_local_models(roles: "Sequence[tuple[str, _Judge]]") -> None:
    from phyt2v_cli.backends.checkpoints.transformers_folder import find_language_model

    for role, section in roles:
        model = section.model if section.backend == "transformers" else None
        # What the hub has is asked for when it is loaded; a name may be both, and then the folder counts.
        # A Path raises where a name is too long.
        if model is not None and (os.path.exists(expand(model)) or not is_hub_id(model)):  # noqa: PTH110
            try:
                find_language_model(model)
            except ModelLoadError as error:
                raise ModelLoadError(f"{role}.model: {error}") from error


def _missing_keys(roles: "Sequence[tuple[str, _Judge]]") -> Iterator[str]:
    from phyt2v_cli.backends.server.endpoint import Endpoint, Role

    needed_by: dict[str, list[str]] = {}
    for role, section in roles:
        kind = cast("Role", role.partition(".")[0])
        if section.backend == "openai" and Endpoint.of(section, kind).lacks_key:
            needed_by.setdefault(section.api_key_env, []).append(f"{role}.api_key_env")
    for variable, fields in needed_by.items():
        yield (
            f"{', '.join(fields)}: the environment variable {variable} is not set, and the vendor's own "
            "server answers nobody without a key. Set it, name another variable, or a server with base_url."
        )


def _complaints_about_program(section: ScorerConfig) -> list[str]:
    from phyt2v_cli.backends.program.scorer import find_program

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
    cannot make the wanted frames or sizes or does not take a setting, and where further weights or the device
    are not there.
    """
    from phyt2v_cli.backends.checkpoints import lora_gguf_files
    from phyt2v_cli.backends.diffusion import conditioning, family_rules

    family = _family(config)
    lines = [
        *family_rules.complaints(family, config.generator),
        *conditioning.complaints(family, config.generator),
        *lora_gguf_files.complaints(config.generator),
    ]
    if lines:
        raise ConfigError("\n".join(lines))
    if config.generator.device == "cuda":
        from phyt2v_cli.backends.memory.device import choose_device

        choose_device(config.generator.device, "generator")


def complete(loaded: LoadedConfig) -> LoadedConfig:
    """Return the config with what only the model's and the user's files can tell.

    That is the published steps of the model's family, where no preset and nobody set any, and the digest of
    the image or video that the run begins with. Raises ModelLoadError where the model must be looked at and
    is not there, and ConfigError where the image or video cannot be read.
    """
    from phyt2v_cli.backends.diffusion import conditioning

    is_set = loaded.config.schedule.steps is not None or loaded.is_given("schedule.max_steps")
    if loaded.preset is None and not is_set:
        steps = _family(loaded.config).num_inference_steps
        loaded = clamp_steps(loaded.with_schedule("max_steps", steps, "the model's family"))
    config = loaded.config
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
    return loaded._replace(config=config)


def _family(config: Config) -> "Family":
    from phyt2v_cli.backends.checkpoints.diffusers_folder import find_model
    from phyt2v_cli.backends.diffusion.families import family_of

    folder = find_model(config.generator.model)
    return family_of(folder.pipeline_class, folder.component_configs)


def needed_bytes(config: Config, num_videos: int) -> int:
    """Return about how much disk the videos of a run take at most."""
    wanted = (config.generator.num_frames, config.generator.height, config.generator.width)
    frames, height, width = (value or assumed for value, assumed in zip(wanted, _UNKNOWN_SIZE, strict=True))
    return _SPARE_BYTES + int(num_videos * frames * height * width * _BYTES_PER_PIXEL)


def check_video_path(out: Path, *, force: bool) -> None:
    """Raise UsageError where `out` is no name of an mp4, and FilesError where no file can be made there.

    A file that is there already counts unless `force` says that it is to be replaced.
    """
    if out.suffix.lower() != ".mp4":
        raise UsageError(f"--out {out}: the video is an mp4, so give a name that ends in .mp4")
    if len(os.fsencode(out.name)) > _MAX_NAME_BYTES:
        raise FilesError(f"--out: the name of the file is longer than {_MAX_NAME_BYTES} bytes; shorten it")
    with refusals_as(FilesError, out, prefix="--out "):
        if out.is_dir():
            raise FilesError(f"{out} is a folder; give the name of a file")
        if out.exists() and not force:
            raise FilesError(
                f"{out} is there already; choose another name with --out, or replace it with --force"
            )
        if not out.parent.is_dir():
            raise FilesError(f"there is no folder {out.parent}; create it, or choose another one with --out")


def check_disk(folder: Path, needed: int) -> None:
    """Raise FilesError where `folder`, or the parent it will be created in, is not writable or too full."""
    existing = folder
    try:
        existing = folder.absolute()
        while not existing.exists():
            existing = existing.parent
        if not existing.is_dir():
            raise FilesError(f"{existing} is a file, not a folder; choose another one with --out")
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
