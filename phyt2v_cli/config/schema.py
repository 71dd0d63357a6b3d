"""Schema of the settings: every setting of a run with its type, default and limits, as one pydantic tree.

This file does not know the layers that a value may come from; `layers.py` does.
"""

from typing import Annotated, Literal, get_args

from pydantic import Field

from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.judges import CaptionerConfig, LlmConfig, ScorerConfig
from phyt2v_cli.config.prompts import PromptsConfig
from phyt2v_cli.config.section import Section

ScheduleKind = Literal["linear", "constant", "cosine", "geometric", "final-only"]
Steps = Annotated[int, Field(ge=1, le=1000)]

Control = Literal["original", "blind", "best-of-n"]
"""Way to spend compute without rounds, which a run's result is compared with."""

MAX_REFINEMENTS = 100

EQUAL = 1e-6
"""Sums of scores that are not further apart are equal, however well a judge is known."""

SERVER_BACKENDS = {"generator": "server", "llm": "openai", "captioner": "openai", "scorer": "openai"}
"""Backend of each role that has a server."""

OBJECT = "object: "
"""Begin of the model of a role that was given as a Python object."""


class ScheduleConfig(Section):
    """Schedule of the denoising steps over the rounds."""

    kind: ScheduleKind = "linear"
    min_steps: Steps = 20
    max_steps: Steps = 50
    steps: tuple[Steps, ...] | None = None
    """Explicit list of steps, one entry for each video. It overrides `kind`, `min_steps` and `max_steps`."""
    share_trajectory: bool = False
    """Make each video of the first steps of the last one's, so that a prompt that is kept from one round to
    the next is not denoised anew: a draft then is what the model predicts after its steps."""


class RefinementConfig(Section):
    """Refinement loop: rounds, early stop, and which video is the result."""

    rounds: Annotated[int, Field(ge=0, le=MAX_REFINEMENTS)] = 4
    """Number of refinements; the run has one video more."""
    rewrite_from: Literal["previous", "original"] = "previous"
    early_stop: bool = False
    stop_score: Annotated[float, Field(ge=0, le=1)] = 0.9
    select: Literal["last", "best"] = "last"
    control: bool = False
    """Short for `controls` with `original`."""
    controls: tuple[Control, ...] = Field(default=(), max_length=10)
    """Videos at full steps to compare the result with. `original`: the prompt as it was given. `blind`: one
    rewrite by the same LLM, which has seen no video. `best-of-n`: the original prompt with as many seeds as
    the steps of the rounds pay for; the one that the deciding scorer likes best counts."""
    max_prompt_words: Annotated[int, Field(ge=10, le=1000)] = 120

    @property
    def all_controls(self) -> tuple[Control, ...]:
        """Controls of `control` and `controls`, each once, in a fixed order."""
        wanted = {*self.controls, *(["original"] if self.control else [])}
        return tuple(one for one in get_args(Control) if one in wanted)

    @property
    def renders_original(self) -> bool:
        """Whether the original prompt with the run's seed is rendered at full steps."""
        return bool({"original", "best-of-n"} & set(self.all_controls))


class SearchConfig(Section):
    """Search among candidates in each round, and among finals in the last."""

    candidates: Annotated[int, Field(ge=1, le=26)] = 1
    """Videos of each round but the last; the one that the deciding scorer likes best is kept."""
    vary: Literal["seeds", "rewrites", "both"] = "rewrites"
    """What the further candidates of a round differ in. `rewrites`: their prompt, another rewrite by the LLM;
    in the first round a blind one. `seeds`: their seed."""
    budget: Literal["free", "equal"] = "free"
    """`equal`: drafts get fewer steps, so that the run takes no more than without candidates and further
    finals."""
    finals: Annotated[int, Field(ge=1, le=26)] = 1
    """Videos of the last round, each with another seed; the best is the result."""
    look_at: Annotated[float, Field(gt=0, lt=1)] | Literal["auto"] | None = None
    """Share of the steps after which each candidate is judged by what the model predicts; the best one takes
    the other steps too. None: all candidates take all steps. `auto`: what `calibration` recommends, else
    None."""
    tie: Annotated[float, Field(ge=0, lt=2)] = EQUAL
    """Videos whose sums of SA and PC are not further below the best one's than this are as good as it, and
    the first of them is taken. Filled in from `calibration`, if that has measured the noise."""
    calibration: str | None = Field(default=None, min_length=1)
    """File that `calibrate` has written: what it has measured of this model, size and judge is used."""
    calibration_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Checksum of `calibration`, filled in when a run begins, if something of it is used."""

    @property
    def look_share(self) -> float | None:
        """`look_at` as a number; `auto` is None until a calibration has put a number there."""
        return None if self.look_at == "auto" else self.look_at


class RunConfig(Section):
    """Settings of the run as a whole."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    probe: bool = True
    """Ask each judge on a server once before the first video is rendered, so that a dead one costs no GPU
    time."""
    max_seconds: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Time for one call, in s: later drafts get fewer steps, and then are left out, so that the final is done
    by then."""
    max_cost: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """The same for what the run costs: the LLM by its token prices, the time by `price_per_hour`."""
    price_per_hour: Annotated[float, Field(ge=0, le=1e9)] | None = None
    """Price of an hour of this machine, in the currency of the token prices."""


class ExecutionConfig(Section):
    """Where the work of a run is done: it changes no prompt and no pixel."""

    executor: Literal["auto", "threads", "ray"] = "auto"
    """`threads`: in this process, on one GPU. `ray`: in workers of a Ray cluster. auto: `ray` for a prompt
    set if a cluster is named or this machine has several GPUs, else `threads`."""
    ray_address: str = Field(default="auto", min_length=1)
    """`local`: a cluster of this machine; HOST:PORT: a running one; auto: the one that RAY_ADDRESS names or
    that runs on this machine, else `local`."""
    gpus: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """GPUs of the cluster to use; None: all."""
    workers: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Workers with a generator; None: as many as the GPUs allow, one without a GPU."""
    gpus_per_generator: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Part of a GPU that one generator takes."""
    gpus_per_judge: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Part of a GPU that one local judge takes; judges with the same model share one."""


class Config(Section):
    """Every setting of a run."""

    generator: GeneratorConfig = Field(default_factory=GeneratorConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    llm: LlmConfig = Field(default_factory=LlmConfig)
    captioner: CaptionerConfig = Field(default_factory=CaptionerConfig)
    scorer: ScorerConfig = Field(default_factory=ScorerConfig)
    prompts: PromptsConfig = Field(default_factory=PromptsConfig)
    refinement: RefinementConfig = Field(default_factory=RefinementConfig)
    search: SearchConfig = Field(default_factory=SearchConfig)
    run: RunConfig = Field(default_factory=RunConfig)
    execution: ExecutionConfig = Field(default_factory=ExecutionConfig)
