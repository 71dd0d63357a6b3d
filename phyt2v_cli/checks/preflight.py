"""Preflight checks, before anything is loaded or written: model folder, disk and output folder.

Knows the config and the file system, and asks `judges.py` about the other roles; loads no model.
"""

import os
import shutil
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from phyt2v_cli.calibration.use import apply_calibration
from phyt2v_cli.checks.judges import check_judges
from phyt2v_cli.checks.notices import find_notices, find_notices_of_run
from phyt2v_cli.config import prompts, questions
from phyt2v_cli.config.layers import LoadedConfig, clamp_steps
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError, FilesError, UsageError
from phyt2v_cli.files.atomic import already_there, describe_os_error
from phyt2v_cli.files.untrusted import refusals_as
from phyt2v_cli.quantities import mebibytes
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.opening import FoundRun, default_run_dir, look_into
from phyt2v_cli.runs.reader import is_complete
from phyt2v_cli.schedule import PlannedRound, final_steps, plan_run, planned_ids, steps_notice

if TYPE_CHECKING:
    from phyt2v_cli.backends.diffusion.families.family import Family
    from phyt2v_cli.config.generator import DraftCache, GeneratorConfig

_BYTES_PER_PIXEL = 0.5
"""Upper bound for near-lossless H.264 of noisy frames, latents included."""

_UNKNOWN_SIZE = (81, 720, 1280)
_MAX_NAME_BYTES = 200
"""Limit of a video's file name: file systems take 255, and latents and temporary files beside it have longer
names."""

_SPARE_BYTES = 4 * 2**20
"""Reserve for records, a contact sheet and the file system itself."""


def obstacle_to_looks(generator: "GeneratorConfig") -> str | None:
    """Name what cannot stop half-way in a denoising and resume; None if nothing is known to be in the way."""
    if generator.backend == "server":
        return "a video server"
    return "a model that begins with a video" if generator.video else None


def check_model(config: Config) -> None:
    """Check the model by its json files, before anything is loaded or written. A server is not asked.

    Raises ModelLoadError if its folder is missing, incomplete or unsafe. Raises ConfigError if its family
    cannot make the frames or sizes or does not take a setting, and if further weights or the device are not
    there.
    """
    goes_on = config.search.look_share is not None or config.schedule.share_trajectory
    if goes_on and (obstacle := obstacle_to_looks(config.generator)):
        raise ConfigError(
            f"search.look_at, schedule.share_trajectory: {obstacle} cannot resume a denoising",
            "Leave both out.",
        )
    if config.generator.backend == "server":
        from phyt2v_cli.backends.server import video_requests

        video_requests.check(config.generator)
        return
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
    if _only_the_loader_can_tell(family, config):
        from phyt2v_cli.backends.diffusion.checked import check

        check(config.generator)


def _only_the_loader_can_tell(family: "Family", config: Config) -> bool:
    """Whether torch and diffusers have to be asked, whose import takes seconds."""
    generator = config.generator
    extras = (generator.lora, generator.lora_2, generator.gguf, generator.gguf_2)
    on_any_machine = generator.device != "cuda" and generator.gpus == 1
    is_plain = on_any_machine and generator.quantize == "off" and not any(extras)
    return not (family.is_listed and is_plain)


def complete(loaded: LoadedConfig) -> LoadedConfig:
    """Complete the config with what only the model's and the user's files can tell.

    That is the published steps of the model's family, if neither a preset nor the user set any (a server's
    family is not known), and the digest of the image or video that the run begins with. Raises ModelLoadError
    if the model has to be read and is not there, and ConfigError if the image or video cannot be read.
    """
    from phyt2v_cli.backends.diffusion import conditioning

    is_set = loaded.config.schedule.steps is not None or loaded.is_given("schedule.max_steps")
    is_here = loaded.config.generator.backend != "server"
    if loaded.preset is None and not is_set and is_here:
        steps = _steps_of(_family(loaded.config))
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


def complete_judges(loaded: LoadedConfig) -> LoadedConfig:
    """Complete the config with the digests of the texts that judges are asked with.

    Raises ConfigError if one of their files cannot be used.
    """
    config = loaded.config
    update = {
        "prompts": prompts.with_digests(config.prompts),
        "scorer": questions.with_sheet_digests(config.scorer),
    }
    return loaded._replace(config=config.model_copy(update=update))


def draft_caches(config: Config) -> "tuple[DraftCache, ...]":
    """Feature caches that work on the model; none on a server, or if two GPUs share each video."""
    if config.generator.backend == "server" or config.generator.gpus != 1:
        return ()
    return cast("tuple[DraftCache, ...]", _family(config).draft_caches)


def _family(config: Config) -> "Family":
    from phyt2v_cli.backends.checkpoints.diffusers_folder import find_model
    from phyt2v_cli.backends.diffusion.families.table import family_of

    folder = find_model(config.generator.model, config.generator.revision)
    return family_of(folder.pipeline_class, folder.component_configs)


def _steps_of(family: "Family") -> int:
    if family.is_listed:
        return family.num_inference_steps
    from phyt2v_cli.backends.diffusion.signature import steps_of

    return steps_of(family)


@dataclass(frozen=True)
class PreparedRun:
    """Run that passed every check that is possible before a model is loaded."""

    prompt: str
    path: Path
    config: Config
    planned: tuple[PlannedRound, ...]
    found: FoundRun
    """What exists of it already."""
    needed_bytes: int
    """Estimate of the disk space that it takes at most."""
    notices: tuple[str, ...]
    """Notes about settings that were changed, or that have no effect."""
    force: bool

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to do but to return the result."""
        return self.found.is_complete and not self.force

    def open(self) -> RunDir:
        """Create the run, or resume it, and lock it; raises as `RunDir.open` does."""
        return RunDir.open(
            self.path, prompt=self.prompt, config=self.config, plan=self.planned, force=self.force
        )


def prepare_run(
    prompt: str,
    loaded: LoadedConfig,
    *,
    out: Path | None = None,
    force: bool = False,
    given: Collection[str] = (),
    chooses_cache: bool = True,
) -> PreparedRun:
    """Prepare a run: check what it needs, without loading or writing anything.

    `out` is its folder; the default is named after the prompt. `given` names the roles that are given as
    objects. Without `chooses_cache` no calibration chooses the draft cache, as for a generator that is there
    already. Raises what the run itself would: ConfigError, ModelLoadError, RunDirError, FilesError.
    """
    # A complete run only returns its result. The folder of a run with an image, or without a preset, is not
    # known yet, so its keys are checked in any case.
    is_done = is_complete(out or default_run_dir(prompt, loaded.config), loaded.config.refinement)
    check_judges(loaded.config, will_ask=force or not is_done, given=given)
    loaded = complete_judges(loaded)
    if "generator" not in given:
        loaded = complete(loaded)
    loaded = apply_calibration(loaded, chooses_cache=chooses_cache)
    config = loaded.config
    planned = plan_run(config)
    path = out or default_run_dir(prompt, config)
    ids = planned_ids(config.refinement, planned)
    needed = needed_bytes(config, len(ids))
    found = look_into(path, prompt, config)
    found.check(force=force)
    is_new = (force and found.must_make_way) or not (path / "run.json").exists()
    # A run that has all of its videos needs no model any more.
    is_to_render = is_new or (
        not found.is_complete and any(not (path / id.video_name).exists() for id in ids)
    )
    if is_to_render and "generator" not in given:
        check_model(config)
    if is_new:
        check_disk(path, needed)
    changed = steps_notice(loaded)
    notices = loaded.notices if changed is None else (*loaded.notices, changed)
    if "generator" not in given:
        notices += find_notices_of_run(config, planned)
    return PreparedRun(prompt, path, config, planned, found, needed, notices, force)


@dataclass(frozen=True)
class PreparedVideo:
    """Single video that passed every check that is possible before a model is loaded."""

    prompt: str
    out: Path
    config: Config
    steps: int
    needed_bytes: int
    force: bool
    """Whether a file at `out` is replaced."""
    notices: tuple[str, ...]


def prepare_video(
    prompt: str,
    loaded: LoadedConfig,
    *,
    out: Path,
    steps: int | None = None,
    force: bool = False,
    given: Collection[str] = (),
) -> PreparedVideo:
    """Prepare a single video, as `prepare_run` does. The default of `steps` is that of the schedule's final.

    Raises UsageError, FilesError, ConfigError and ModelLoadError.
    """
    check_video_path(out, force=force)
    if "generator" not in given:
        loaded = complete(loaded)
        check_model(loaded.config)
    config = loaded.config
    needed = needed_bytes(config, 1)
    check_disk(out.parent, needed)
    steps = steps or final_steps(config.schedule)
    final = PlannedRound(1, steps, "final")
    notices = () if "generator" in given else find_notices(config.generator, [final])
    return PreparedVideo(prompt, out, config, steps, needed, force, loaded.notices + notices)


def needed_bytes(config: Config, num_videos: int) -> int:
    """Estimate of the disk space that the videos of a run take at most, in bytes."""
    wanted = (config.generator.num_frames, config.generator.height, config.generator.width)
    frames, height, width = (value or assumed for value, assumed in zip(wanted, _UNKNOWN_SIZE, strict=True))
    return _SPARE_BYTES + int(num_videos * frames * height * width * _BYTES_PER_PIXEL)


def check_video_path(out: Path, *, force: bool) -> None:
    """Check the path of an mp4: UsageError for another ending, FilesError if no file can be made there.

    An existing file is an error unless `force` replaces it.
    """
    if out.suffix.lower() != ".mp4":
        raise UsageError(f"{out}: the video is an mp4", "Give a name that ends in .mp4 with `out`.")
    if len(os.fsencode(out.name)) > _MAX_NAME_BYTES:
        raise FilesError(
            f"the name of the video file is longer than {_MAX_NAME_BYTES} bytes",
            "Give a shorter one with `out`.",
        )
    with refusals_as(FilesError, out):
        if out.is_dir():
            raise FilesError(f"{out} is a folder", "Give the name of a file with `out`.")
        if os.path.lexists(out) and not force:  # also a link to nothing, which is not written through
            raise already_there(out)
        if not out.parent.is_dir():
            raise FilesError(
                f"there is no folder {out.parent}", "Create it, or choose another one with `out`."
            )


def check_disk(folder: Path, needed: int) -> None:
    """Check that `folder` (or the parent it will be created in) is writable and has `needed` bytes free.

    Raises FilesError if not.
    """
    existing = folder
    try:
        existing = folder.absolute()
        while not existing.exists():
            existing = existing.parent
        if not existing.is_dir():
            raise FilesError(f"{existing} is a file, not a folder", "Choose another folder with `out`.")
        free = shutil.disk_usage(existing).free
        if free < needed:
            raise FilesError(
                f"{folder}: about {mebibytes(needed)} are needed and {mebibytes(free)} are free",
                "Free some space, or choose another disk with `out`.",
            )
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise describe_os_error(error, f"the folder {existing} cannot be written to") from error
