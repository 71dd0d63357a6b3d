"""Command that begins a run like a recorded one, and the settings that it has to name. Knows records."""

import json
import shlex
from collections.abc import Iterator, Mapping

from phyt2v_cli.config.layers import load_config
from phyt2v_cli.config.schema import OBJECT, SERVER_BACKENDS
from phyt2v_cli.runs.reader import ShownRun
from phyt2v_cli.runs.records import RunRecord

FILLED_IN = ("search.calibration_sha256", "generator.source_sha256", "prompts.sha256")
"""Settings that a run fills in by itself."""
MODEL = "generator.model"
REACHING = ("command", "base_url", "api_key_env")
"""Names of settings that start programs or reach servers: a run may be anybody's, and commands are copied."""


def settings_named(record: RunRecord) -> dict[str, object]:
    """Settings of a run that are not the defaults, by key; those that a run fills in are left out.

    Another model than the default has other defaults, and is itself among the settings.
    """
    recorded, plain = _flat(record.config), load_config(environment={}).config
    model = recorded.get(MODEL, plain.generator.model)
    if model == plain.generator.model:
        named, defaults = {}, plain
    else:
        named = {MODEL: model}
        defaults = load_config(environment={}, assignments=[f"{MODEL}={model}"]).config
    usual = _flat(defaults.model_dump(mode="json"))
    return named | {
        key: value
        for key, value in recorded.items()
        if key in usual and value != usual[key] and key not in FILLED_IN
    }


def command_of(record: RunRecord) -> str:
    """Command line for a POSIX shell, without settings that reach out, further scorers and Python objects.

    It leaves out the files with settings of whoever runs it, since it names what differs from the defaults.
    """
    words = ["phyt2v", "--isolated", "refine", "--prompt", record.prompt]
    of_objects = {f"{role}.{name}" for role in _objects_of(record) for name in ("model", "backend")}
    for key, value in settings_named(record).items():
        if key not in of_objects and key.rpartition(".")[2] not in (*REACHING, "others"):
            words += ["--set", f"{key}={_as_text(value)}"]
    return shlex.join(words)


def missing_from_command(run: ShownRun) -> Iterator[str]:
    """Sentences on what else made the run, which `command_of` does not repeat."""
    if objects := _objects_of(run.record):
        yield f"The roles that were Python objects have their defaults here: {', '.join(objects)}."
    if run.record.extended_after:
        yield f"The run was extended: phyt2v extend RUN --rounds {len(run.record.plan) - 1}"
    if any(video.review == "edited" for video in run.videos):
        yield "Prompts that were written by hand are not in it."


def _objects_of(record: RunRecord) -> list[str]:
    sections = {role: record.config.get(role) for role in SERVER_BACKENDS}
    models = {role: of.get("model") for role, of in sections.items() if isinstance(of, Mapping)}
    return [role for role, model in models.items() if str(model).startswith(OBJECT)]


def _as_text(value: object) -> str:
    """Value as `--set` reads it."""
    if value is None:
        return "none"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)


def _flat(config: Mapping[str, object]) -> dict[str, object]:
    """Values by their key, as in ``schedule.max_steps``."""
    return {
        f"{section}.{name}": value
        for section, values in config.items()
        if isinstance(values, Mapping)
        for name, value in values.items()
    }
