"""User's prompt, from a file, standard input or the command line. The file is never written to."""

from phyt2v_cli.errors import PromptError, UsageError
from phyt2v_cli.files.user_text import read_text
from phyt2v_cli.sets.prompt_set import fault_of_prompt

_MAX_BYTES = 2**20
"""Limit of what is read. A longer prompt is refused for its characters, of up to four bytes each."""


def read_prompt(file: str | None, text: str | None) -> str:
    """Read the prompt, stripped of white space.

    `file` is a path, or ``-`` for standard input; `text` is the prompt itself. Raises UsageError unless
    exactly one of the two is given, and PromptError for a prompt that cannot be read, is empty, is not text,
    or is longer than 10,000 characters.
    """
    if (file is None) == (text is None):
        raise UsageError("give one prompt", "A text file, - for standard input, or `prompt`.")
    if file is not None:
        hint = "Give the file with the prompt, or its text as `prompt`."
        name = "standard input" if file == "-" else file
        content = read_text(file, _MAX_BYTES, PromptError, hint)
    else:
        name, content = "the prompt", text or ""
    prompt = content.strip()
    if fault := fault_of_prompt(prompt):
        raise PromptError(f"{name} is {fault}", "A prompt says in words what one video shows.")
    return prompt


def several_lines_note(prompt: str) -> str | None:
    """Note for a prompt that may be meant as a list of prompts; None if it has one line."""
    lines = sum(1 for line in prompt.splitlines() if line.strip())
    if lines < 2:
        return None
    return f"the {lines} lines are one prompt"
