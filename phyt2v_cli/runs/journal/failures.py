"""Errors as JSON: what any exception means, with its code, message and hint. Knows no stream."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from phyt2v_cli.errors import Phyt2vError, code_of, failed_import_of, message_of, shortage_of
from phyt2v_cli.runs.journal.log import without_keys

if TYPE_CHECKING:
    from phyt2v_cli.events.lines import ErrorFields


Worded = Callable[[Phyt2vError], tuple[str, str]]
"""Message and hint of an error, for those who read them."""


def as_it_is(error: Phyt2vError) -> tuple[str, str]:
    """Message and hint of an error in the words of the library; see `Worded`."""
    return error.message, error.hint


def error_fields(error: BaseException, worded: Worded = as_it_is) -> "ErrorFields":
    """Code, message and hint of an error as JSON values."""
    known = as_known(error)
    if known is not None:
        message, hint = worded(known)
    else:
        message, hint = (message_of(error) if isinstance(error, Exception) else type(error).__name__), ""
        if isinstance(error, KeyboardInterrupt | SystemExit):
            message = "The work was stopped."
    return {"code": code_of(known or error), "message": without_keys(message, ()), "hint": hint or None}


def as_known(error: BaseException) -> Phyt2vError | None:
    """Error of ours that says what happened, for any exception; None if it is an unexpected one."""
    from phyt2v_cli.files.atomic import describe_os_error

    if isinstance(error, Phyt2vError):
        return error
    if shortage := shortage_of(error):
        return shortage
    if isinstance(error, OSError) and error.filename is not None:
        return describe_os_error(error, f"{error.filename} cannot be used")
    return failed_import_of(error) if isinstance(error, Exception) else None


def end_line(
    data: Mapping[str, object] | None,
    error: BaseException | None,
    worded: Worded = as_it_is,
    **more: object,
) -> str:
    """Line that ends a stream of events."""
    from phyt2v_cli.events.lines import END, end_content, line_of

    content = end_content(data, None if error is None else error_fields(error, worded))
    return without_keys(line_of(END, content, **more), ())
