"""Records: the content of run.json, roundN.json and control.json (schema ``phyt2v.run/2``).

Data only, no file access. Unknown keys are kept and written back, so that a record made by a later phyt2v of
the same schema survives.
"""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from phyt2v_cli.config.judges import MAX_SCORERS, LlmConfig
from phyt2v_cli.config.schema import MAX_REFINEMENTS
from phyt2v_cli.errors import BackendError, RefusalError, ReplyError
from phyt2v_cli.events import Purpose
from phyt2v_cli.roles import ChatReply, Scores
from phyt2v_cli.runs.attempts import MAX_ATTEMPTS, AttemptRecord, Timestamp
from phyt2v_cli.runs.stored import (
    MAX_COUNT,
    Count,
    Few,
    NumSteps,
    Record,
    RoundNumber,
    Seed,
    StoredId,
    Text,
    UsedPrompt,
    UsedText,
    Versions,
    storable_text,
)
from phyt2v_cli.schedule import PlannedRound
from phyt2v_cli.video_id import CONTROL, LETTERS, MAX_ROUND, RoundId

Schema = Literal["phyt2v.run/1", "phyt2v.run/2"]
SCHEMA: Schema = "phyt2v.run/2"
READ_SCHEMAS = get_args(Schema)
"""Schemas of a run.json that can be read; the last one is written."""
VIDEO_SCHEMA: Literal["phyt2v.run-video/1"] = "phyt2v.run-video/1"
"""Schema of the record of a video."""

MAX_RECORD_BYTES = 16 * 2**20

MAX_REASONS = 100

STILLED = "stilled"
"""Flag of a video that hardly moves beside the first round's."""
JUDGEMENT_FLAGS = ("caption_unusable", "score_unusable", STILLED)
"""Flags that belong to the caption and the scores of a video."""

StopReason = Literal["no_mismatch", "stop_score", "user"]
Review = Literal["accepted", "edited", "kept"]
"""What the user made of a rewritten prompt: took it, wrote another, or kept the one before."""


class PlanRecord(Record):
    """One planned round."""

    round: RoundNumber
    steps: NumSteps
    purpose: Purpose
    candidates: Annotated[int, Field(ge=1, le=len(LETTERS) + 1)] = 1
    look_steps: NumSteps | None = None

    @classmethod
    def of(cls, planned: PlannedRound) -> "PlanRecord":
        """Make the record of a planned round."""
        return cls(
            round=planned.round,
            steps=planned.steps,
            purpose=planned.purpose,
            candidates=planned.num_candidates,
            look_steps=planned.look_steps,
        )


class AnalysisRecord(Record):
    """Physics analysis of the original prompt."""

    main_object: Text
    physical_law: Text


class UsageRecord(Record):
    """LLM usage so far, unusable replies included."""

    requests: Count = 0
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cost: Annotated[float, Field(ge=0)] | None = None
    """Cost in the currency of the config's prices; None unless every reply had its prices."""

    def add(self, reply: ChatReply, llm: LlmConfig) -> None:
        """Add a reply, usable or not. Without prices for all, there is no cost."""
        priced_so_far = self.cost if self.requests else 0.0
        if priced_so_far is None or llm.prompt_token_price is None or llm.completion_token_price is None:
            self.cost = None
        else:
            prompt_cost = reply.prompt_tokens * llm.prompt_token_price
            completion_cost = reply.completion_tokens * llm.completion_token_price
            self.cost = priced_so_far + (prompt_cost + completion_cost) / 1e6
        self.requests += 1
        # A server may claim any number.
        self.prompt_tokens = min(self.prompt_tokens + reply.prompt_tokens, MAX_COUNT)
        self.completion_tokens = min(self.completion_tokens + reply.completion_tokens, MAX_COUNT)


class _NamedRecord(Record):
    """Base class of records with the id of a video."""

    id: StoredId
    video: str

    @model_validator(mode="before")
    @classmethod
    def _read_version_1(cls, data: Any) -> Any:
        """Convert ``phyt2v.run/1``, which had a number in place of the id, and null for the control."""
        if not isinstance(data, dict) or "id" in data or "round" not in data:
            return data
        data = dict(data)
        number = data.pop("round")
        if number is not None and type(number) is not int:
            raise ValueError("round: neither a whole number nor null")
        return data | {"id": CONTROL.name if number is None else RoundId(number).name}


class ResultRecord(_NamedRecord):
    """Video that the run returns."""

    prompt: Text
    selected_by: Text


MAX_REPLANS = 1000


class RunRecord(Record):
    """Content of run.json."""

    schema_id: Schema = Field(default=SCHEMA, alias="schema")
    status: Literal["running", "interrupted", "failed", "complete"] = "running"
    prompt: UsedPrompt
    seed: Seed
    config: dict[str, JsonValue]
    versions: Versions = Field(default_factory=dict)
    """Versions of the first start, by name."""
    later_versions: list[Versions] = Field(default_factory=list, max_length=MAX_ATTEMPTS)
    """Versions of each later start that had others than the one before it."""
    attempts: list[AttemptRecord] = Field(default_factory=list, max_length=MAX_ATTEMPTS)
    """The latest attempts that had something to do; none in a record of an earlier phyt2v."""
    plan: list[PlanRecord] = Field(min_length=1, max_length=MAX_REFINEMENTS + 1)
    """Rounds in order, from 1; the last one is a final."""
    analysis: AnalysisRecord | None = None
    stop_reason: StopReason | None = None
    """Why the run ended before its last planned round: `early_stop`, or the user; None if it did not."""
    replanned: Annotated[list[Text], Field(max_length=MAX_REPLANS)] = Field(default_factory=list)
    """Why the plan is no longer what the config says, once for each change."""
    extended_after: Annotated[int, Field(ge=0, le=MAX_ROUND)] = 0
    """Last round when the run was extended: it and the rounds before no longer end the run. 0: never."""
    usage: UsageRecord = Field(default_factory=UsageRecord)
    result: ResultRecord | None = None

    @property
    def planned_rounds(self) -> tuple[PlannedRound, ...]:
        """Plan as the schedule makes it."""
        return tuple(
            PlannedRound(entry.round, entry.steps, entry.purpose, entry.candidates, entry.look_steps)
            for entry in self.plan
        )

    def note_replan(self, words: str) -> None:
        """Note that the plan was changed, and why."""
        self.replanned = [*self.replanned, words][-MAX_REPLANS:]

    @model_validator(mode="after")
    def _plan_all_rounds(self) -> "RunRecord":
        if [entry.round for entry in self.plan] != list(range(1, len(self.plan) + 1)):
            raise ValueError("plan: the rounds are not 1, 2, 3 and so on")
        if self.plan[-1].purpose != "final":
            raise ValueError("plan: the last round is no final")
        return self


class ScoresRecord(Record):
    """SA and PC, each 0..1, or null if the scorer abstained."""

    semantic_adherence: float | None = Field(default=None, ge=0, le=1)
    physical_commonsense: float | None = Field(default=None, ge=0, le=1)


class ScorerRecord(ScoresRecord):
    """Scores and reasons of one scorer."""

    reasons: list[Text] = Field(default_factory=list, max_length=MAX_REASONS)

    @classmethod
    def of(cls, scores: Scores, scorer_name: str) -> "ScorerRecord":
        """Make the record of a scorer's `scores`; raise BackendError if they are not in 0..1."""
        sa, pc = scores.semantic_adherence, scores.physical_commonsense
        reasons = [storable_text(reason) for reason in scores.reasons[:MAX_REASONS]]
        try:
            return cls(semantic_adherence=sa, physical_commonsense=pc, reasons=reasons)
        except ValidationError as error:
            raise BackendError(
                f"The scorer {scorer_name} gave SA {sa!r:.40} and PC {pc!r:.40}; each must lie in 0 to 1."
            ) from error

    def to_scores(self) -> Scores:
        """Scores and reasons as `Scores`."""
        return Scores(self.semantic_adherence, self.physical_commonsense, tuple(self.reasons))


class MismatchRecord(Record):
    """Mismatch: how the caption departs from the prompt or from physics."""

    found: bool
    text: UsedText


class LookRecord(Record):
    """Scores of a candidate after its first steps."""

    steps: NumSteps
    computed_steps: Annotated[int, Field(ge=0)] = 0
    """Those that no earlier video had computed."""
    scores: ScoresRecord = Field(default_factory=ScoresRecord)


class VideoRecord(_NamedRecord):
    """Content of roundN.json, and of control.json, which has no mismatch and no refined prompt."""

    schema_id: Literal["phyt2v.run-video/1"] = Field(default=VIDEO_SCHEMA, alias="schema")
    """Records of ``phyt2v.run/1`` have none."""
    prompt: Text
    steps: NumSteps
    trajectory_steps: NumSteps | None = None
    """Steps of the denoising of which the video takes its own; None: it has one to itself."""
    look: LookRecord | None = None
    purpose: Purpose
    seed: Seed
    """Seed of the video: the run's seed, unless that gave no usable frames."""
    sha256: str | None = None
    """Checksum, set once the video is decoded back in full; None: there is no video to trust."""
    caption: Text | None = None
    scores: ScoresRecord | None = None
    """Scores of the deciding scorer."""
    scorers: dict[Text, ScorerRecord] = Field(default_factory=dict, max_length=MAX_SCORERS)
    """Scores by the name of the scorer, the deciding scorer first."""
    motion: Annotated[float, Field(ge=0, le=1)] | None = None
    """Amount of motion (`files/motion.py`), measured before the video is scored."""
    mismatch: MismatchRecord | None = None
    refined_prompt: UsedPrompt | None = None
    """Prompt of the next round. Set also if the prompt was kept, so that it marks the round as finished."""
    review: Review | None = None
    """Decision of the user about that prompt; None if nobody decided."""
    ends_drafts: bool = False
    """Whether the user wants the final next."""
    is_chosen: bool = False
    """Whether it is the one of several candidates that the run continues with."""
    flags: Annotated[list[Text], Few] = Field(default_factory=list)
    """What was not as usual; see `flag_unusable` for what a judge could not say."""
    generator: Annotated[dict[Text, Text], Few] = Field(default_factory=dict)
    seconds: Annotated[dict[Text, Annotated[float, Field(ge=0, le=1e9)]], Few] = Field(default_factory=dict)
    """Duration of each stage, in s."""
    started: Timestamp | None = None
    """Start of its first stage; None in a record of an earlier phyt2v."""
    finished: Timestamp | None = None
    """End of its latest stage, which another attempt may have done."""
    pixels_key: str = ""
    """Digest of what made the pixels (`identity.Recipe`). The record is trusted only if the run would make
    the same pixels. Empty in a record of ``phyt2v.run/1``."""
    run_key: str
    """Digest of the run's prompt and config: identifies the run of this record if run.json is lost."""

    @model_validator(mode="after")
    def _name_its_own_video(self) -> Self:
        if self.video != self.id.video_name:
            raise ValueError("the video is not the record's own, so that it would point at another file")
        return self

    def go_on(self, steps: int, purpose: Purpose) -> None:
        """Make the look that this video is one of `steps` steps, which is still to be rendered."""
        scores = self.scores or ScoresRecord()
        self.look = LookRecord(steps=self.steps, computed_steps=self.computed_steps, scores=scores)
        self.steps, self.purpose, self.sha256 = steps, purpose, None
        self.forget_judgement()

    def decide(self, prompt: str, *, is_final: bool = False) -> None:
        """Set the user's prompt for the next round in place of the rewritten one."""
        accepted, kept = prompt == self.refined_prompt, prompt == self.prompt
        self.review = "accepted" if accepted else "kept" if kept else "edited"
        self.refined_prompt, self.ends_drafts = prompt, is_final or self.ends_drafts

    def flag_unusable(self, what: str, error: ReplyError) -> None:
        """Note that no usable `what` (caption, score, mismatch, refinement) came, and if it was refused."""
        for flag in (f"{what}_unusable", *(["refused"] if isinstance(error, RefusalError) else [])):
            if flag not in self.flags:
                self.flags.append(flag)

    def is_unusable(self, what: str) -> bool:
        """Check if no usable `what` came, though it was asked for."""
        return f"{what}_unusable" in self.flags

    def forget_judgement(self) -> None:
        """Forget caption, scores and motion, for example of a video that was lost."""
        self.caption, self.scores, self.scorers, self.motion = None, None, {}, None
        self.flags = [flag for flag in self.flags if flag not in JUDGEMENT_FLAGS]

    @property
    def computed_steps(self) -> int:
        """Denoising steps that were computed for it, also for a look at it, and for no earlier video."""
        kept = self.generator.get("kept_steps", "0")
        of_look = 0 if self.look is None else self.look.computed_steps
        return self.steps - min(int(kept) if kept.isdecimal() else 0, self.steps) + of_look

    def all_scores(self) -> Scores:
        """Scores and reasons, all of them of the deciding scorer.

        A reason of another scorer would be read beside a score that it contradicts.
        """
        scores = self.scores or ScoresRecord()
        deciding = next(iter(self.scorers.values()), ScorerRecord())
        return Scores(scores.semantic_adherence, scores.physical_commonsense, tuple(deciding.reasons))

    def scores_by_scorer(self) -> dict[str, Scores]:
        """Scores by the name of the scorer, the deciding scorer first."""
        return {name: record.to_scores() for name, record in self.scorers.items()}

    def score_pair(self) -> tuple[float, float] | None:
        """SA and PC, or None if one is missing."""
        scores = self.all_scores()
        if scores.semantic_adherence is None or scores.physical_commonsense is None:
            return None
        return scores.semantic_adherence, scores.physical_commonsense
