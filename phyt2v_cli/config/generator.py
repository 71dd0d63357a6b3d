"""Settings of the generator: text-to-video model, video size, and how it runs."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from phyt2v_cli.config.judges import ServiceConfig
from phyt2v_cli.config.section import BaseUrl, KeyVariable, Section


def _as_gpus(value: object) -> object:
    """Number of GPUs from a number or a text; errors in our own words."""
    text = str(value)
    if text == "auto":
        return text
    if not (text.isdecimal() and 1 <= int(text) <= 64):
        raise ValueError("must be a number of GPUs from 1 to 64, or auto")
    return int(text)


def _as_steps(value: object) -> object:
    """Number of steps from a number or a text; errors in our own words."""
    text = str(value)
    if text == "auto":
        return text
    if not (text.isdecimal() and int(text) <= 1000):
        raise ValueError("must be a number of steps from 0 to 1000, or auto")
    return int(text)


AttentionKernel = Literal["auto", "torch", "fa4"]
"""Attention kernel of the denoiser."""

DraftCache = Literal["first-block", "pab", "taylor"]
"""Feature cache for drafts."""


class GeneratorConfig(Section):
    """Text-to-video model, its video size and how it runs. None means the default of the model's pipeline."""

    backend: Literal["diffusers", "server"] = "diffusers"
    """`diffusers`: a pipeline in this process. `server`: a video server."""
    model: str = Field(default="tiny", min_length=1)
    """`diffusers`: `tiny`, a local folder in diffusers layout, or a hub id. `server`: the model name that the
    server knows."""
    revision: str | None = Field(default=None, max_length=200, pattern=r"^[\w-]+([./][\w-]+)*$")
    """Branch, tag or commit of a hub id; None: its main branch."""
    num_frames: Annotated[int, Field(ge=1, le=1000)] | None = None
    height: Annotated[int, Field(ge=16, le=4096)] | None = None
    width: Annotated[int, Field(ge=16, le=4096)] | None = None
    fps: Annotated[int, Field(ge=1, le=120)] | None = None
    audio: bool = True
    """Keep the sound of models that make one, as AAC in the mp4. Judges see frames only."""
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
    """GPUs that make one video together, by guidance branches and by tokens. auto: as many as are there,
    alike and of use."""
    offload: Literal["auto", "none", "model", "group", "sequential"] = "auto"
    """Offload level: where the weights wait. auto: the fastest level that fits into the free memory."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the model's blocks. auto: on a GPU, if the planned steps pay for it."""
    attention: AttentionKernel = "auto"
    """Attention kernel; each is exact. auto: flash-attn-4 where it is installed, on Hopper and newer GPUs.
    fa4: the same, or an error."""
    quantize: Literal["off", "fp8"] = "off"
    """8-bit floating point for matrix products, in drafts and finals: faster, and not exact."""
    draft_cache: Literal["auto", "off"] | DraftCache = "auto"
    """Feature cache for drafts; finals never have one. auto: the cheapest cache that `search.calibration` has
    measured to keep the order of drafts, and off without a calibration."""
    draft_cache_strength: Annotated[float, Field(gt=0, le=20)] | None = None
    """How much the cache reuses: a threshold for `first-block`; for the others N, if every Nth step is
    computed."""
    allow_truncation: bool = False
    """Render a prompt that is longer than the text encoder reads, cut to what it reads."""
    preview_every: Annotated[Literal["auto"] | int, BeforeValidator(_as_steps)] = "auto"
    """Denoising steps between two previews of what the model predicts, `preview.png` in the run; 0: none.
    auto: 10 on a GPU, none on a CPU. They end by themselves if they take more than 5 % of the time."""
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
    def service(self) -> ServiceConfig:
        """Server of the backend `server`, in the form that the servers of judges have."""
        return ServiceConfig(
            model=self.model,
            base_url=self.base_url,
            api_key_env=self.api_key_env,
            timeout_s=self.timeout_s,
            max_retries=self.max_retries,
            concurrency=self.concurrency,
        )
