"""Settings of the LLM, the captioner and the scorers, and of the servers that they may be on."""

import os
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator

from phyt2v_cli.config.section import BASE_URL_PATTERN, BASE_URL_WORDS, BaseUrl, KeyVariable, Section, fits
from phyt2v_cli.errors import ConfigError

MAX_SCORERS = 100
VENDOR_URL = "https://api.openai.com/v1"
VENDOR_KEY_ENV = "OPENAI_API_KEY"
VENDOR_URL_ENV = "OPENAI_BASE_URL"

Decide = Literal["first", "mean-rank"]
"""Way in which several scorers choose among videos."""
YES_OR_NO = "yes-no"
"""`scorer.questions` of our own: two, each to be answered with yes or no."""


Finite = Annotated[float, Field(allow_inf_nan=False)]


LOCAL_BACKENDS = ("transformers", "surprise")
"""Backends with a model in this process, named by a folder or a hub id."""


class ServiceConfig(Section):
    """Settings shared by the roles that a server, or a local model of transformers, may fill."""

    model: str | None = Field(default=None, min_length=1)
    """`openai`: the model name that the server knows. `transformers`: a local folder or a hub id."""
    base_url: BaseUrl | None = None
    """`openai`: base URL of any compatible endpoint; None: that of OPENAI_BASE_URL if the
    key is OPENAI_API_KEY and both are set, else the vendor's own. Setting it alone chooses
    `openai`."""
    api_key_env: KeyVariable = "OPENAI_API_KEY"
    """Environment variable that holds the API key."""
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    """Timeout of one answer in s, retries included."""
    max_retries: Annotated[int, Field(ge=0, le=20)] = 5
    """`openai`: retries after connection errors, 408, 409, 429 and 5xx, with jitter; Retry-After is
    obeyed."""
    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """`openai`: requests to the server at a time; roles that name the same server share the smallest of their
    numbers. `command`: programs that run at a time. None: 8 requests, one program."""
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    """Maximum tokens of one answer, reasoning included."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """None: the server's default; a local model then takes the likeliest token."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """`transformers` only."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`transformers` only."""


class LlmConfig(ServiceConfig):
    """LLM that names the physics, finds the mismatch and rewrites the prompt."""

    backend: Literal["rulebook", "openai", "transformers"] | None = None
    prompt_token_price: Annotated[float, Field(ge=0, le=1e9)] | None = None
    """Price of a million prompt tokens, in any currency. With both prices set, the run's record has its
    cost."""
    completion_token_price: Annotated[float, Field(ge=0, le=1e9)] | None = None


class VlmConfig(ServiceConfig):
    """Settings shared by captioner and scorer."""

    num_frames: Annotated[int, Field(ge=1, le=256)] = 16
    """Number of frames that a VLM is shown, spread evenly over the video."""
    max_frame_size: Annotated[int, Field(ge=32, le=4096)] = 512
    """Longest side of the frames that a VLM is shown, in pixels; larger frames are scaled down."""


class CaptionerConfig(VlmConfig):
    """Captioner that describes what is seen in a video."""

    backend: Literal["tracker", "openai", "transformers"] | None = None


class ScorerConfig(VlmConfig):
    """Scorer of a video."""

    backend: Literal["tracker", "openai", "transformers", "command", "surprise"] | None = None
    """`surprise`: a video model of transformers, and how far it is from predicting the frames; PC only."""
    name: (
        Annotated[
            str,
            fits(
                r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z",
                "must be at most 64 letters, digits, dots, dashes, colons and underscores, and begin with a "
                "letter or digit",
            ),
        ]
        | None
    ) = None
    """Key of its scores in the record; None: made from backend and model."""
    command: tuple[str, ...] | None = Field(default=None, min_length=1)
    """`command`: a program and its arguments, started without a shell."""
    keep_alive: bool = False
    """`command`: the program runs for the whole run, and answers each line of input with a line."""
    questions: str = Field(default=YES_OR_NO, min_length=1)
    """`openai`: `yes-no`, or a question sheet: a JSON file with a judge's own questions."""
    questions_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Checksum of the question sheet, filled in when a run begins: another sheet means another run."""
    ask: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Keys of the questions to ask of the sheet; None: all."""
    scale: tuple[Finite, Finite] | None = None
    """`surprise`: the surprise that scores 1 and the surprise that scores 0, as measured on videos that are
    known to be good and bad. None: the surprise is told as a reason, and there is no score."""
    others: "tuple[ScorerConfig, ...]" = Field(default=(), max_length=MAX_SCORERS - 1)
    """Further scorers. Their scores are recorded beside those of this one."""
    decide: Decide = "first"
    """How several scorers choose among videos. `first`: by the sum of SA and PC of the first one.
    `mean-rank`: each ranks the videos, and the best mean rank wins."""

    @property
    def has_sheet(self) -> bool:
        """Whether the judge is asked the questions of a file; only those on a server are."""
        return self.backend == "openai" and self.questions != YES_OR_NO

    @field_validator("scale")
    @classmethod
    def _has_two_ends(cls, scale: tuple[float, float] | None) -> tuple[float, float] | None:
        if scale is not None and scale[0] == scale[1]:
            raise ValueError("must be two different numbers")
        return scale

    @field_validator("others")
    @classmethod
    def _has_one_level(cls, others: "tuple[ScorerConfig, ...]") -> "tuple[ScorerConfig, ...]":
        if any(other.others for other in others):
            raise ValueError("a further scorer has no others of its own; list all of them in scorer.others")
        return others


def server_url(section: ServiceConfig, environment: Mapping[str, str] = os.environ) -> str:
    """Base URL of the server of an `openai` backend.

    Without `base_url` it is that of OPENAI_BASE_URL if the key is that of OPENAI_API_KEY, else the vendor's.
    Raises ConfigError if OPENAI_BASE_URL is used and no base URL. The vendor's SDK reads that variable
    wherever it reads OPENAI_API_KEY, so users who set both mean that the key goes to that address, and
    nowhere else.
    """
    if section.base_url is not None:
        return section.base_url
    ambient = environment.get(VENDOR_URL_ENV, "").strip() if section.api_key_env == VENDOR_KEY_ENV else ""
    if ambient and not re.search(BASE_URL_PATTERN, ambient):
        raise ConfigError(f"The environment variable {VENDOR_URL_ENV} {BASE_URL_WORDS}.")
    return ambient or VENDOR_URL
