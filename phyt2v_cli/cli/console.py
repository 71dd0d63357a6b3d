"""Console: the only printer. Data goes to stdout, everything else to stderr.

It knows streams, colours and what must not reach a terminal. It knows no command, no config and no event.
"""

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from itertools import islice, takewhile
from pathlib import Path
from typing import IO

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from phyt2v_cli.cli import streams
from phyt2v_cli.files.untrusted import visible

UNKNOWN_WIDTH = 80
"""Width of tables in columns, in a pipe and on a terminal of unknown width."""
_UNWRAPPED_WIDTH = 1_000_000
_DUMB_HEIGHT = 25
_CHUNKS_OF_JSON = 10_000

CLOSED_PIPE_EXIT_CODE = 141
"""Exit code that a shell reports for GNU tools whose reader has closed the pipe (128 + SIGPIPE)."""


class _PipedConsole(Console):
    def on_broken_pipe(self) -> None:
        self.quiet = True
        streams.hush_stdout()
        raise SystemExit(CLOSED_PIPE_EXIT_CODE)


_data_file: IO[str] | None = None
"""Stream for data, while `stdout_kept_for_data`; None: sys.stdout."""


_shared_stderr: Console | None = None
"""Console on stderr while a live display is there."""


Listener = Callable[[str, str, str], None]
"""Callback for a note or an error: its kind (``note`` or ``error``), its text and its hint."""

_listener: Listener | None = None


_expects_json = _has_printed_json = False


_line_in_display = ""


class _Settings:
    quiet = False
    verbose = False
    no_color = False


_settings = _Settings()
_for_every_command = _Settings()

_FLAGS = {
    "--quiet": "quiet",
    "-q": "quiet",
    "--verbose": "verbose",
    "-v": "verbose",
    "--no-color": "no_color",
}


def expect(words: Sequence[str]) -> None:
    """Set what a command line asks for before it is parsed, since the parser's errors and help come first.

    What stands before the command's name holds for the command too.
    """
    global _expects_json, _has_printed_json
    _expects_json, _has_printed_json = "--json" in takewhile(lambda word: word != "--", words), False
    before_command = list(takewhile(lambda word: word.startswith("-"), words))
    for settings, given in (
        (_settings, list(takewhile(lambda word: word != "--", words))),
        (_for_every_command, before_command),
    ):
        for name in _FLAGS.values():
            setattr(settings, name, any(_FLAGS.get(word) == name for word in given))
    if _settings.no_color:
        from typer import rich_utils  # imports markdown, so not for every command

        rich_utils.COLOR_SYSTEM = None


def configure(*, quiet: bool = False, verbose: bool = False, no_color: bool = False) -> None:
    """Set verbosity and colour; each command calls it first."""
    _settings.quiet = quiet or _for_every_command.quiet
    _settings.verbose = verbose or _for_every_command.verbose
    _settings.no_color = no_color or _for_every_command.no_color


def expects_json() -> bool:
    """Check if the command line asks for a JSON object, and none was printed yet."""
    return _expects_json and not _has_printed_json


def listen(listener: Listener | None) -> None:
    """Let `listener` hear of each note and error, also those that are printed; None: nobody."""
    global _listener
    _listener = listener


def is_verbose() -> bool:
    """Check if tracebacks and details are wanted."""
    return _settings.verbose


def is_quiet() -> bool:
    """Check if only data, warnings and errors are wanted."""
    return _settings.quiet


def stdout() -> Console:
    """Console on stdout, for data."""
    return _console(stderr=False)


def stderr() -> Console:
    """Console on stderr, for everything that is not data."""
    return _shared_stderr or _console(stderr=True)


@contextmanager
def one_stderr() -> Iterator[Console]:
    """One console on stderr for all threads inside the block, so that what they print moves a live view."""
    global _shared_stderr, _line_in_display
    _shared_stderr, _line_in_display = _console(stderr=True), ""
    try:
        yield _shared_stderr
    finally:
        _shared_stderr = None


def data(renderable: RenderableType, *, is_whole_in_pipes: bool = False) -> None:
    """Print data to stdout. A str is printed as it is, on one line of any length, and flushed at once.

    With `is_whole_in_pipes` a renderable is wrapped on a terminal only: in a pipe, broken lines cannot be
    searched.
    """
    console = stdout()
    if is_whole_in_pipes:
        console.width = data_width()
    if isinstance(renderable, str) and _shared_stderr is not None and console.file.isatty():
        _shared_stderr.print(Text(visible(renderable)), soft_wrap=True)  # above the display, on this terminal
    elif isinstance(renderable, str):
        console.file.write(visible(renderable) + "\n")
        console.file.flush()
    else:
        console.print(renderable)


@contextmanager
def stdout_kept_for_data() -> Iterator[None]:
    """Send what libraries print to stdout inside the block to stderr with --verbose, and else nowhere."""
    global _data_file
    kept = sys.stdout
    _data_file = kept
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(sys.stderr if is_verbose() else nowhere):
        try:
            yield
        finally:
            _data_file = None


def data_width() -> int:
    """Width for data that is not to be broken in pipes: that of the terminal, or endless."""
    console = stdout()
    return console.width if _wraps(console) else _UNWRAPPED_WIDTH


def fits(table: Table) -> bool:
    """Check if stdout has room for a table without breaking a line in it; a pipe always has."""
    console = stdout()
    unlimited = console.options.update(max_width=_UNWRAPPED_WIDTH)
    return console.measure(table, options=unlimited).maximum <= data_width()


def json_object(value: object) -> None:
    """Print one JSON object as data, flushed at once. JSON escapes control characters by itself."""
    import json

    global _has_printed_json
    _has_printed_json = True
    file = stdout().file
    chunks = json.JSONEncoder(indent=2).iterencode(value)
    while part := "".join(islice(chunks, _CHUNKS_OF_JSON)):  # in parts, because that of a set may be large
        file.write(part)
    file.write("\n")
    file.flush()


def say(renderable: RenderableType, style: str = "") -> None:
    """Print a message to stderr, unless --quiet. A str is printed literally, without markup."""
    if _settings.quiet:
        return
    if isinstance(renderable, str):
        _print_text(stderr(), safe(renderable, style))
    else:
        stderr().print(renderable)


def warn(text: str, hint: str = "") -> None:
    """Print a note to stderr even with --quiet, and its hint below."""
    _tell("note", text, hint)
    _print_text(stderr(), Text.assemble(("note: ", "bold yellow"), safe(text)))
    _print_hint(hint)


def error(text: str, hint: str = "") -> None:
    """Print `error: message` to stderr, and `hint: …` below.

    With --verbose the traceback of the exception being handled comes first.
    """
    _tell("error", text, hint)
    console = stderr()
    if _settings.verbose and sys.exc_info()[0] is not None:
        console.print(safe(traceback.format_exc().rstrip()), soft_wrap=True)
    _print_text(console, Text.assemble(("error: ", "bold red"), safe(text)))
    _print_hint(hint)


def say_from_signal_handler(text: str) -> None:
    """Print one line from a signal handler, in which buffered streams may be in the middle of a write.

    In a live display it takes the place of the last line, and the display shows it from then on.
    """
    global _line_in_display
    line = f"\n{text}\n"
    if _shared_stderr is not None:
        _line_in_display, line = text, f"\r\x1b[2K{text}"
    with suppress(OSError):
        os.write(2 if _shared_stderr is not None else sys.stderr.fileno(), line.encode())


def line_in_display() -> str:
    """Line that a live display shows last; empty if there is none."""
    return _line_in_display


def show_cursor() -> None:
    """Show the cursor that a live display hides, for a process that ends without unwinding."""
    if sys.stderr.isatty():
        with suppress(OSError):
            os.write(sys.stderr.fileno(), b"\x1b[?25h\n")


def safe(text: str, style: str = "") -> Text:
    """Rich text of untrusted text: controls visible, markup literal."""
    return Text(visible(text), style=style)


def one_line(text: str, style: str = "") -> RenderableType:
    """Single line of untrusted text, which ends in an ellipsis if there is no room for more."""
    line = safe(" ".join(text.split()), style)
    line.no_wrap, line.overflow = True, "ellipsis"
    return Padding(line, 0, expand=False)  # a bare text is printed without its own overflow


def _tell(kind: str, text: str, hint: str) -> None:
    if _listener is not None:
        _listener(kind, text, hint)


def _print_hint(hint: str) -> None:
    if hint:
        _print_text(stderr(), Text.assemble(("hint: ", "bold cyan"), safe(hint)))


def _print_text(console: Console, text: Text) -> None:
    """Print sentences: wrapped on a terminal, and one line each in a pipe, where none may be broken.

    They are broken at spaces only, because a word may be a path or an address to copy. A line that is a
    command stays whole.
    """
    if _wraps(console):
        lines = [part for line in text.split("\n", allow_blank=True) for part in _wrap(line, console.width)]
        text = Text("\n").join(lines)
    console.print(text, soft_wrap=True)


def _wrap(line: Text, width: int) -> Iterator[Text]:
    """Wrap a line to parts of `width` columns; a longer word stays whole, unlike in rich.

    The terminal continues it in the next row, which adds no line break when it is copied.
    """
    breaks, used = [], 0
    if line.plain.startswith("  phyt2v "):
        width = cell_len(line.plain)
    for word in re.finditer(r"\s*(\S+)", line.plain):
        used += cell_len(word[0])
        length = cell_len(word[1])
        if used > width >= length:
            breaks.append(word.start(1))
            used = length
        used = used % width or width
    for part in line.divide(breaks):
        part.rstrip()
        yield part


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else _data_file or sys.stdout
    plain = _settings.no_color or bool(os.environ.get("NO_COLOR"))
    width = _said_width(stream)
    is_dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    return _PipedConsole(
        stderr=stderr,
        file=None if stderr else _data_file,
        highlight=False,
        emoji=False,
        color_system=None if plain else "auto",
        # None: rich asks again each time, as windows change their size. It assumes 80 columns on a dumb
        # terminal, unless width and height are both given.
        width=None if width is not None and not is_dumb else width or UNKNOWN_WIDTH,
        height=_DUMB_HEIGHT if is_dumb else None,
    )


def _wraps(console: Console) -> bool:
    return console.is_terminal and _said_width(console.file) is not None


def _said_width(stream: IO[str]) -> int | None:
    """Width in columns from the environment or the terminal; None if neither knows."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except OSError:
        return None
