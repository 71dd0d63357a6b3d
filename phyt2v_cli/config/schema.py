"""Schema of the settings: every setting of a run with its type, default and limits, as one pydantic tree.

This file does not know the layers that a value may come from; `layers.py` does.
"""

from typing import Annotated, Literal

from pydantic import Field

from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.judges import CaptionerConfig, LlmConfig, ScorerConfig
from phyt2v_cli.config.prompts import PromptsConfig
from phyt2v_cli.config.section import Section

ScheduleKind = Literal["linear", "constant", "cosine", "geometric", "final-only"]
Steps = Annotated[int, Field(ge=1, le=1000)]

MAX_REFINEMENTS = 100

SERVER_BACKENDS = {"generator": "server", "llm": "openai", "captioner": "openai", "scorer": "openai"}
"""Backend of each role that has a server."""


class ScheduleConfig(Section):
    """Schedule of the denoising steps over the rounds."""

    kind: ScheduleKind = "linear"
    min_steps: Steps = 20
    max_steps: Steps = 50
    steps: tuple[Steps, ...] | None = None
    """Explicit list of steps, one entry for each video. It overrides `kind`, `min_steps` and `max_steps`."""


class RefinementConfig(Section):
    """Refinement loop: rounds, early stop, and which video is the result."""

    rounds: Annotated[int, Field(ge=0, le=MAX_REFINEMENTS)] = 4
    """Number of refinements; the run has one video more."""
    rewrite_from: Literal["previous", "original"] = "previous"
    early_stop: bool = False
    stop_score: Annotated[float, Field(ge=0, le=1)] = 0.9
    select: Literal["last", "best"] = "last"
    control: bool = False
    max_prompt_words: Annotated[int, Field(ge=10, le=1000)] = 120


class RunConfig(Section):
    """Settings of the run as a whole."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    probe: bool = True
    """Ask each judge on a server once before the first video is rendered, so that a dead one costs no GPU
    time."""


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
    run: RunConfig = Field(default_factory=RunConfig)
    execution: ExecutionConfig = Field(default_factory=ExecutionConfig)
