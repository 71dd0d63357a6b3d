"""Record of a calibration: the content of calibration.json (schema ``phyt2v.calibration/1``).

Data only, no file access and no arithmetic. Limits are for files from somebody else.
"""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from phyt2v_cli.config.generator import DraftCache
from phyt2v_cli.runs.stored import Count, Few, NumSteps, Record, Text, Versions

SCHEMA: Literal["phyt2v.calibration/1"] = "phyt2v.calibration/1"
MAX_CALIBRATION_BYTES = 2**20
MAX_TIE = 2.0
"""Largest difference of two sums of SA and PC."""

Share = Annotated[float, Field(ge=0, le=1)] | None
Rank = Annotated[float, Field(ge=-1, le=1)] | None
Difference = Annotated[float, Field(ge=0, le=MAX_TIE)] | None
Seconds = Annotated[float, Field(ge=0, le=1e9)] | None
Settings = Annotated[dict[Text, JsonValue], Few]


class SpreadRecord(Record):
    """Spread of the deciding judge's scores over the seeds of one prompt, at full steps."""

    num_groups: Count
    """Prompts and rewrites with at least two scored seeds."""
    num_videos: Count
    semantic_adherence: Difference = None
    """Pooled standard deviation over seeds; None without a group."""
    physical_commonsense: Difference = None
    total: Difference = None
    """The same of the sum of SA and PC."""
    noise_floor: Difference = None
    """Standard deviation of the difference of two such sums: `total` times the square root of two."""


class DraftRecord(Record):
    """What drafts of one setting keep of their finals, by the deciding judge."""

    name: Text
    steps: NumSteps
    cache: DraftCache | None = None
    is_look: bool = False
    """Whether it is what the model predicts after these steps of a final (`search.look_at`)."""
    num_pairs: Count
    """Drafts that are scored and whose final is scored."""
    num_left_out: Count
    """Pairs that were rendered, of which one has no score."""
    seconds: Seconds = None
    """Median seconds of denoising; on a CPU of processor time, so that other processes do no harm."""
    cost: Annotated[float, Field(ge=0, le=1e6)] | None = None
    """Median share of the final's seconds of denoising."""
    rank_over_prompts: Rank = None
    """Spearman correlation of the sums of draft and final, over all prompts and rewrites."""
    rank_within_requests: Rank = None
    """Mean over requests of the same among the rewrites of one request; None if no request has a rank."""
    num_requests: Count
    """Requests in that mean."""
    order_kept: Share = None
    """Share of the pairs of rewrites of one request, whose finals differ by more than the noise floor, that
    the drafts order in the same way. A tie of the drafts counts half."""
    num_ordered: Count
    """Number of such pairs."""
    agreement: Share = None
    """Share of the pairs in which draft and final are on the same side of the stop score."""
    num_reached: Count
    """Drafts that reach the stop score."""
    num_confirmed: Count
    """Those of them whose final does too."""
    num_suspected: Count = 0
    """Drafts that do not reach the stop score."""
    num_cleared: Count = 0
    """Those of them whose final reaches it all the same."""
    keeps_order: bool | None = None
    """Verdict by the rule of `figures`; None if there is too little to tell."""


class JudgePairRecord(Record):
    """Agreement of two judges on the same finals."""

    first: Text
    second: Text
    num_videos: Count
    rank_semantic_adherence: Rank = None
    rank_physical_commonsense: Rank = None
    agreement: Share = None
    """Share of the videos that they put on the same side of the stop score, of `num_compared`."""
    num_compared: Count
    """Videos with both scores by both judges."""


class JudgeRecord(Record):
    """One judge: how often it abstains, and what it says of the same video a second time."""

    name: Text
    num_videos: Count
    num_abstained: Count
    """Videos without one of the two scores."""
    num_retests: Count
    """Finals with scores both times."""
    mean_retest_difference: Difference = None
    """Mean absolute difference of the sums of SA and PC."""
    largest_retest_difference: Difference = None


class RecommendedRecord(Record):
    """Recommended settings; None if what was measured does not tell."""

    tie: Annotated[float, Field(ge=0, lt=MAX_TIE)] | None = None
    min_steps: NumSteps | None = None
    draft_cache: DraftCache | None = None
    look_at: Annotated[float, Field(gt=0, lt=1)] | None = None
    reasons: Annotated[list[Text], Few] = Field(default_factory=list)


class CalibrationRecord(Record):
    """Content of calibration.json."""

    schema_id: Literal["phyt2v.calibration/1"] = Field(default=SCHEMA, alias="schema")
    generator: Settings
    """Settings that pixels depend on, without defaults."""
    scorer: Settings
    """Settings of the deciding judge, without defaults."""
    judge: Text
    """Name of the deciding judge."""
    final_steps: NumSteps
    stop_score: Annotated[float, Field(ge=0, le=1)]
    """Score that both SA and PC must reach, in `agreement` and in the drafts that reached it."""
    num_prompts: Count
    num_rewrites: Count
    """Rewrites that were wanted of each prompt."""
    num_seeds: Count
    num_videos: Count
    """Videos that were rendered and judged."""
    num_planned: Count
    num_faulty: Count = 0
    """Videos without a picture, left out."""
    versions: Versions
    spread: SpreadRecord
    drafts: Annotated[list[DraftRecord], Few]
    judges: Annotated[list[JudgeRecord], Few]
    judge_pairs: Annotated[list[JudgePairRecord], Field(max_length=10_000)]
    recommended: RecommendedRecord
