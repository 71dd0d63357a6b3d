"""What run.json, roundN.json and control.json hold (schema ``phyt2v.run/2``), and the versions of what made
them.

Data only, no file access. Unknown keys are kept and written back, so that a record made by a later phyt2v of
the same schema survives.
"""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    model_validator,
)

from phyt2v_cli import __version__
from phyt2v_cli.errors import BackendError
from phyt2v_cli.events import Purpose
from phyt2v_cli.roles import Scores
from phyt2v_cli.video_id import CONTROL, MAX_ROUND, ControlId, RoundId, VideoId, parse_video_id

Schema = Literal["phyt2v.run/1", "phyt2v.run/2"]
SCHEMA: Schema = "phyt2v.run/2"
READ_SCHEMAS = get_args(Schema)
"""Those that are understood; what is written is the last."""

MAX_RECORD_BYTES = 16 * 2**20

MAX_TEXT_CHARS = 20_000
"""Of a caption, or of a scorer's reason; judges that ramble must not fill the record or the next request."""
MAX_REASONS = 100

StopReason = Literal["no_mismatch", "stop_score"]

# Limits for a record that somebody else made: no file name, loop or number of torch's can get past them.
RoundNumber = Annotated[int, Field(ge=1, le=MAX_ROUND)]
NumSteps = Annotated[int, Field(ge=1, le=1000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def _read_id(value: object) -> VideoId:
    if isinstance(value, RoundId | ControlId):
        return value
    if not isinstance(value, str):
        raise ValueError("an id is a text, as in round2 or control")
    return parse_video_id(value)


StoredId = Annotated[VideoId, PlainValidator(_read_id), PlainSerializer(lambda id: id.name, return_type=str)]
"""Written as its name."""


def storable_text(text: str) -> str:
    """Return text from a model as a record can hold it: cut to a sane length, with no half characters."""
    return text[:MAX_TEXT_CHARS].encode(errors="replace").decode()


class Record(BaseModel):
    """Base of everything that is stored."""

    model_config = ConfigDict(
        extra="allow",
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
    )


class PlanRecord(Record):
    """One planned video."""

    round: RoundNumber
    steps: NumSteps
    purpose: Purpose

    @property
    def id(self) -> RoundId:
        """The id of the video."""
        return RoundId(self.round)


class AnalysisRecord(Record):
    """The physics of the original prompt."""

    main_object: str
    physical_law: str


class UsageRecord(Record):
    """What the LLM cost so far, unusable replies included."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    """In the units of the config's prices; None unless every reply had its prices."""


class _NamedRecord(Record):
    """Base of what carries the id of a video."""

    id: StoredId

    @model_validator(mode="before")
    @classmethod
    def _read_version_1(cls, data: Any) -> Any:
        """``phyt2v.run/1`` had a number in place of the id, and null for the control."""
        if not isinstance(data, dict) or "id" in data or "round" not in data:
            return data
        data = dict(data)
        number = data.pop("round")
        if number is not None and type(number) is not int:
            raise ValueError("round: neither a whole number nor null")
        return data | {"id": CONTROL.name if number is None else RoundId(number).name}


class ResultRecord(_NamedRecord):
    """The video that the run hands back."""

    video: str
    prompt: str
    selected_by: str


class RunRecord(Record):
    """run.json."""

    schema_id: Schema = Field(default=SCHEMA, alias="schema")
    status: Literal["running", "interrupted", "failed", "complete"] = "running"
    prompt: str
    seed: Seed
    config: dict[str, JsonValue]
    versions: dict[str, str] = Field(default_factory=dict)
    plan: list[PlanRecord]
    analysis: AnalysisRecord | None = None
    stop_reason: StopReason | None = None
    """Why `early_stop` ended the run before its last planned round; None where it did not."""
    usage: UsageRecord = Field(default_factory=UsageRecord)
    result: ResultRecord | None = None


class ScoresRecord(Record):
    """SA and PC, each 0..1, or null where the scorer abstained."""

    semantic_adherence: float | None = Field(default=None, ge=0, le=1)
    physical_commonsense: float | None = Field(default=None, ge=0, le=1)


class ScorerRecord(ScoresRecord):
    """One scorer's scores and reasons."""

    reasons: list[str] = Field(default_factory=list)

    @classmethod
    def of(cls, scores: Scores, scorer_name: str) -> "ScorerRecord":
        """Return what is stored of a scorer's `scores`; raise BackendError where they are no scores."""
        sa, pc = scores.semantic_adherence, scores.physical_commonsense
        reasons = [storable_text(reason) for reason in scores.reasons[:MAX_REASONS]]
        try:
            return cls(semantic_adherence=sa, physical_commonsense=pc, reasons=reasons)
        except ValidationError as error:
            raise BackendError(
                f"The scorer {scorer_name} gave SA {sa!r:.40} and PC {pc!r:.40}; each must lie in 0 to 1."
            ) from error

    def to_scores(self) -> Scores:
        """Return what the scorer said."""
        return Scores(self.semantic_adherence, self.physical_commonsense, tuple(self.reasons))


class MismatchRecord(Record):
    """Where the caption departs from the prompt or from physics."""

    found: bool
    text: str


class VideoRecord(_NamedRecord):
    """roundN.json, and control.json, which ends with its scores."""

    prompt: str
    steps: NumSteps
    purpose: Purpose
    seed: Seed
    """What the video was made with: the run's own seed, unless that gave no usable frames."""
    video: str
    """Always the round's own file name, so that a record cannot point at another file."""
    sha256: str | None = None
    """Set once the video is decoded back in full; None means that there is no video to trust."""
    caption: str | None = None
    scores: ScoresRecord | None = None
    """The deciding scorer's."""
    scorers: dict[str, ScorerRecord] = Field(default_factory=dict)
    """What each scorer said, the deciding one first."""
    mismatch: MismatchRecord | None = None
    refined_prompt: str | None = None
    """The next round's prompt; set also where it was kept, so that it marks the round as finished."""
    flags: list[str] = Field(default_factory=list)
    generator: dict[str, str] = Field(default_factory=dict)
    seconds: dict[str, float] = Field(default_factory=dict)
    pixels_key: str = ""
    """Digest of what made the pixels (`identity.Recipe`): the record is trusted only if that is what the run
    would make. Empty in a record of ``phyt2v.run/1``."""
    run_key: str
    """Digest of the run's prompt and config. It tells whose record this is if run.json is lost."""

    @model_validator(mode="after")
    def _name_its_own_video(self) -> "VideoRecord":
        if self.video != self.id.video_name:
            raise ValueError("the video is not the record's own")
        return self

    def all_scores(self) -> Scores:
        """Return both scores and the reasons, all of them the deciding scorer's.

        A reason of another scorer would be read beside a score that it contradicts.
        """
        scores = self.scores or ScoresRecord()
        deciding = next(iter(self.scorers.values()), ScorerRecord())
        return Scores(scores.semantic_adherence, scores.physical_commonsense, tuple(deciding.reasons))

    def scores_by_scorer(self) -> dict[str, Scores]:
        """Return what each scorer said, by its name, the deciding one first."""
        return {name: record.to_scores() for name, record in self.scorers.items()}

    def score_pair(self) -> tuple[float, float] | None:
        """Return SA and PC, or None where one is missing."""
        scores = self.all_scores()
        if scores.semantic_adherence is None or scores.physical_commonsense is None:
            return None
        return scores.semantic_adherence, scores.physical_commonsense


_VERSIONED = ("torch", "diffusers", "transformers", "av", "numpy")


def installed_versions() -> dict[str, str]:
    """Return versions by name; without what is not installed."""
    versions = {"phyt2v": __version__, "python": platform.python_version()}
    for package in _VERSIONED:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
