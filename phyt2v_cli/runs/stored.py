"""Base class and types of what a run stores, with limits for a record from somebody else.

With them file names, loops and torch's number ranges stay safe. Knows no record.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from phyt2v_cli.replies import filled
from phyt2v_cli.video_id import MAX_ROUND, ControlId, RerenderId, RoundId, VideoId, parse_video_id

MAX_TEXT_CHARS = 20_000
"""Limit of a caption or of a scorer's reason: a rambling judge must not fill the record."""

RoundNumber = Annotated[int, Field(ge=1, le=MAX_ROUND)]
NumSteps = Annotated[int, Field(ge=1, le=1000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
MAX_COUNT = 2**63 - 1
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Text = Annotated[str, Field(max_length=2**20)]
"""Text that is only shown, cut to what there is room for."""
UsedText = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
UsedPrompt = Annotated[str, filled(MAX_TEXT_CHARS)]
"""Texts that a resumed run continues with."""
Few = Field(max_length=1000)
"""Limit of a list or of a mapping, of which no more than a handful of entries are expected."""
Versions = Annotated[dict[Text, Text], Few]


def _read_id(value: object) -> VideoId:
    if isinstance(value, RoundId | ControlId | RerenderId):
        return value
    if not isinstance(value, str):
        raise ValueError("an id is a text, as in round2 or control")
    return parse_video_id(value)


StoredId = Annotated[VideoId, PlainValidator(_read_id), PlainSerializer(lambda id: id.name, return_type=str)]
"""Id of a video, stored as its name."""


def storable_text(text: str) -> str:
    """Text from a model in storable form: at most `MAX_TEXT_CHARS` characters, lone surrogates replaced."""
    return text[:MAX_TEXT_CHARS].encode(errors="replace").decode()


class Record(BaseModel):
    """Base class of everything that is stored."""

    model_config = ConfigDict(
        extra="allow",
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
    )
