"""User's prompt, from a file, standard input or the command line. The file is never written to."""

from collections.abc import Callable

from phyt2v_cli.errors import PromptError, UsageError
from phyt2v_cli.files.user_text import read_text
from phyt2v_cli.sets.formats import name_of_format, without_comments
from phyt2v_cli.sets.prompt_set import fault_of_prompt

_MAX_BYTES = 2**20
"""Limit of what is read. A longer prompt is refused for its characters, of up to four bytes each."""


OnNote = Callable[[str, str], object]
"""Callback for a note and its hint."""


def read_prompt(file: str | None, text: str | None, on_note: OnNote = lambda *_: None) -> str:
    """Read the prompt, stripped of white space, and of comments in a file.

    `file` is a path, or ``-`` for standard input; `text` is the prompt itself. Raises UsageError unless
    exactly one of the two is given, and PromptError for a prompt that cannot be read, is empty, is not text,
    is longer than 10,000 characters, or is plainly something else, such as a set of prompts in JSON or CSV.
    """
    if (file is None) == (text is None):
        raise UsageError("give one prompt", "A text file, - for standard input, or `prompt`.")
    if file is not None:
        hint = "Give the file with the prompt, or its text as `prompt`."
        name = "standard input" if file == "-" else file
        content = read_text(file, _MAX_BYTES, PromptError, hint)
        prompt = without_comments(content).strip()
        if prompt != content.strip():
            on_note("lines that begin with # are comments, no part of the prompt", "")
    else:
        name, prompt = "the prompt", (text or "").strip()
    if what_it_is := name_of_format(prompt):
        hint = "`run_jobs` refines each of a set; or give the text of one as `prompt`."
        raise PromptError(f"{name} is no prompt, but {what_it_is}", hint)
    if fault := fault_of_prompt(prompt):
        raise PromptError(f"{name} is {fault}", "A prompt says in words what one video shows.")
    lines = sum(1 for line in prompt.splitlines() if line.strip())
    if lines > 1:
        on_note(f"the {lines} lines are one prompt", "`run_jobs` takes each line as a prompt of its own.")
    return prompt
