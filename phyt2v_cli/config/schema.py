"""Every setting of a run: its type, its default and its limits, as one pydantic tree.

This file knows no layer that a value may come from; `layers.py` does.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

ScheduleKind = Literal["linear", "constant", "cosine", "geometric", "final-only"]
Steps = Annotated[int, Field(ge=1, le=1000)]


class Section(BaseModel):
    """Base of every config section: unknown keys are errors, values do not change after validation."""

    # Validators are built on first use: most commands start without them.
    # Inputs stay out of pydantic's own messages: one may be a key in the wrong place.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, hide_input_in_errors=True)


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
    guidance_scale_2: Annotated[float, Field(ge=0, le=30)] | None = None
    """Of the second of two transformers, where there are two; none: as `guidance_scale`."""
    true_cfg_scale: Annotated[float, Field(ge=0, le=30)] | None = None
    """Guidance away from the negative prompt, where `guidance_scale` is an input of the transformer."""
    negative_prompt: str = ""
    solver: Literal["auto", "own", "ddim", "unipc", "dpm++", "flow-euler"] = "auto"
    """`own`: the pipeline's; `auto`: that too, or one like it that draws no noise while it denoises."""
    flow_shift: Annotated[float, Field(gt=0, le=100)] | None = None
    """Of a flow-matching solver: more of the steps at high noise, which larger videos need."""
    lora: str | None = Field(default=None, min_length=1)
    """A file, a folder or a hub id, with weights as safetensors."""
    lora_scale: Annotated[float, Field(ge=-10, le=10)] = 1.0
    gguf: str | None = Field(default=None, min_length=1)
    """A GGUF file with the transformer's weights, quantised or not."""
    image: str | None = Field(default=None, min_length=1)
    """A picture that every video begins with, scaled and cropped to its size."""
    video: str | None = Field(default=None, min_length=1)
    """A video that every video is made from, scaled and cropped to its size."""
    strength: Annotated[float, Field(gt=0, le=1)] | None = None
    """How far to leave `video`; that share of the steps is taken."""
    source_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Of `image` or `video`, filled in when a run begins: a changed file means another run."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    offload: Literal["auto", "none", "model", "group", "sequential"] = "auto"
    """Where the weights wait; auto: the fastest way that fits into the free memory."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the model's blocks; auto: on a GPU, where the planned steps pay for it."""
    quantize: Literal["off", "fp8"] = "off"
    """Matrix products in 8-bit floating point, in drafts and finals: faster, and not exact."""
    draft_cache: Literal["auto", "off", "first-block", "pab", "taylor"] = "auto"
    """A feature cache for drafts; finals never have one. auto: the one that was measured to keep the drafts
    of a family in order. None has been measured so far, so auto means off."""
    draft_cache_strength: Annotated[float, Field(gt=0, le=20)] | None = None
    """How much is reused: a threshold for `first-block`, every how many steps is computed for the others."""
    allow_truncation: bool = False
    """Render a prompt that is longer than the text encoder reads, cut to what it reads."""


class ScheduleConfig(Section):
    """Denoising steps over the rounds."""

    kind: ScheduleKind = "linear"
    min_steps: Steps = 20
    max_steps: Steps = 50
    steps: tuple[Steps, ...] | None = None
    """An explicit list, one entry for each video; it wins over `kind`, `min_steps` and `max_steps`."""


class ServiceConfig(Section):
    """What every role that may be played by a server, or by a local model of transformers, has in common."""

    model: str | None = Field(default=None, min_length=1)
    """`openai`: the name that the server knows; `transformers`: a local folder or a hub id."""
    base_url: str | None = Field(default=None, pattern="^https?://[^?#@]*$")
    """`openai`: any compatible endpoint; none is the vendor's own. Setting it alone chooses `openai`.

    No user, password or query: it is stored with the run, and a secret may only ever be named."""
    api_key_env: str = Field(default="OPENAI_API_KEY", pattern="^[A-Z_][A-Z0-9_]{0,63}$")
    """The environment variable that holds the key. Keys are only ever named; few look like a name."""
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    """Total time for one answer, every retry included."""
    max_retries: Annotated[int, Field(ge=0, le=20)] = 5
    """`openai`: after connection errors, 408, 409, 429 and 5xx, with jitter; Retry-After is obeyed."""
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    """Of one answer, reasoning included."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """None: as the server likes; a local model then takes the likeliest token."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """`transformers` only."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`transformers` only."""


class LlmConfig(ServiceConfig):
    """Who names the physics, finds the mismatch and rewrites the prompt."""

    backend: Literal["rulebook", "openai", "transformers"] | None = None
    prompt_token_price: Annotated[float, Field(ge=0)] | None = None
    """Currency units for a million prompt tokens; with both prices set the run's record has its cost."""
    completion_token_price: Annotated[float, Field(ge=0)] | None = None


class VlmConfig(ServiceConfig):
    """What captioner and scorer have in common."""

    num_frames: Annotated[int, Field(ge=1, le=256)] = 16
    """Frames that a VLM is shown, spread evenly over the video."""
    max_frame_size: Annotated[int, Field(ge=32, le=4096)] = 512
    """Longest side of a frame that a VLM is shown, in pixels; larger frames are scaled down."""


class CaptionerConfig(VlmConfig):
    """Who says what is seen in a video."""

    backend: Literal["tracker", "openai", "transformers"] | None = None


class ScorerConfig(VlmConfig):
    """Who scores a video."""

    backend: Literal["tracker", "openai", "transformers", "command"] | None = None
    name: str | None = Field(default=None, pattern="^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")
    """The key of its scores in the record; none: made from backend and model."""
    command: tuple[str, ...] | None = Field(default=None, min_length=1)
    """`command`: a program and its arguments, started without a shell."""
    keep_alive: bool = False
    """`command`: the program stays for the whole run, and answers each line with a line."""
    others: "tuple[ScorerConfig, ...]" = ()
    """Further scorers, whose scores are kept beside those of this one; this one decides."""

    @field_validator("others")
    @classmethod
    def _has_one_level(cls, others: "tuple[ScorerConfig, ...]") -> "tuple[ScorerConfig, ...]":
        if any(other.others for other in others):
            raise ValueError("a further scorer has no others of its own; list all of them in scorer.others")
        return others


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
