"""Every setting of a run: its type, its default and its limits, as one pydantic tree.

This file knows no layer that a value may come from; `config.py` does.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

ScheduleKind = Literal["linear", "constant", "cosine", "geometric", "final-only"]
Steps = Annotated[int, Field(ge=1, le=1000)]


class Section(BaseModel):
    """Base of every config section: unknown keys are errors, values do not change after validation."""

    # Validators are built on first use: most commands start without them.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class GeneratorConfig(Section):
    """Which text-to-video model renders, and at what size. None means: as the model's pipeline defines it."""

    backend: Literal["diffusers"] = "diffusers"
    model: str = Field(default="tiny", min_length=1)
    """`tiny`, a local folder in diffusers layout, or a hub id."""
    num_frames: Annotated[int, Field(ge=1, le=1000)] | None = None
    height: Annotated[int, Field(ge=16, le=4096)] | None = None
    width: Annotated[int, Field(ge=16, le=4096)] | None = None
    fps: Annotated[int, Field(ge=1, le=120)] | None = None
    guidance_scale: Annotated[float, Field(ge=0, le=30)] | None = None
    negative_prompt: str = ""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    allow_truncation: bool = False
    """Render a prompt that is longer than the text encoder reads, cut to what it reads."""


class ScheduleConfig(Section):
    """Denoising steps over the rounds."""

    kind: ScheduleKind = "linear"
    min_steps: Steps = 20
    max_steps: Steps = 50
    steps: tuple[Steps, ...] | None = None
    """An explicit list, one entry for each video; it wins over `kind`, `min_steps` and `max_steps`."""


class LlmConfig(Section):
    """Who names the physics, finds the mismatch and rewrites the prompt."""

    backend: Literal["rulebook"] | None = None


class CaptionerConfig(Section):
    """Who says what is seen in a video."""

    backend: Literal["tracker"] | None = None


class ScorerConfig(Section):
    """Who scores a video."""

    backend: Literal["tracker"] | None = None


class RefinementConfig(Section):
    """The loop."""

    rounds: Annotated[int, Field(ge=0, le=100)] = 4
    """Number of refinements; the run has one video more."""
    rewrite_from: Literal["previous", "original"] = "previous"
    early_stop: bool = False
    stop_score: Annotated[float, Field(ge=0, le=1)] = 0.9
    select: Literal["last", "best"] = "last"
    control: bool = False
    max_prompt_words: Annotated[int, Field(ge=10, le=1000)] = 120


class RunConfig(Section):
    """What belongs to the run as a whole."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class Config(Section):
    """Every setting of a run."""

    generator: GeneratorConfig = Field(default_factory=GeneratorConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    llm: LlmConfig = Field(default_factory=LlmConfig)
    captioner: CaptionerConfig = Field(default_factory=CaptionerConfig)
    scorer: ScorerConfig = Field(default_factory=ScorerConfig)
    refinement: RefinementConfig = Field(default_factory=RefinementConfig)
    run: RunConfig = Field(default_factory=RunConfig)
