"""Folder of a study: locked, its videos and records kept, so that a second start resumes.

A video counts once its record is there; a kill loses the one that was being made. Whatever is broken is
renamed to ``<name>.old-N``. Knows records; renders and judges nothing.
"""

from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal, Self, TypeVar

from filelock import FileLock
from pydantic import Field, JsonValue

from phyt2v_cli.calibration.figures import Judged, Setting
from phyt2v_cli.calibration.record import CalibrationRecord, Settings
from phyt2v_cli.calibration.use import Subject
from phyt2v_cli.config.generator import DraftCache
from phyt2v_cli.config.judges import MAX_SCORERS
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import RunDirError
from phyt2v_cli.files.aside import move_aside
from phyt2v_cli.files.atomic import describe_os_error, replace_file
from phyt2v_cli.files.lock import check_folder, check_lock, lock_folder
from phyt2v_cli.files.untrusted import read_plain_file
from phyt2v_cli.files.video import sha256_of
from phyt2v_cli.runs.identity import judge_settings, run_key, slugify
from phyt2v_cli.runs.records import MAX_RECORD_BYTES, ScorerRecord
from phyt2v_cli.runs.stored import Few, NumSteps, Record, Seed, Text, UsedPrompt

RESULT, PICTURE = "calibration.json", "calibration.png"
_AnyRecord = TypeVar("_AnyRecord", bound=Record)
_STUDY, _PROMPTS, _LOCK = "study.json", "prompts.json", ".phyt2v-calibration.lock"


class StudyRecord(Record):
    """Content of study.json: what all videos of the folder have in common."""

    schema_id: Literal["phyt2v.calibration-study/1"] = Field(
        default="phyt2v.calibration-study/1", alias="schema"
    )
    generator: Settings
    scorer: Settings
    other_scorers: Annotated[list[Settings], Field(max_length=MAX_SCORERS)] = Field(default_factory=list)
    final_steps: NumSteps


class PromptsRecord(Record):
    """Content of prompts.json: a prompt and its rewrites."""

    schema_id: Literal["phyt2v.calibration-prompts/1"] = Field(
        default="phyt2v.calibration-prompts/1", alias="schema"
    )
    prompt: UsedPrompt
    rewrites: Annotated[list[UsedPrompt], Few] = Field(default_factory=list)
    is_exhausted: bool = False
    """Whether the LLM had no further one."""


class StudyVideo(Record):
    """Record of one video."""

    schema_id: Literal["phyt2v.calibration-video/1"] = Field(
        default="phyt2v.calibration-video/1", alias="schema"
    )
    rewrite: Annotated[int, Field(ge=0, le=1000)]
    seed: Seed
    steps: NumSteps
    cache: DraftCache | None = None
    is_final: bool
    is_look: bool = False
    pixels_key: Text
    sha256: str | None = None
    """Checksum of the video; None if it has no picture."""
    fault: Text | None = None
    """Why there is no picture."""
    seconds: Annotated[float, Field(ge=0, le=1e9)] | None = None
    """Seconds of denoising, on a CPU of processor time; None if its latents were left by an earlier start."""
    scorers: dict[Text, Annotated[list[ScorerRecord], Field(max_length=2)]] = Field(
        default_factory=dict, max_length=MAX_SCORERS
    )
    """Judgings by the name of the judge."""

    @property
    def setting(self) -> Setting:
        """Setting that it was rendered with."""
        return Setting(self.steps, self.cache, self.is_final, self.is_look)

    def judged(self, request: str) -> Judged:
        """The same for the figures."""
        return Judged(
            request,
            self.rewrite,
            self.seed,
            self.setting,
            {name: judgings[0].to_scores() for name, judgings in self.scorers.items() if judgings},
            {name: judgings[1].to_scores() for name, judgings in self.scorers.items() if judgings[1:]},
            self.seconds,
        )


def default_study_dir(source: str, config: Config) -> Path:
    """Default folder of a study: ``calibrations/<name>-<8 hex digits>``, with digits from the config."""
    name = "stdin" if source == "-" else Path(source).stem
    return Path("calibrations") / f"{slugify(name)}-{run_key('', config)[:8]}"


def check_study_dir(path: Path) -> None:
    """Check if a study could be in `path`, which is neither made nor changed; see `StudyDir.open`.

    Whether the videos of a study that is there fit the config is not checked.
    """
    _check_contents(path)
    check_lock(path, _LOCK)


def _check_contents(path: Path) -> None:
    check_folder(path)
    if path.is_dir() and any(path.iterdir()) and not (path / _LOCK).exists():
        raise RunDirError(f"{path} holds something else", "Choose another folder with `out`.")


class StudyDir:
    """Folder of a study, locked until it is closed. Use it in a ``with`` statement."""

    def __init__(self, path: Path, lock: FileLock) -> None:
        self.path = path
        self.notices: list[str] = []
        """Notes about what was found broken."""
        self._lock = lock

    @classmethod
    def open(cls, path: Path, config: Config) -> "StudyDir":
        """Create the folder, or resume it, and lock it.

        Raises RunDirError if another process holds the lock, if it is a link or holds something else, or if
        its videos are of another model, size or judge; FilesError if it cannot be written.
        """
        _check_contents(path)
        study = cls(path, lock_folder(path, _LOCK))
        try:
            study._check_subject(config)
        except BaseException:
            study.close()
            raise
        return study

    def folder_of(self, request: str) -> Path:
        """Folder of a prompt, which is created."""
        folder = self.path / request
        check_folder(folder)
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise describe_os_error(error, f"the folder {folder} cannot be created") from error
        return folder

    def video_path(self, request: str, pixels_key: str) -> Path:
        """Path of a video."""
        return self.folder_of(request) / f"{pixels_key}.mp4"

    def latents_path(self, request: str, pixels_key: str) -> Path:
        """Path of a video's latents, which are kept until it is recorded."""
        return self.folder_of(request) / f"{pixels_key}.latents.safetensors"

    def read_prompts(self, request: str, prompt: str) -> PromptsRecord:
        """Read a prompt's record; a new one if there is none."""
        found = self._read(self.folder_of(request) / _PROMPTS, PromptsRecord)
        return found if found is not None and found.prompt == prompt else PromptsRecord(prompt=prompt)

    def save_prompts(self, request: str, record: PromptsRecord) -> None:
        """Save a prompt's record."""
        _save(self.folder_of(request) / _PROMPTS, record)

    def read_video(self, request: str, pixels_key: str) -> StudyVideo | None:
        """Read a video's record; None if there is none that can be used."""
        record = self._read(self.folder_of(request) / f"{pixels_key}.json", StudyVideo)
        # A record from somebody else may name another file, to be written over.
        return record if record is not None and record.pixels_key == pixels_key else None

    def save_video(self, request: str, record: StudyVideo) -> None:
        """Save a video's record."""
        _save(self.folder_of(request) / f"{record.pixels_key}.json", record)

    def has_video(self, request: str, record: StudyVideo) -> bool:
        """Check if a recorded video is there and is the one that was recorded."""
        path = self.video_path(request, record.pixels_key)
        return path.is_file() and sha256_of(path) == record.sha256

    def save_result(self, record: CalibrationRecord) -> Path:
        """Write calibration.json, and return its path."""
        _save(self.path / RESULT, record)
        return self.path / RESULT

    def close(self) -> None:
        """Release the lock."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_subject(self, config: Config) -> None:
        subject = Subject.of(config)
        others: list[dict[str, JsonValue]] = [judge_settings(other) for other in config.scorer.others]
        wanted = StudyRecord(
            generator=dict(subject.generator),
            scorer=dict(subject.scorer),
            other_scorers=others,
            final_steps=subject.final_steps,
        )
        found = self._read(self.path / _STUDY, StudyRecord)
        if found is None:
            if any(self.path.glob(f"*/{_PROMPTS}")):
                raise RunDirError(
                    f"{self.path}: {_STUDY} is missing or broken, so its videos may be of anything",
                    "Choose another folder with `out`.",
                )
            _save(self.path / _STUDY, wanted)
            return
        lines = subject.differences(Subject(found.generator, found.scorer, found.final_steps))
        if others != found.other_scorers:
            lines.append("scorer.others: other judges")
        if lines:
            raise RunDirError(
                "\n  ".join([f"{self.path} holds a calibration with other settings:", *lines]),
                "Choose another folder with `out`.",
            )

    def _read(self, path: Path, kind: type[_AnyRecord]) -> _AnyRecord | None:
        try:
            return kind.model_validate_json(read_plain_file(path, MAX_RECORD_BYTES))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise describe_os_error(error, f"{path} could not be read") from error
        except ValueError:
            aside = move_aside(path)
            self.notices.append(f"{path.name} is empty or broken; kept as {aside.name} and made again")
            return None


def _save(path: Path, record: Record) -> None:
    with replace_file(path) as temporary:
        temporary.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
