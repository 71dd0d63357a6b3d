"""Question sheets of judges that were trained on questions of their own: format, checks and checksums.

A sheet is a JSON file that is made from what a judge's authors have published, so that it is asked exactly
that. docs/judges.md says how. This file must not know any judge or server.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, JsonValue, ValidationError, model_validator

from phyt2v_cli.config.judges import ScorerConfig
from phyt2v_cli.config.section import Section
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.files.untrusted import expand, visible
from phyt2v_cli.files.user_text import read_text

SHEET_SCHEMA = "phyt2v.judge-questions/1"
MAX_SHEET_BYTES = 2**20
PROMPT = "{prompt}"
"""Placeholder for the user's prompt in a question. Any other brace is a brace."""

_HINT = "docs/judges.md says how to make it."
_OURS = ("model", "messages", "max_tokens", "max_completion_tokens", "response_format", "stream", "n")
"""Fields of a request that a sheet may not set."""

_Text = Annotated[str, Field(min_length=1, max_length=50_000)]


class SheetQuestion(Section):
    """One question to a judge; its answer is a grade."""

    key: Annotated[str, Field(min_length=1, max_length=64)]
    """Name of the question, and of the grade in an answer that is JSON."""
    score: Literal["semantic_adherence", "physical_commonsense"]
    """Score that the grade counts towards."""
    text: _Text

    def asked(self, prompt: str) -> str:
        """Question about a video that was made for `prompt`."""
        return self.text.replace(PROMPT, prompt)


class QuestionSheet(Section):
    """Questions of a judge, and how it is asked."""

    schema_id: Literal["phyt2v.judge-questions/1"] = Field(alias="schema")
    source: str = ""
    """Where the questions come from."""
    license: str = ""
    system: str = ""
    """System message."""
    answer: Literal["json", "number"]
    """`json`: an object with the grade under the question's key. `number`: the grade on a line of its own, or
    in an element `answer`."""
    lowest: FiniteFloat = 1
    highest: FiniteFloat = 5
    """Grades from the worst to the best."""
    shows: Literal["frames", "video"] = "frames"
    """`video`: the mp4 itself, as a `video_url`."""
    height: Annotated[int, Field(ge=32, le=4096)] | None = None
    """Height of the video that is shown, in pixels; None: as it is."""
    request: dict[str, JsonValue] = Field(default_factory=dict)
    """Further fields of each request, such as the sampling. The settings of the scorer come first."""
    questions: tuple[SheetQuestion, ...] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if not self.lowest < self.highest:
            raise ValueError("lowest must be below highest")
        keys = [question.key for question in self.questions]
        if len(set(keys)) < len(keys):
            raise ValueError("two questions have one key")
        if taken := [name for name in self.request if name in _OURS]:
            raise ValueError(f"request may not set {taken[0]}")
        return self

    def chosen(self, keys: Sequence[str] | None) -> tuple[SheetQuestion, ...]:
        """Questions with these keys; None: all."""
        return tuple(question for question in self.questions if keys is None or question.key in keys)

    def fraction(self, grade: float) -> float:
        """Grade as a score, 0 to 1."""
        return (grade - self.lowest) / (self.highest - self.lowest)


def read_sheet(config: ScorerConfig, key: str = "scorer") -> QuestionSheet:
    """Read and check the question sheet of the scorer at `key`, which has one.

    Raises ConfigError if its file is missing, no text, too large or no question sheet, if it has not every
    question of `ask`, and if it is not the one that a run began with.
    """
    sheet, sha256 = _read(config.questions, key)
    if config.questions_sha256 not in (None, sha256):
        raise ConfigError(
            f"{key}.questions: {config.questions} has changed since the run began",
            "Put the old file back, or start another run.",
        )
    known = [question.key for question in sheet.questions]
    if unknown := [name for name in config.ask or () if name not in known]:
        raise ConfigError(f"{key}.ask: no question is called {unknown[0]}; there are {', '.join(known)}")
    return sheet


def check_sheets(config: ScorerConfig) -> None:
    """Check the sheets of a scorer and of its `others`; raises as `read_sheet` does."""
    for key, scorer in _each(config):
        if scorer.has_sheet:
            read_sheet(scorer, key)


def with_sheet_digests(config: ScorerConfig) -> ScorerConfig:
    """Copy with the checksums of all sheets and absolute paths; raises as `read_sheet` does."""
    update: dict[str, object] = {}
    if config.others:
        update["others"] = tuple(
            _with_digest(other, f"scorer.others[{number}]") for number, other in enumerate(config.others)
        )
    return _with_digest(config, "scorer").model_copy(update=update)


def _with_digest(config: ScorerConfig, key: str) -> ScorerConfig:
    if not config.has_sheet:
        return config
    read_sheet(config, key)
    path = str(_path(config.questions))  # absolute, because the run may be resumed from elsewhere
    sha256 = _read(config.questions, key)[1]
    return config.model_copy(update={"questions": path, "questions_sha256": sha256})


def _each(config: ScorerConfig) -> Iterator[tuple[str, ScorerConfig]]:
    yield "scorer", config
    yield from ((f"scorer.others[{number}]", other) for number, other in enumerate(config.others))


def _read(source: str, key: str) -> tuple[QuestionSheet, str]:
    if _path(source).exists() and not _path(source).is_file():  # reading a pipe may never end
        raise ConfigError(f"{key}.questions: {source} is no plain file", _HINT)
    try:
        text = read_text(str(_path(source)), MAX_SHEET_BYTES, ConfigError, _HINT)
    except ConfigError as error:
        raise ConfigError(f"{key}.questions: {error.message}", error.hint) from error
    try:
        tree = json.loads(text)
        sheet = QuestionSheet.model_validate(tree)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{key}.questions: {source} is no question sheet: {_why(error)}", _HINT) from error
    # Of the content, so that it may be laid out in another way.
    canonical = json.dumps(sheet.model_dump(mode="json"), sort_keys=True)
    return sheet, hashlib.sha256(canonical.encode()).hexdigest()


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        return visible(f"{place[:100]}: {said}" if place else said)
    return re.sub(r"\s+", " ", visible(str(error)))[:200]


def _path(source: str) -> Path:
    return expand(source).absolute()
