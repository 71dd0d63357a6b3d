"""Opening of a run to resume it: its own config, which may be somebody else's, is checked first."""

from collections.abc import Mapping
from pathlib import Path

from phyt2v_cli.checks.given import check_objects
from phyt2v_cli.checks.judges import check_judges
from phyt2v_cli.config.trust import list_reaches
from phyt2v_cli.errors import RunDirError
from phyt2v_cli.runs.directory import RunDir


def open_run(path: Path, *, trust: bool, given: Mapping[str, object] | None = None) -> RunDir:
    """Lock the run at `path`, to resume it with its own prompt and config.

    `given` are the roles that are objects, which must be those of the run. Raises RunDirError if they are
    not, if there is no run, if another process works on it, or if its config would start programs or reach
    servers without `trust`; and ConfigError if a judge cannot be used.
    """
    given = given or {}
    run = RunDir.resume(path)
    try:
        reaches = [] if trust else list_reaches(run.config)
        if reaches:
            raise RunDirError(
                "\n  ".join([f"the config in {path} reaches out of this machine's files:", *reaches]),
                "If that is yours, say so with `trust`, or repeat the run's own command.",
            )
        check_objects(path, run.config, given)
        check_judges(run.config, will_ask=run.record.status != "complete", given=given.keys())
    except BaseException:
        run.close()
        raise
    return run
