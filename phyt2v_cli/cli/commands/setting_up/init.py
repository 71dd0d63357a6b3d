"""`phyt2v init`: a commented file of settings, after at most three questions."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from phyt2v_cli.cli import console, options
from phyt2v_cli.config.files import PROJECT_FILE
from phyt2v_cli.errors import FilesError, UsageError

EXAMPLES = """
[bold]Examples[/]

phyt2v init

phyt2v init --preset wan2.1-1.3b --server http://localhost:8000/v1 --judge-model Qwen/Qwen2.5-VL-7B-Instruct

phyt2v init --user --yes
"""

_TEMPLATE = """\
# Settings of phyt2v{scope}.
# Later ones win: defaults, preset, the user's file, phyt2v.toml, --config, PHYT2V_… variables, flags.
# `phyt2v config show --changed` shows what they come to, `phyt2v config schema` what else can be set.

# Model, sizes, steps and judges to begin with; `phyt2v config presets` lists them.
preset = {preset}

[schedule]
# How the denoising steps rise over the rounds: linear, constant, cosine, geometric or final-only.
# kind = {kind}
# min_steps = {min_steps}
# max_steps = {max_steps}

[refinement]
# Number of refinements; a run has one video more.
# rounds = {rounds}
# The result: "last", or "best" by the scorer.
# select = {select}

[run]
# seed = {seed}
"""
_JUDGE = """
[{role}]
base_url = {url}
model = {model}
"""
_JUDGES_OF_PRESET = """
# The judges are the preset's. A server that speaks OpenAI's protocol can take their place, role by role:
# [scorer]
# base_url = "http://localhost:8000/v1"
# model = "the name that the server knows"
"""
_JUDGES = """
# LLM, captioner and scorer: a server that speaks OpenAI's protocol, with a model that takes pictures. The key
# is that of ${key_variable}, which is never written here.
"""


def init(
    preset: options.Preset = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="URL",
            help="A server that judges, such as http://localhost:8000/v1. (default: the preset's judges)",
            show_default=False,
        ),
    ] = None,
    judge_model: Annotated[
        str | None,
        typer.Option(
            "--judge-model",
            metavar="NAME",
            help="With --server: the model there. It must take pictures.",
            show_default=False,
        ),
    ] = None,
    user: Annotated[
        bool,
        typer.Option("--user", help="Write the file of this user, for all projects.", metavar=""),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing; take the defaults.", metavar="")
    ] = False,
    force: options.Force = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    no_color: options.NoColor = False,
) -> None:
    """Write phyt2v.toml into the current folder, with comments; its path is printed on stdout.

    Off a terminal, with --yes, --json or --quiet, or if an option says what to write, nothing is asked.
    """
    console.configure(quiet=quiet, no_color=no_color)
    path = _path(user=user)
    if os.path.lexists(path) and not force:
        raise FilesError(f"{path} is there already", "Change it, or move it aside with `force`.")
    is_said = yes or as_json or console.is_quiet() or any((preset, server, judge_model))
    if not is_said and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty():
        preset = _ask("Preset: the model, see `phyt2v config presets`", "tiny")
        server = _ask("URL of a server that judges, such as http://localhost:8000/v1", "the preset's judges")
        judge_model = server and _ask("Name of the model there; it must take pictures", None)
    preset = preset or "tiny"
    if (server is None) != (judge_model is None):
        raise UsageError("--server and --judge-model go together")
    _write(path, _text(preset, server, judge_model, user=user), user=user, force=force)
    if as_json:
        shown = {"path": str(path), "preset": preset, "server": server, "judge_model": judge_model}
        console.json_object({"schema": "phyt2v.init/1", **shown})
    else:
        console.data(str(path))


def _path(*, user: bool) -> Path:
    from phyt2v_cli.config.files import find_user_file

    path = find_user_file() if user else Path(PROJECT_FILE).absolute()
    if path is None:
        raise FilesError("this user has no home, so there is no place for a user file", "Leave out --user.")
    return path


def _ask(question: str, default: str | None) -> str | None:
    """Ask for a line; None if it is empty."""
    console.say(question + ("" if default is None else f" ({default})") + ":")
    return sys.stdin.readline().strip() or None


def _text(preset: str, server: str | None, judge_model: str | None, *, user: bool) -> str:
    """Content of the file: what is chosen, and the preset's values of what is often set, as comments."""
    from phyt2v_cli.config.layers import load_config

    config = load_config(preset=preset, environment={}).config
    values = {**config.schedule.model_dump(), **config.refinement.model_dump(), **config.run.model_dump()}
    scope = " for all projects of this user" if user else " for this folder and those below it"
    quoted = {name: _as_toml(value) for name, value in {**values, "preset": preset}.items()}
    text = _TEMPLATE.format(scope=scope, **quoted)
    if server is None:
        return text + _JUDGES_OF_PRESET
    judge = {"url": _as_toml(server), "model": _as_toml(judge_model)}
    roles = ("llm", "captioner", "scorer")
    judges = _JUDGES.format(key_variable=config.scorer.api_key_env)
    return text + judges + "".join(_JUDGE.format(role=role, **judge) for role in roles)


def _as_toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write(path: Path, text: str, *, user: bool, force: bool) -> None:
    """Write the file if phyt2v can load it; with `force`, one that is in the way is moved aside."""
    from phyt2v_cli.config.files import read_toml, refuse_reaches
    from phyt2v_cli.config.layers import load_config
    from phyt2v_cli.files.aside import move_aside
    from phyt2v_cli.files.atomic import describe_os_error, replace_file

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise describe_os_error(error, f"{path.parent} cannot be made") from error
    with replace_file(path, must_be_new=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
        layer = read_toml(temporary, path.name)
        if not user:
            refuse_reaches(layer)
        load_config(found=[layer], environment={})
        if force and os.path.lexists(path):
            console.say(f"The file that was there is now {move_aside(path)}.")
