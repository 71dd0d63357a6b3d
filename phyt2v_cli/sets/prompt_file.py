"""User's prompt, from a file, standard input or the command line. The file is never written to."""

import sys
from pathlib import Path

from phyt2v_cli.errors import PromptError, UsageError
from phyt2v_cli.sets.prompt_set import MAX_PROMPT_CHARS

_MAX_BYTES = (
    4 * MAX_PROMPT_CHARS + 4
)  # UTF-8 takes up to four a character, and there may be a byte order mark


def read_prompt(file: str | None, text: str | None) -> str:
    """Read the prompt, stripped of white space.

    `file` is a path, or ``-`` for standard input; `text` is the prompt itself. Raises UsageError unless
    exactly one of the two is given, and PromptError for a prompt that cannot be read, is empty, is not text,
    or is longer than 10,000 characters.
    """
    if (file is None) == (text is None):
        raise UsageError("give one prompt", "A text file, - for standard input, or `prompt`.")
    if file == "-":
        name, content = "standard input", sys.stdin.buffer.read(_MAX_BYTES + 1)
    elif file is not None:
        name, content = file, _read(Path(file))
    else:
        name, content = "the prompt", (text or "").encode(errors="surrogateescape")
    if b"\0" in content:
        raise PromptError(f"{name} is a binary file", "Give the text file with the prompt.")
    if len(content) > _MAX_BYTES:
        raise _too_long(name)
    try:
        prompt = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise PromptError(f"{name} is not UTF-8 text", "Save the prompt as UTF-8.") from error
    if not prompt:
        raise PromptError(f"{name} is empty", "Write what the video should show.")
    if len(prompt) > MAX_PROMPT_CHARS:
        raise _too_long(name)
    return prompt


def several_lines_note(prompt: str) -> str | None:
    """Note for a prompt that may be meant as a list of prompts; None if it has one line."""
    lines = sum(1 for line in prompt.splitlines() if line.strip())
    if lines < 2:
        return None
    return f"the {lines} lines are one prompt"


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise PromptError(f"{path} is a directory", "Give the file with the prompt.")
        with path.open("rb") as file:
            return file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise PromptError(
            f"there is no file {path}", "Give the file with the prompt, or its text as `prompt`."
        ) from error
    except OSError as error:
        raise PromptError(f"{path} cannot be read: {error.strerror}") from error


def _too_long(name: str) -> PromptError:
    return PromptError(
        f"{name} is longer than {MAX_PROMPT_CHARS:,} characters", "A prompt says what one video shows."
    )
