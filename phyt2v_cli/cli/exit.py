"""Start and end of the process: streams, signals, and the exit code of each outcome.

Knows Typer's exceptions and ours; it must not know any command or option.
"""

import os
import sys
from contextlib import suppress
from typing import Any

import typer

from phyt2v_cli.cli import streams
from phyt2v_cli.cli.running import host
from phyt2v_cli.errors import (
    FilesError,
    Phyt2vError,
    RunInterruptedError,
    UsageError,
    failed_import_of,
    message_of,
    out_of_threads,
    shortage_of,
)


def run() -> None:
    """Run the command line, and end the process with the exit code of the outcome."""
    host.prepare()
    streams.prepare()
    try:
        code = _exit_code()
    except KeyboardInterrupt:
        code = _code_of_interrupt()
    except Exception as error:  # while the command was imported, or an error was shown
        shortage = shortage_of(error)
        if shortage is None:
            raise
        code = _report(shortage)
    _leave_what_was_begun(code)
    sys.exit(code)


def _code_of_interrupt() -> int:
    from phyt2v_cli.cli.signals import can_start_thread

    return _end(KeyboardInterrupt(), 130) if can_start_thread() else _report(out_of_threads())


def _report(shortage: Phyt2vError) -> int:
    """Print a shortage without the console, which takes memory; returns its exit code."""
    with suppress(OSError):
        sys.stderr.write(f"error: {shortage.message}\nhint: {shortage.hint}\n")
        sys.stderr.flush()
    return shortage.exit_code


def _exit_code() -> int:
    from phyt2v_cli.cli import completion, console
    from phyt2v_cli.cli.app import app
    from phyt2v_cli.cli.signals import exit_on_termination
    from phyt2v_cli.cli.wording import worded

    exit_on_termination()
    console.expect(sys.argv[1:])
    stdout = sys.stdout
    code, stopped = 0, None
    try:
        try:
            with completion.answering_the_shell():
                ended = app(prog_name="phyt2v", standalone_mode=False)  # otherwise it prints errors by itself
            code = ended if isinstance(ended, int) else 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
            stopped = leaving if code > 128 else None
            if sys.stdout is not stdout:  # Typer replaces it when the pipe is closed
                return console.CLOSED_PIPE_EXIT_CODE
        except ParserError as complaint:
            code = UsageError.exit_code
            if error := as_usage_error(complaint):
                raise error from complaint
        sys.stdout.flush()
    except RunInterruptedError as interruption:
        console.error(*worded(interruption))
        _end(interruption, interruption.exit_code)
        # Threads that load weights, and libraries that are half imported, would delay the exit.
        os._exit(interruption.exit_code)
    except Phyt2vError as error:
        console.error(*worded(error))
        return _end(error, error.exit_code)
    except BrokenPipeError:
        streams.hush_stdout()
        code = console.CLOSED_PIPE_EXIT_CODE
    except Exception as error:
        if shortage := shortage_of(error):
            code = _report(shortage)
            with suppress(Exception):  # which may want for the same
                _end(shortage, code)
            return code
        if isinstance(error, OSError) and error.filename is not None:
            from phyt2v_cli.files.atomic import describe_os_error

            console.error(*worded(describe_os_error(error, f"{error.filename} cannot be used")))
            return _end(error, FilesError.exit_code)
        if broken := failed_import_of(error):
            console.error(*worded(broken))
            return _end(error, broken.exit_code)
        console.error(message_of(error), "" if console.is_verbose() else "--verbose shows where.")
        return _end(error, 1)
    return _end(stopped, code)


def _end(error: BaseException | None, code: int) -> int:
    """End the journal of the process, and print the error as JSON if the command was to print an object."""
    from phyt2v_cli.cli import console

    journal = sys.modules.get("phyt2v_cli.cli.journal.process")  # if it was never imported, nothing was begun
    if journal is not None:
        journal.end(error)
    if error is not None and console.expects_json():
        from phyt2v_cli.cli.wording import worded
        from phyt2v_cli.runs.journal.failures import error_fields

        try:
            console.json_object(
                {"schema": "phyt2v.error/1", "exit_code": code, "error": dict(error_fields(error, worded))}
            )
        except BrokenPipeError:
            streams.hush_stdout()
    return code


def _leave_what_was_begun(code: int) -> None:
    """Exit at once if a thread still loads, denoises or waits for a server: a normal exit may crash."""
    for name in ("phyt2v_cli.backends.background", "phyt2v_cli.sets.overlap"):
        begun = sys.modules.get(name)  # if it was never imported, nothing was begun
        if begun is not None and begun.is_at_work():
            sys.stdout.flush()
            os._exit(code)


ParserError: type[Exception] = typer.BadParameter.__bases__[0]
"""Base class of the parser's errors. The parser is a copy inside Typer, under another name."""


def as_usage_error(error: Exception) -> UsageError | None:
    """UsageError for an error of the parser; None if the parser has shown the help instead."""
    if type(error).__name__ == "NoArgsIsHelpError":  # Typer also checks the name
        return None
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoSuchOption" and context is not None:
        complaint = _no_such_option(str(vars(error)["option_name"]), context)
    else:
        complaint = getattr(error, "format_message", error.__str__)().replace("Value error, ", "")
    stop = "" if complaint.endswith((".", "?")) else "."
    command = "phyt2v" if context is None else context.command_path
    return UsageError(f"{complaint}{stop} See: {command} --help")


def _no_such_option(name: str, context: Any) -> str:
    """Complaint about an unknown option, with the one that was probably meant: never a hidden spelling."""
    from difflib import get_close_matches

    root = context.find_root()
    if any(name in parameter.opts for parameter in root.command.params):
        command = context.command_path.removeprefix(root.command_path)
        return f"{name} goes before the command: {root.command_path} {name}{command}."
    shown = [parameter for parameter in context.command.params if not getattr(parameter, "hidden", False)]
    spellings = [spelling for parameter in shown for spelling in (*parameter.opts, *parameter.secondary_opts)]
    # Without the dashes, which would make all short names resemble each other.
    by_word = {spelling.lstrip("-"): spelling for spelling in spellings if spelling.startswith("--")}
    word = name.lstrip("-").replace("_", "-")
    guess = next(iter(get_close_matches(word, by_word, n=1)), None)
    return f"No such option: {name}.{f' Did you mean {by_word[guess]}?' if guess else ''}"
