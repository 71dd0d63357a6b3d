"""What the parser of the command line complains of, as one line like every other error.

Knows Typer's exceptions; it must not know any command or option.
"""

import typer

from phyt2v_cli.errors import UsageError

ParserError: type[Exception] = typer.BadParameter.__bases__[0]
"""Base of them all. It belongs to a parser that Typer brings along under a name of its own."""


def as_usage_error(error: Exception) -> UsageError | None:
    """Return the error to show for one of the parser's; None where it has shown the help instead."""
    if type(error).__name__ == "NoArgsIsHelpError":  # Typer, too, tells it by its name
        return None
    complaint = getattr(error, "format_message", error.__str__)().replace("Value error, ", "")
    stop = "" if complaint.endswith((".", "?")) else "."
    context = getattr(error, "ctx", None)
    command = "phyt2v" if context is None else context.command_path
    return UsageError(f"{complaint}{stop} See: {command} --help")
