"""Schema of the settings: every setting of a run with its type, default and limits, as one pydantic tree.

This file does not know the layers that a value may come from; `layers.py` does.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

ScheduleKind = Literal["linear", "constant", "cosine", "geometric", "final-only"]
Steps = Annotated[int, Field(ge=1, le=1000)]

MAX_REFINEMENTS = 100
MAX_SCORERS = 100

SERVER_BACKENDS = {"generator": "server", "llm": "openai", "captioner": "openai", "scorer": "openai"}
"""Backend of each role that has a server."""

BASE_URL_PATTERN = r"\Ahttps?://[^?#@\s\x00-\x1f\x7f]+\Z"
BASE_URL_WORDS = (
    "must be a URL such as http://localhost:8000/v1: http or https, without user, password, query or spaces"
)


def _fits(pattern: str, words: str) -> AfterValidator:
    """Check of a text against `pattern`, whose error is `words` in place of a regular expression."""

    def check(text: str) -> str:
        if not re.search(pattern, text):
            raise ValueError(words)
        return text

    return AfterValidator(check)


def _as_gpus(value: object) -> object:
    """Number of GPUs from a number or a text; errors in our own words."""
    text = str(value)
    if text == "auto":
        return text
    if not (text.isdecimal() and 1 <= int(text) <= 64):
        raise ValueError("must be a number of GPUs from 1 to 64, or auto")
    return int(text)


BaseUrl = Annotated[str, _fits(BASE_URL_PATTERN, BASE_URL_WORDS)]
"""No user, password or query: the URL is stored with the run, and a secret may only ever be named."""
KeyVariable = Annotated[
    str,
    _fits(
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


class GeneratorConfig(Section):
    """Text-to-video model, its video size and how it runs. None means the default of the model's pipeline."""

    backend: Literal["diffusers", "server"] = "diffusers"
    """`diffusers`: a pipeline in this process. `server`: a video server."""
    model: str = Field(default="tiny", min_length=1)
    """`diffusers`: `tiny`, a local folder in diffusers layout, or a hub id. `server`: the model name that the
    server knows."""
    num_frames: Annotated[int, Field(ge=1, le=1000)] | None = None
    height: Annotated[int, Field(ge=16, le=4096)] | None = None
    width: Annotated[int, Field(ge=16, le=4096)] | None = None
    fps: Annotated[int, Field(ge=1, le=120)] | None = None
    guidance_scale: Annotated[float, Field(ge=0, le=30)] | None = None
    guidance_scale_2: Annotated[float, Field(ge=0, le=30)] | None = None
    """`guidance_scale` of the second transformer, if there are two; None: the same as `guidance_scale`."""
    true_cfg_scale: Annotated[float, Field(ge=0, le=30)] | None = None
    """Guidance away from the negative prompt, for models whose transformer takes `guidance_scale` as an
    input."""
    negative_prompt: str = ""
    solver: Literal["auto", "own", "ddim", "unipc", "dpm++", "flow-euler"] = "auto"
    """`own`: the pipeline's solver. `auto`: the same, or a similar one that draws no noise while it
    denoises."""
    flow_shift: Annotated[float, Field(gt=0, le=100)] | None = None
    """Shift of a flow-matching solver: larger values put more steps at high noise, which larger videos
    need."""
    lora: str | None = Field(default=None, min_length=1)
    """LoRA weights: a file, a folder or a hub id, as safetensors."""
    lora_2: str | None = Field(default=None, min_length=1)
    """LoRA weights of the second transformer, if there are two; it may be the same file."""
    lora_scale: Annotated[float, Field(ge=-10, le=10)] = 1.0
    gguf: str | None = Field(default=None, min_length=1)
    """GGUF file with the transformer's weights, quantised or not."""
    gguf_2: str | None = Field(default=None, min_length=1)
    """GGUF file with the second transformer's weights, if there are two."""
    image: str | None = Field(default=None, min_length=1)
    """First frame of every video: a picture file, scaled and cropped to the size of the video."""
    video: str | None = Field(default=None, min_length=1)
    """Video file that every video is made from, scaled and cropped to its size."""
    strength: Annotated[float, Field(gt=0, le=1)] | None = None
    """How far to depart from `video`: that share of the steps is denoised."""
    source_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """Checksum of `image` or `video`, filled in when a run begins: a changed file means another run."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    gpus: Annotated[Literal["auto"] | int, BeforeValidator(_as_gpus)] = 1
    """GPUs that make one video together: of 2 each computes one guidance branch. auto: as many as are
    there, alike and of use."""
    offload: Literal["auto", "none", "model", "group", "sequential"] = "auto"
    """Offload level: where the weights wait. auto: the fastest level that fits into the free memory."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the model's blocks. auto: on a GPU, if the planned steps pay for it."""
    quantize: Literal["off", "fp8"] = "off"
    """8-bit floating point for matrix products, in drafts and finals: faster, and not exact."""
    draft_cache: Literal["auto", "off", "first-block", "pab", "taylor"] = "auto"
    """Feature cache for drafts; finals never have one. auto: the cache that was measured to keep the order of
    drafts for the model's family. None has been measured so far, so auto means off."""
    draft_cache_strength: Annotated[float, Field(gt=0, le=20)] | None = None
    """How much the cache reuses: a threshold for `first-block`; for the others N, if every Nth step is
    computed."""
    allow_truncation: bool = False
    """Render a prompt that is longer than the text encoder reads, cut to what it reads."""
    base_url: BaseUrl | None = None
    """`server`: base URL of the video server. Setting it alone chooses `server`."""
    api_key_env: KeyVariable = "OPENAI_API_KEY"
    """`server`: environment variable that holds the API key."""
    flavour: Literal["auto", "openai", "fastvideo"] = "auto"
    """`server`: the route that makes a video. `openai`: /videos. `fastvideo`: /videos/generations. auto: the
    first, then the second."""
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 3600.0
    """`server`: timeout of one video in s, waiting in the server's queue and retries included."""
    max_retries: Annotated[int, Field(ge=0, le=20)] = 5
    """`server`: retries of one request after 408, 409, 429 and 5xx and lost connections, with jitter."""
    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """`server`: videos that it makes at a time for a prompt set; None: one."""

    @property
    def service(self) -> "ServiceConfig":
        """Server of the backend `server`, in the form that the servers of judges have."""
        return ServiceConfig(
            model=self.model,
            base_url=self.base_url,
            api_key_env=self.api_key_env,
            timeout_s=self.timeout_s,
            max_retries=self.max_retries,
            concurrency=self.concurrency,
        )


class ScheduleConfig(Section):
    """Schedule of the denoising steps over the rounds."""

    kind: ScheduleKind = "linear"
    min_steps: Steps = 20
    max_steps: Steps = 50
    steps: tuple[Steps, ...] | None = None
    """Explicit list of steps, one entry for each video. It overrides `kind`, `min_steps` and `max_steps`."""


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

    backend: Literal["tracker", "openai", "transformers", "command"] | None = None
    name: (
        Annotated[
            str,
            _fits(
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
    others: "tuple[ScorerConfig, ...]" = Field(default=(), max_length=MAX_SCORERS - 1)
    """Further scorers. Their scores are recorded beside those of this one, which decides."""

    @field_validator("others")
    @classmethod
    def _has_one_level(cls, others: "tuple[ScorerConfig, ...]") -> "tuple[ScorerConfig, ...]":
        if any(other.others for other in others):
            raise ValueError("a further scorer has no others of its own; list all of them in scorer.others")
        return others


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
    refinement: RefinementConfig = Field(default_factory=RefinementConfig)
    run: RunConfig = Field(default_factory=RunConfig)
    execution: ExecutionConfig = Field(default_factory=ExecutionConfig)
