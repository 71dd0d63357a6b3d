"""Settings of the prompts for the LLM: files with instructions that replace ours, and their checks.

An instruction is plain text. `{material}` stands for the JSON block of the task's data, and must be there;
`{schema}` stands for the JSON Schema of the reply. Any other brace is a brace, so that a text may quote JSON.
This file must not know what the tasks ask, or any LLM.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field

from phyt2v_cli.config.section import Section
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.files.untrusted import expand
from phyt2v_cli.files.user_text import is_blank, read_text

Task = Literal["analysis", "mismatch", "refinement"]
"""The same as `roles.Task`, which is above this package."""

MAX_INSTRUCTION_BYTES = 64 * 1024
MATERIAL = "{material}"
"""Placeholder for the data of a task, a block of JSON."""
SCHEMA = "{schema}"
"""Placeholder for the JSON Schema of the reply."""
TASKS: tuple[Task, ...] = get_args(Task)

_DATA = re.compile(
    r"\{(?:original_prompt|prompt|main_object|physical_law|caption|mismatch|reasons|feedback|max_words)\}"
)
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class PromptsConfig(Section):
    """Instructions for the LLM, each in a file in place of the built-in one of its task."""

    analysis: str | None = Field(default=None, min_length=1)
    """File with the instruction that asks for the main object and the physical laws of a prompt."""
    mismatch: str | None = Field(default=None, min_length=1)
    """File with the instruction that asks for departures of the captioned video."""
    refinement: str | None = Field(default=None, min_length=1)
    """File with the instruction that asks for a better prompt."""
    analysis_sha256: _Digest | None = None
    """Checksum of the text in `analysis`, filled in when a run begins: another text means another run."""
    mismatch_sha256: _Digest | None = None
    """The same for `mismatch`."""
    refinement_sha256: _Digest | None = None
    """The same for `refinement`."""

    def files(self) -> Iterator[tuple[Task, str, str | None]]:
        """Yield task, file and recorded checksum of each instruction that is set."""
        for task in TASKS:
            if (source := getattr(self, task)) is not None:
                yield task, source, getattr(self, f"{task}_sha256")


def read_instructions(prompts: PromptsConfig, *, has_begun: bool = False) -> Mapping[Task, str]:
    """Read and check the instructions by task. Line breaks at the ends of a file do not count.

    Of a run that `has_begun` the checksums must be there: its config may name a file that nobody chose.

    Raises ConfigError if a file is missing, unreadable, no text, larger than 64 KiB, empty, or without
    `{material}`, and if its text is not the one that a run began with.
    """
    texts: dict[Task, str] = {}
    for task, source, recorded in prompts.files():
        texts[task] = _read(task, source)
        if recorded != _digest(texts[task]) and (recorded is not None or has_begun):
            raise ConfigError(
                f"prompts.{task}: {source} has changed since the run began",
                "Put the old text back, or start another run.",
            )
    return texts


def with_digests(prompts: PromptsConfig) -> PromptsConfig:
    """Copy with the checksums of the texts and absolute paths; raises as `read_instructions` does."""
    update: dict[str, str] = {}
    for task, text in read_instructions(prompts).items():
        # Absolute, because the run may be resumed from elsewhere.
        update |= {task: str(_path(getattr(prompts, task))), f"{task}_sha256": _digest(text)}
    return prompts.model_copy(update=update)


def notes(prompts: PromptsConfig, llm_backend: str | None) -> Iterator[str]:
    """Yield notes about instructions that passed `read_instructions`, but may not do what was meant."""
    for task, text in read_instructions(prompts).items():
        if llm_backend == "rulebook":
            yield f"prompts.{task} has no effect: llm.backend is rulebook, which reads no instructions"
        elif data := _DATA.search(text):
            yield (
                f"prompts.{task}: {data[0]} stays as it is written; all data are in the block that replaces "
                f"{MATERIAL}"
            )


def fill(instruction: str, *, material: str, schema: str) -> str:
    """Replace the placeholders of an instruction. What is put in is not searched for placeholders."""
    texts = {MATERIAL: material, SCHEMA: schema}
    return re.sub(r"\{(?:material|schema)\}", lambda placeholder: texts[placeholder[0]], instruction)


def _read(task: Task, source: str) -> str:
    def fault(message: str, hint: str = "") -> ConfigError:
        return ConfigError(f"prompts.{task}: {message}", hint)

    if _path(source).exists() and not _path(source).is_file():  # reading a pipe may never end
        raise fault(f"{source} is no plain file", "Name a text file with an instruction.")
    try:
        text = read_text(
            str(_path(source)), MAX_INSTRUCTION_BYTES, ConfigError, "Name a text file with an instruction."
        )
    except ConfigError as error:
        raise fault(error.message, error.hint) from error
    if is_blank(text):
        raise fault(f"{source} is empty", "Name a text file with an instruction.")
    if MATERIAL not in text:
        raise fault(
            f"{source} has no {MATERIAL} in it, so the LLM would not be shown what to work on",
            f"Write {MATERIAL} at the place of the data.",
        )
    return text.replace("\r\n", "\n").strip("\n")


def _path(source: str) -> Path:
    # Absolute, so that `-` is a file like any other, and not the standard input.
    return expand(source).absolute()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
