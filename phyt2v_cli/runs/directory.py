"""Run directory on disk: create, lock, check against the command, save atomically, resume.

This file knows what is kept and when it may be trusted. It knows no model, no prompt text and no loop.
Whatever is broken is renamed to ``<name>.broken-N`` and reported in `notices`. Nothing is deleted but
temporary files and latents.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock
from pydantic import ValidationError

from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import FilesError, RunDirError
from phyt2v_cli.events import Purpose
from phyt2v_cli.files.aside import first_free, move_aside
from phyt2v_cli.files.atomic import describe_os_error, replace_file
from phyt2v_cli.files.lock import lock_folder
from phyt2v_cli.files.untrusted import refusals_as
from phyt2v_cli.roles import ChatReply
from phyt2v_cli.runs.attempts import installed_versions
from phyt2v_cli.runs.identity import Recipe, run_key
from phyt2v_cli.runs.latents import drop_latents, move_latents
from phyt2v_cli.runs.opening import begin_attempt, check_plan, check_run_folder, find_run
from phyt2v_cli.runs.reader import AnyRecord, is_run_dir, read_record, read_videos
from phyt2v_cli.runs.records import SCHEMA, PlanRecord, RunRecord, VideoRecord
from phyt2v_cli.runs.stored import Record
from phyt2v_cli.runs.verified import IS_LOOK, fault_of
from phyt2v_cli.schedule import PlannedRound
from phyt2v_cli.video_id import CONTROL, RoundId, VideoId

BROKEN = "is empty or broken"
MAX_SHOWN_FAULTS = 20


class RunDir:
    """Run directory of one prompt, locked until it is closed. Use it in a ``with`` statement."""

    path: Path
    record: RunRecord
    notices: list[str]
    """Notes about what was found broken and repaired. The loop takes them out and emits them."""

    def __init__(self, path: Path, lock: FileLock) -> None:
        self.path = path
        self.notices = []
        self._lock = lock

    @classmethod
    def open(
        cls, path: Path, *, prompt: str, config: Config, plan: Sequence[PlannedRound], force: bool = False
    ) -> "RunDir":
        """Create the run at `path`, or resume it, and lock it.

        Raises RunDirError if another process holds the lock (with its pid and host), if `path` is a symlink
        or a foreign folder, if its schema is newer, or if it holds another prompt or config (with the
        differences; a judge that has left nothing in the records may be replaced). In the last two cases, and
        if the run is complete, `force` moves the old run aside to ``<name>.old-N``; it deletes nothing.
        Raises FilesError if the folder cannot be written.
        """
        run = cls._lock_folder(path)
        try:
            found = find_run(path, prompt, config)
            if force and found.must_make_way:
                aside = move_aside(run.path)
                run.close()
                run = cls.open(path, prompt=prompt, config=config, plan=plan)
                run.notices.insert(0, f"the old run was moved aside to {aside}")
                return run
            found.check()
            run.notices += found.notices
            if found.is_broken:
                run._set_record_aside("run.json", BROKEN)
            old = found.record
            record = RunRecord(
                prompt=prompt,
                seed=config.run.seed,
                config=config.model_dump(mode="json"),
                plan=[PlanRecord.of(planned) for planned in plan],
                versions=installed_versions(),
            )
            run.record = record
            old_key = run.key
            if old is not None:
                # The same run, but maybe on another device, with another selection rule or another judge.
                run.record = old.model_copy(update={"config": record.config})
                if not old.replanned:
                    run.record.plan = record.plan
                old_key = run_key(old.prompt, Config.model_validate(old.config))
                begin_attempt(path, run.record, config)
            run._adopt_records(old_key)
            if run.record != old:
                run.save()
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def resume(cls, path: Path) -> "RunDir":
        """Lock the run at `path` and resume it with its own prompt, config and plan.

        Raises RunDirError if there is no run, or if its run.json is missing or broken, and FilesError if the
        folder cannot be used.
        """
        with refusals_as(FilesError, path):
            if not path.is_dir() or not is_run_dir(path):
                raise RunDirError(f"{path} is no run directory", "Name one; `find_runs` lists them.")
        run = cls._lock_folder(path)
        try:
            record = run._read_record("run.json", RunRecord)
            if record is None:
                raise RunDirError(
                    f"{path}: run.json is missing or broken, so the run cannot say what it was",
                    "Begin it again with this folder as `out`, and what remains is used.",
                )
            run.record = record
            check_plan(path, record, run.config)
            before = record.model_copy()
            begin_attempt(path, record, run.config)
            run._adopt_records(run.key)
            if record != before:
                run.save()
        except BaseException:
            run.close()
            raise
        return run

    @property
    def config(self) -> Config:
        """Config of the run, validated; raises RunDirError if this phyt2v does not understand it."""
        try:
            return Config.model_validate(self.record.config)
        except ValidationError as error:
            faults = error.errors()[:MAX_SHOWN_FAULTS]
            lines = [f"  {'.'.join(map(str, fault['loc']))[:100]}: {fault['msg']}" for fault in faults]
            raise RunDirError(
                "\n".join([f"{self.path}: this phyt2v does not understand the run's config", *lines])
            ) from error

    @property
    def key(self) -> str:
        """Digest of prompt and config, which every record of this run has."""
        return run_key(self.record.prompt, self.config)

    # Records

    def save(self) -> None:
        """Save run.json."""
        self._save_record("run.json", self.record)

    def count_reply(self, reply: ChatReply) -> None:
        """Add an LLM reply, usable or not, to the run's usage, and save it."""
        self.record.usage.add(reply, self.config.llm)
        self.save()

    def new_video(
        self,
        id: VideoId,
        *,
        prompt: str,
        steps: int,
        purpose: Purpose,
        seed: int | None = None,
        trajectory_steps: int | None = None,
    ) -> VideoRecord:
        """Make a new record of a video; it is not saved yet. The default of `seed` is the run's."""
        seed = self.config.run.seed if seed is None else seed
        recipe = Recipe(prompt, seed, steps, purpose, self.config.generator, trajectory_steps)
        return VideoRecord(
            id=id,
            prompt=prompt,
            steps=steps,
            trajectory_steps=trajectory_steps,
            purpose=purpose,
            seed=recipe.seed,
            video=id.video_name,
            pixels_key=recipe.pixels_key,
            run_key=self.key,
        )

    def read_video(self, id: VideoId) -> VideoRecord | None:
        """Read a video's record; None if there is none. A broken or outdated record is set aside.

        A record is outdated if the run would make other pixels for it.
        """
        record = self._read_record(id.record_name, VideoRecord)
        if record is not None and (record.id != id or record.pixels_key != self.recipe(record).pixels_key):
            self._set_record_aside(id.record_name, "was made with other settings")
            return None
        return record

    def save_video(self, record: VideoRecord) -> None:
        """Save the record of a video."""
        self._save_record(record.id.record_name, record)

    def go_on(self, record: VideoRecord, planned: PlannedRound) -> None:
        """Make a look the video that its round has planned; it is not saved yet."""
        record.go_on(planned.steps, planned.purpose)
        record.pixels_key = self.recipe(record).pixels_key

    def recipe(self, record: VideoRecord) -> Recipe:
        """Recipe of the pixels that this run would make for a record."""
        return Recipe(
            record.prompt,
            record.seed,
            record.steps,
            record.purpose,
            self.config.generator,
            record.trajectory_steps,
        )

    # Videos

    def video_path(self, record: VideoRecord) -> Path:
        """Path of the record's video."""
        return self.path / record.video

    def latents_path(self, id: VideoId) -> Path:
        """Path of a video's latents, which are kept until it is verified."""
        return self.path / id.latents_name

    @property
    def preview_path(self) -> Path:
        """Path of the preview of the video that is being denoised, which is deleted once that is done."""
        return self.path / "preview.png"

    def trajectory_path(self, id: RoundId) -> Path:
        """Path of what the denoising of a video has computed, for a video that continues it."""
        return self.path / id.trajectory_name

    def keep_trajectory(self, id: VideoId | None, target: RoundId | None = None) -> None:
        """Delete all trajectories but that of a video, and move that; failing is a notice."""
        kept = self.trajectory_path(id) if isinstance(id, RoundId) else None
        try:
            for path in self.path.glob("trajectory*.safetensors"):
                if path != kept:
                    drop_latents(path)
            if kept is not None and target is not None:
                move_latents(kept, self.trajectory_path(target))
        except FilesError as error:
            self.notices.append(error.message)

    def release_latents(self, record: VideoRecord) -> None:
        """Delete the latents of a verified video, or move them to a control with the same pixels.

        If that fails it is a notice: the video does not need them any more.
        """
        wants_control = self.config.refinement.renders_original and isinstance(record.id, RoundId)
        try:
            if wants_control and record.pixels_key == self._control_key():
                move_latents(self.latents_path(record.id), self.latents_path(CONTROL))
            else:
                drop_latents(self.latents_path(record.id))
        except FilesError as error:
            self.notices.append(error.message)

    def has_video(self, record: VideoRecord) -> bool:
        """Check if the record's video is there and verified, as `fault_of`; set a broken one aside."""
        path = self.video_path(record)
        if not os.path.lexists(path):
            if record.sha256 is not None:
                self.notices.append(f"{path.name} is gone and is made again")
            return False
        fault = fault_of(path, record)
        if fault is None:
            return True
        if fault == IS_LOOK:
            path.unlink()
            return False
        self.notices.append(f"{path.name} {fault}; kept as {self._quarantine(path).name} and made again")
        return False

    # Life

    def close(self) -> None:
        """Release the lock."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @classmethod
    def _lock_folder(cls, path: Path) -> "RunDir":
        try:
            check_run_folder(path)
            return cls(path, lock_folder(path))
        except OSError as error:
            raise describe_os_error(error, f"the run directory {path} cannot be used") from error

    def _adopt_records(self, old_key: str) -> None:
        """Update key and schema in the records of videos whose pixels this run would make.

        `old_key` is the key of the run before the command changed settings that pixels do not depend on.
        """
        for record in read_videos(self.path)[0]:
            pixels_key = self.recipe(record).pixels_key
            # phyt2v.run/1 recorded no more than the key of the run
            is_own = record.pixels_key == pixels_key or (not record.pixels_key and record.run_key == old_key)
            update = {"pixels_key": pixels_key, "run_key": self.key}
            if is_own and update != record.model_dump(include=set(update)):
                self.save_video(record.model_copy(update=update))
        self.record.schema_id = SCHEMA

    def _control_key(self) -> str:
        run = self.record
        return self.new_video(
            CONTROL, prompt=run.prompt, steps=run.plan[-1].steps, purpose="final"
        ).pixels_key

    def _read_record(self, name: str, kind: type[AnyRecord]) -> AnyRecord | None:
        try:
            return read_record(self.path / name, kind)
        except ValueError:
            self._set_record_aside(name, BROKEN)
            return None

    def _set_record_aside(self, name: str, fault: str) -> None:
        kept = self._quarantine(self.path / name)
        self.notices.append(f"{name} {fault}; kept as {kept.name} and rebuilt from what remains")

    def _save_record(self, name: str, record: Record) -> None:
        with replace_file(self.path / name) as temporary:
            temporary.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def _quarantine(self, path: Path) -> Path:
        kept = first_free(path, "broken")
        try:
            path.rename(kept)
        except OSError as error:
            raise describe_os_error(error, f"{path} is broken and could not be set aside") from error
        return kept
