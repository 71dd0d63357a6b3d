"""The run directory on disk: created, locked, checked against the command, saved atomically, resumed.

This file knows what is kept and when it may be trusted. It knows no model, no prompt text and no loop.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from phyt2v_cli.config import Config
from phyt2v_cli.records import RunRecord
from phyt2v_cli.schedule import PlannedRound


def default_run_dir(prompt: str, config: Config) -> Path:
    """Return ``runs/<slug>-<8 hex digits>``: the same prompt and the same pixels always mean the same run."""
    raise NotImplementedError


class RunDir:
    """One prompt's directory, held under a lock until it is closed; use it in a ``with`` statement."""

    path: Path
    record: RunRecord
    notices: tuple[str, ...]
    """What was found broken and repaired while opening; the loop emits them as `Notice` first."""

    @classmethod
    def open(
        cls, path: Path, *, prompt: str, config: Config, plan: Sequence[PlannedRound], force: bool = False
    ) -> "RunDir":
        """Create the run at `path`, or go on with it, and lock it.

        Raises RunDirError where another process holds it (naming pid and host), where it is a symlink or a
        foreign folder, where its schema is newer, and where it holds another prompt or config (listing the
        differences). `force` answers the last two, and a complete run, by moving the old run aside to
        ``<name>.old-N``; it deletes nothing. Raises FilesError where the folder cannot be written.
        """
        raise NotImplementedError

    @classmethod
    def resume(cls, path: Path) -> "RunDir":
        """Lock the run at `path` and go on with the prompt, config and plan that it holds.

        Raises RunDirError where there is no run, or none that says what it was.
        """
        raise NotImplementedError

    @property
    def config(self) -> Config:
        """The run's config, as it was validated when the run was made."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the lock."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
