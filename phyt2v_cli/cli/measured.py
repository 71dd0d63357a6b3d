"""How fast this machine renders, from the runs it has done: the one place that estimates of time come from.

Reads records; loads no model and prints nothing.
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from phyt2v_cli.records import RoundRecord, RunRecord
from phyt2v_cli.settings import GeneratorConfig

_WHAT_SETS_THE_SPEED = ("model", "num_frames", "height", "width", "dtype", "device")
_MAX_RUNS = 50


def seconds_per_step(generator: GeneratorConfig, runs_dir: Path) -> float | None:
    """Return the seconds of one denoising step in the newest run like this, or None where there is none.

    Settings from files are not trusted: a run that cannot be read is passed over.
    """
    wanted = generator.model_dump(mode="json", include=set(_WHAT_SETS_THE_SPEED))
    for path in _newest_first(runs_dir):
        try:
            config = RunRecord.model_validate_json(path.read_bytes()).config.get("generator")
            if not isinstance(config, dict) or any(config.get(key) != wanted[key] for key in wanted):
                continue
            rounds = [
                RoundRecord.model_validate_json(record.read_bytes())
                for record in path.parent.glob("round*.json")
            ]
        except (OSError, ValidationError):
            continue
        timed = [
            (record.seconds["denoise"], record.steps) for record in rounds if "denoise" in record.seconds
        ]
        if timed:
            return sum(seconds for seconds, _ in timed) / sum(steps for _, steps in timed)
    return None


def _newest_first(runs_dir: Path) -> Iterator[Path]:
    found = []
    for path in runs_dir.glob("*/run.json"):
        try:
            found.append((path.stat().st_mtime, path))
        except OSError:
            continue
    yield from (path for _, path in sorted(found, reverse=True)[:_MAX_RUNS])
