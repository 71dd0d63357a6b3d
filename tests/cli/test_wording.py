"""What the library says, in the words of the command line."""

import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from phyt2v_cli.cli.app import app
from phyt2v_cli.cli.options import flag_of
from phyt2v_cli.cli.wording import COMMANDS, OPTIONS, in_flags, path_in_command, worded
from phyt2v_cli.config.keywords import KEYWORDS
from phyt2v_cli.errors import BackendError, ConfigError


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Choose another folder with `out`.", "Choose another folder with --out."),
        ("Give `out`, or `force` and `allow_truncation`.", "Give --out, or --force and --allow-truncation."),
        ("Name one with `image`, not `config`.", "Name one with --image, not --config."),
        ("Use `generator.dtype=float32`.", "Use --set generator.dtype=float32."),
        ("Raise `llm.timeout_s`.", "Raise llm.timeout_s."),
        ("Complete it first, with `resume`.", "Complete it first, with `phyt2v refine --resume`."),
        ("Name one; `find_runs` lists them.", "Name one; `phyt2v runs` lists them."),
        ('Get it with `fetch_model("their/model")`.', "Get it with `phyt2v doctor --fetch their/model`."),
    ],
)
def test_settings_become_flags_and_functions_commands(said: str, shown: str) -> None:
    assert in_flags(said) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Log in with `hf auth login`, or `chmod +x` it; `phyt2v runs` lists them.",
        "out, force and generator.dtype=float32 are words here",
        "`run.json` and `llm.temper=1` are no settings, and `output` and `fetch` no names of ours",
        "one ` alone, and `out\nput`",
        "``",
    ],
)
def test_anything_else_stays_as_it_is(text: str) -> None:
    assert in_flags(text) == text


def test_a_message_may_quote_a_server_and_is_not_touched() -> None:
    error = BackendError("The LLM rejects the request (400: unknown parameter `model`).", "Mend `model`.")
    assert worded(error) == (error.message, "Mend --model.")


def test_the_lines_of_a_config_error_are_hints_too() -> None:
    error = ConfigError("generator.image: it needs one; name it with `image`")
    assert worded(error) == ("generator.image: it needs one; name it with --image", "")


def test_every_flag_and_command_is_there() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]  # it is a group
    flags = {flag for command in commands.values() for option in command.params for flag in option.opts}
    assert {flag_of(name) for name in (*OPTIONS, *KEYWORDS)} <= flags
    for command in COMMANDS.values():
        _, name, *options = command.split()
        assert name in commands
        assert set(options) <= flags


@pytest.mark.parametrize("path", ["runs/cube", "runs/it's a b", "--help", "-x y", "$HOME"])
def test_a_shell_hands_over_the_path_which_is_no_option(path: str) -> None:
    shell = subprocess.run(
        ["sh", "-c", f"printf %s {path_in_command(Path(path))}"], check=True, capture_output=True, text=True
    )
    assert Path(shell.stdout) == Path(path)
    assert not shell.stdout.startswith("-")
