"""History of sets and runs: those below a folder, how far each set is, and both by name. Read-only."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from phyt2v_cli.errors import FilesError
from phyt2v_cli.runs.history.names import FOLDERS, is_run, resolve
from phyt2v_cli.runs.reader import find_runs, read_run_record
from phyt2v_cli.sets.manifest import has_manifest, read_manifests
from phyt2v_cli.sets.prompt_set import PromptEntry


@dataclass(frozen=True)
class ShownSet:
    """Set of prompts, and how far its runs are."""

    path: Path
    entries: tuple[PromptEntry, ...]
    statuses: Mapping[str, int]
    """Number of runs by their status; those that have not begun are ``not_begun``."""
    last_start: str = ""
    """Latest start of one of its runs, as `Timestamp`; "" if none is known."""
    model: str = ""

    @property
    def status(self) -> str:
        """Status of the set as a whole: ``running``, ``failed``, ``complete`` or ``interrupted``."""
        for status in ("running", "failed"):
            if self.statuses.get(status):
                return status
        return "complete" if set(self.statuses) == {"complete"} else "interrupted"


def find_sets_and_runs(folder: Path) -> tuple[list[Path], list[Path]]:
    """Find the sets below `folder`, and the runs that are in none of them, sorted by name.

    In a set's own folder its runs are found. A set without a run is not. Raises FilesError if `folder`
    cannot be listed.
    """
    sets: dict[Path, bool] = {folder: False}
    runs = []
    for path in find_runs(folder):
        if path.parent not in sets:
            sets[path.parent] = has_manifest(path.parent)
        if not sets[path.parent]:
            runs.append(path)
    return [path for path, is_set in sets.items() if is_set], runs


def read_set(path: Path) -> ShownSet:
    """Read how far a set is; raise FilesError if it has no manifest that can be read."""
    entries = read_manifests(path)
    statuses: Counter[str] = Counter()
    last_start, model = "", ""
    for entry in entries:
        run_path = path / entry.folder
        if not is_run(run_path):
            statuses["not_begun"] += 1
            continue
        try:
            record = read_run_record(run_path)
        except FilesError:
            statuses["unreadable"] += 1
            continue
        statuses[record.status] += 1
        model = model or model_name(record.config)
        if record.attempts:
            last_start = max(last_start, record.attempts[-1].started)
    return ShownSet(path, entries, statuses, last_start, model)


def model_name(config: Mapping[str, object]) -> str:
    """Name of the model that a run's config has for its generator; "" if it has none."""
    generator = config.get("generator")
    model = generator.get("model") if isinstance(generator, Mapping) else None
    return model if isinstance(model, str) else ""


def run_or_set_by_name(name: Path) -> Path:
    """Path of a run or of a set by its path, or by its name or the beginning of it, as `run_by_name`."""
    return resolve(name, FOLDERS, lambda path: is_run(path) or has_manifest(path))
