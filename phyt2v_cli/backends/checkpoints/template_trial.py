"""Program that renders a chat template within limits of time and memory, and prints what is wrong with it.

`template_check.py` runs it: JSON in, JSON out. It imports nothing of this project, and runs as a plain file.
"""

import json
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

CPU_SECONDS = 5
"""Limit of CPU time. Real templates take milliseconds."""

_MEMORY_BYTES = 2**28
"""Limit of memory beside what Python and its modules take."""

_MOST_ADDED = 2**17
"""Limit of the characters that it may add to a conversation; system prompts and tools take thousands."""

_TEXT = "A red ball drops. " * 1000
"""A long text, so that a template that copies it many times is found out."""

_FORMS: tuple[Any, ...] = (_TEXT, [{"type": "image"}, {"type": "text", "text": _TEXT}])
"""Contents of a message, for language models and for models that see."""


def find_fault(template: str, special_tokens: Mapping[str, str]) -> str:
    """Render conversations of each form, and say what is wrong with the template; empty if nothing is.

    One that raises an error is let through: it may want another conversation.
    """
    from transformers.utils.chat_template_utils import render_jinja_template

    _limit_this_process()
    for content in _FORMS:
        conversation = [{"role": "system", "content": "You help."}, {"role": "user", "content": content}]
        try:
            (rendered,), _ = render_jinja_template(
                [conversation], chat_template=template, add_generation_prompt=True, **special_tokens
            )
        except MemoryError:
            return "takes more memory than any needs"
        except Exception:
            continue
        if len(rendered) > len(_TEXT) + _MOST_ADDED:
            return f"makes {len(rendered):,} characters of {len(_TEXT):,}"
    return ""


def _limit_this_process() -> None:
    spent_s = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (int(spent_s) + CPU_SECONDS,) * 2)
    with suppress(OSError, ValueError):  # a system that does not tell or limit it
        num_pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (num_pages * resource.getpagesize() + _MEMORY_BYTES,) * 2)


if __name__ == "__main__":
    json.dump({"fault": find_fault(**json.load(sys.stdin))}, sys.stdout)
