"""Wording of the library's errors and notices for the command line, and of paths in commands.

A hint of the library names in backticks what can be done about an error: a keyword argument (`out`), a config
key (`llm.timeout_s`), an assignment (`generator.dtype=float32`) or a function (`find_runs`). Here they become
flags and commands. Anything else in backticks, such as a shell's own command, stays as it is.
"""

import re
import shlex
from pathlib import Path

from phyt2v_cli.cli.options import flag_of
from phyt2v_cli.config.keywords import KEYWORDS
from phyt2v_cli.errors import ConfigError, Phyt2vError

OPTIONS = (
    *(
        "max_seconds",
        "out",
        "force",
        "trust",
        "config",
        "preset",
        "profile",
        "prompt",
        "stop_after",
    ),
    *("prompt_column", "image_column", "where", "limit", "seeds", "shard"),
)
"""Keyword arguments that are options of the commands, besides `KEYWORDS`, which are settings."""

COMMANDS = {
    "refine": "phyt2v refine",
    "generate": "phyt2v generate",
    "run_jobs": "phyt2v batch",
    "calibrate": "phyt2v calibrate",
    "find_runs": "phyt2v runs",
    "resume": "phyt2v refine --resume",
    "extend": "phyt2v extend",
    "rerender": "phyt2v rerender",
    "fetch_model": "phyt2v doctor --fetch",
}
"""Commands by function; an argument of the function is the command's."""


def in_flags(text: str) -> str:
    """Replace what the library names in backticks by flags and commands."""
    return re.sub("`([^`\n]+)`", _reword, text)


def worded(error: Phyt2vError) -> tuple[str, str]:
    """Message and hint of an error, for `console.error` and `console.warn`.

    A message may quote a server or a model, so it is not changed. A ConfigError has a hint in each line of
    its message.
    """
    message = in_flags(error.message) if isinstance(error, ConfigError) else error.message
    return message, in_flags(error.hint)


def _reword(quoted: re.Match[str]) -> str:
    text = quoted[1]
    if _is_option(text):
        return flag_of(text)
    call = re.fullmatch(r'(\w+)(?:\("(.*)"\))?', text)
    if call and (command := COMMANDS.get(call[1])):
        return f"`{command} {call[2]}`" if call[2] else f"`{command}`"
    key, equals, _ = text.partition("=")
    if _is_setting(key):
        return f"--set {text}" if equals else key
    return quoted[0]


def _is_option(name: str) -> bool:
    return name in OPTIONS or name in KEYWORDS


def _is_setting(key: str) -> bool:
    if not re.fullmatch(r"[a-z]+\.\w+", key):
        return False
    from phyt2v_cli.config import layers  # imports pydantic, which few errors need

    return key in layers.KEYS


def path_in_command(path: Path) -> str:
    """Word of a POSIX shell for a path, which no command takes for an option."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)
