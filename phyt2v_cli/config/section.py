"""Base class of config sections, and the types that several of them share. Knows no setting."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

BASE_URL_PATTERN = r"\Ahttps?://[^?#@\s\x00-\x1f\x7f]+\Z"
BASE_URL_WORDS = (
    "must be a URL such as http://localhost:8000/v1: http or https, without user, password, query or spaces"
)


def fits(pattern: str, words: str) -> AfterValidator:
    """Check of a text against `pattern`, whose error is `words` in place of a regular expression."""

    def check(text: str) -> str:
        if not re.search(pattern, text):
            raise ValueError(words)
        return text

    return AfterValidator(check)


BaseUrl = Annotated[str, fits(BASE_URL_PATTERN, BASE_URL_WORDS)]
"""No user, password or query: the URL is stored with the run, and a secret may only ever be named."""
KeyVariable = Annotated[
    str,
    fits(
        r"\A[A-Z_][A-Z0-9_]{0,63}\Z",
        "must be the name of an environment variable, in capitals, such as OPENAI_API_KEY",
    ),
]
"""Environment variable that holds an API key. Keys are only ever named. The pattern keeps most keys out."""


class Section(BaseModel):
    """Base class of config sections: unknown keys are errors, and values do not change after validation."""

    # Validators are built on first use: most commands start without them.
    # Inputs are kept out of pydantic's own messages: an input may be an API key in the wrong place.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, hide_input_in_errors=True)
