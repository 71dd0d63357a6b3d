"""The video generator: any text-to-video pipeline of diffusers, loaded once and kept.

This file knows how to load and call a pipeline. It must not know rounds, schedules of steps, run directories
or the terminal, nor any family or model by name: those differences are data in `families.py`.
"""

import inspect
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline

from phyt2v_cli.backends import (
    compilation,
    draft_caches,
    latent_decoding,
    libraries,
)
from phyt2v_cli.backends.families import Family, complaints, family_of
from phyt2v_cli.backends.model_folder import ModelFolder, find_model
from phyt2v_cli.backends.placed_pipeline import PlacedPipeline
from phyt2v_cli.backends.schedulers import exact_and_deterministic
from phyt2v_cli.errors import BackendError, ConfigError, FaultyFramesError, ModelLoadError
from phyt2v_cli.interfaces import Frames, Latents, OnStep
from phyt2v_cli.settings import GeneratorConfig

_NUM_CACHED_PROMPTS = 16
"""Embeddings kept; 226 tokens of T5-XXL are 2 MB, so a whole run costs nothing worth counting."""


_UNKNOWN_SIZE = (49, 480, 720)
"""Assumed of a model whose frames and sizes the config leaves to it, to judge memory and compilation."""


def load(config: GeneratorConfig, *, num_planned_steps: int = 0) -> "DiffusersGenerator":
    """Load the pipeline that `config.model` names, for about `num_planned_steps` denoising steps.

    Raises ConfigError before anything is loaded where the family cannot make the wanted frames or sizes or
    the pipeline does not take a setting, and ModelLoadError where the model is missing, broken or unsafe.
    """
    folder = find_model(config.model)
    family = family_of(folder.pipeline_class, folder.component_configs)
    _check(config, folder, family)
    device = _choose_device(config)
    libraries.silence_libraries()
    try:
        pipeline = DiffusionPipeline.from_pretrained(
            folder.source,
            dtype=_choose_dtypes(config, family, device),
            use_safetensors=True,
            trust_remote_code=False,
        )
    except Exception as error:  # whatever is wrong inside a folder comes as any of a dozen types
        if libraries.is_out_of_memory(error):
            raise _out_of_memory("loading the model", error) from error
        raise ModelLoadError(
            f"{config.model} cannot be loaded: {libraries.first_line(error)}. "
            "Fetch the model again, or name another."
        ) from error
    if not hasattr(pipeline, "vae"):
        raise ModelLoadError(f"{config.model} ({folder.pipeline_class}) has no `vae` to decode latents with.")
    pipeline.scheduler = exact_and_deterministic(pipeline.scheduler)
    try:
        return DiffusersGenerator(pipeline, config, family, torch.device(device), num_planned_steps)
    except Exception as error:
        if libraries.is_out_of_memory(error):
            raise _out_of_memory("placing the model", error) from error
        raise


class DiffusersGenerator:
    """Renders prompts with one resident pipeline; implements `interfaces.VideoGenerator`."""

    def __init__(
        self,
        pipeline: Any,
        config: GeneratorConfig,
        family: Family,
        device: torch.device,
        num_planned_steps: int = 0,
    ) -> None:
        self._pipeline = pipeline
        self._config = config
        self._used_cache: dict[str, str] = {}
        size = (config.num_frames, config.height, config.width)
        num_pixels = math.prod(given or assumed for given, assumed in zip(size, _UNKNOWN_SIZE, strict=True))
        # before the weights move: what is hooked then stays outside of the compiled blocks
        self._compiled = _wants_compilation(pipeline, config, device, num_pixels, num_planned_steps)
        if self._compiled:
            compilation.compile_blocks(pipeline)
        self._placed = PlacedPipeline(pipeline, device=device, wanted=config.offload, num_pixels=num_pixels)
        self._call_parameters = inspect.signature(type(pipeline).__call__).parameters
        self._max_tokens = self._find_max_tokens()
        self._fps = config.fps or family.fps
        wanted = {
            "height": config.height,
            "width": config.width,
            "num_frames": config.num_frames,
            "guidance_scale": config.guidance_scale,
            "negative_prompt": config.negative_prompt or None,
            "max_sequence_length": self._max_tokens,
            "frame_rate": self._fps,
            "output_type": "np",
        }
        self._arguments = {
            name: value
            for name, value in wanted.items()
            if value is not None and name in self._call_parameters
        }
        pipeline.encode_prompt = _remember(pipeline.encode_prompt)

    @property
    def fps(self) -> int:
        """Frames per second: the config's, else what the family was trained at."""
        return self._fps

    @property
    def settings(self) -> Mapping[str, str]:
        """How the model runs."""
        placement = self._placed.placement
        return {
            "offload": placement.rung,
            "offload_reason": placement.reason,
            "tiled_decode": "on" if placement.tiled_decode else "off",
            "compile": "on" if self._compiled else "off",
            **self._used_cache,
            "device": self._placed.device.type,
            "dtype": str(_weights_dtype(self._pipeline)).removeprefix("torch."),
            "solver": type(self._pipeline.scheduler).__name__,
        }

    def count_excess_tokens(self, prompt: str) -> int:
        """Return how many tokens of `prompt` lie beyond what the text encoder is given to read."""
        num_tokens = len(self._pipeline.tokenizer(prompt, truncation=False).input_ids)
        return max(0, num_tokens - self._max_tokens) if self._max_tokens else 0

    def denoise(
        self, prompt: str, *, seed: int, num_inference_steps: int, on_step: OnStep, draft: bool = False
    ) -> Latents:
        """Return what the autoencoder will decode; the same arguments give the same latents.

        Raises BackendError when the model fails, and whatever `on_step` raises; the pipeline stays usable.
        """
        reporter = _StepReporter(on_step, num_inference_steps)

        def call() -> None:
            self._pipeline(
                prompt=prompt,
                num_inference_steps=num_inference_steps,
                generator=torch.Generator().manual_seed(seed),
                **self._arguments,
            )

        def work() -> torch.Tensor:
            with cache:
                try:
                    return latent_decoding.run_until_decode(self._pipeline, call)
                finally:
                    # The pipeline does this at its end, which is not reached: state would leak on.
                    self._pipeline.maybe_free_model_hooks()

        name = self._config.draft_cache if draft else "off"
        cache: AbstractContextManager[None] = nullcontext()
        if name != "off":
            cache = draft_caches.Cached(self._pipeline, name, self._config.draft_cache_strength)
        self._used_cache = {"cache": name}
        self._pipeline.progress_bar = reporter
        with _failures_translated("denoising", reporter):
            return self._placed.run(work).float().cpu().numpy()

    def decode(self, latents: Latents) -> Frames:
        """Return the frames of latents; raise BackendError when the model fails."""

        def work() -> Frames:
            try:
                on_device = torch.from_numpy(latents).to(self._pipeline._execution_device)
                return latent_decoding.decode(self._pipeline, on_device).cpu().numpy()
            finally:
                self._pipeline.maybe_free_model_hooks()

        with _failures_translated("decoding"):
            return self._placed.run(work, decoding=True)

    def _find_max_tokens(self) -> int | None:
        """Return how many tokens the model reads: what the transformer was made for, else the call's default.

        The tokenizer's own limit is no guide: T5 tokenizers say 512 or nothing for models made for 226.
        """
        transformer = getattr(self._pipeline, "transformer", None)
        if transformer is not None and (length := transformer.config.get("max_text_seq_length")):
            return int(length)
        if "max_sequence_length" in self._call_parameters:
            return int(self._call_parameters["max_sequence_length"].default)
        limit = self._pipeline.tokenizer.model_max_length
        return int(limit) if limit < 1_000_000 else None  # transformers says "no limit" with 1e30


class _StepReporter:
    """Stands in for `pipeline.progress_bar`: the one progress hook that every pipeline class has."""

    def __init__(self, on_step: OnStep, num_steps: int) -> None:
        self._on_step = on_step
        self._num_steps = num_steps
        self._num_done = 0
        self.stopped_by: Exception | None = None
        """What `on_step` raised, to tell it from a failure of the model."""

    def __call__(self, iterable: Iterable[Any] | None = None, **_: object) -> "_StepReporter":
        self._iterable = iterable
        self._num_done = 0
        return self

    def __iter__(self) -> Iterator[Any]:
        for item in self._iterable or ():
            yield item
            self.update()

    def __enter__(self) -> "_StepReporter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def update(self, n: int = 1) -> None:
        self._num_done += n
        try:
            self._on_step(self._num_done, self._num_steps)
        except Exception as error:
            self.stopped_by = error
            raise

    def set_postfix(self, *_: object, **__: object) -> None:
        return None


def _remember(encode_prompt: Callable[..., Any]) -> Callable[..., Any]:
    """Return `encode_prompt` with the last results kept: rounds, controls and retries ask for the same texts.

    The arguments are texts, numbers, a device and sometimes a template, all of which `repr` tells apart.
    """
    results: OrderedDict[str, Any] = OrderedDict()

    def remembering(*args: Any, **kwargs: Any) -> Any:
        key = repr((args, sorted(kwargs.items())))
        if key not in results:
            results[key] = encode_prompt(*args, **kwargs)
            if len(results) > _NUM_CACHED_PROMPTS:
                results.popitem(last=False)
        results.move_to_end(key)
        return results[key]

    return remembering


def _check(config: GeneratorConfig, folder: ModelFolder, family: Family) -> None:
    pipeline_class = getattr(diffusers, folder.pipeline_class, None)
    if pipeline_class is None:
        raise ModelLoadError(
            f"{config.model} needs the pipeline class {folder.pipeline_class}, which diffusers "
            f"{diffusers.__version__} does not have. Upgrade diffusers, or name another model."
        )
    parameters = inspect.signature(pipeline_class.__call__).parameters
    if not {"prompt", "num_frames", "num_inference_steps"} <= parameters.keys():
        raise ModelLoadError(
            f"{config.model} is a {folder.pipeline_class}, which makes no video from a text. "
            "Name another model."
        )
    lines = list(complaints(family, num_frames=config.num_frames, height=config.height, width=config.width))
    for field in ("height", "width", "guidance_scale", "negative_prompt"):
        if getattr(config, field) not in (None, "") and field not in parameters:
            lines.append(f"generator.{field}: {folder.pipeline_class} does not take it; leave it out")
    if lines:
        raise ConfigError("\n".join(lines))


def _wants_compilation(
    pipeline: Any, config: GeneratorConfig, device: torch.device, num_pixels: int, num_planned_steps: int
) -> bool:
    if config.compile != "auto":
        return config.compile == "on"
    if device.type != "cuda" or config.offload == "sequential":
        return False
    # 4x8x8 pixels make a latent one, 2x2 of these a token; twice for guidance
    return compilation.pays(pipeline, num_tokens=num_pixels // 512, num_steps=num_planned_steps)


def _choose_device(config: GeneratorConfig) -> str:
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("generator.device: torch sees no CUDA device here; use auto or cpu")
    if config.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return config.device


def _choose_dtypes(config: GeneratorConfig, family: Family, device: str) -> dict[str, torch.dtype]:
    """Return the dtype of each component. On a CPU float32: half precision is slower there, not faster."""
    name = config.dtype
    if name == "auto":
        name = "float32" if device == "cpu" else family.half_dtype
    dtypes: dict[str, torch.dtype] = {"default": getattr(torch, name)}
    if family.float32_vae:
        dtypes["vae"] = torch.float32
    return dtypes


def _weights_dtype(pipeline: Any) -> torch.dtype:
    model = getattr(pipeline, "transformer", None) or getattr(pipeline, "unet", None) or pipeline.vae
    dtype: torch.dtype = model.dtype
    return dtype


@contextmanager
def _failures_translated(doing: str, reporter: _StepReporter | None = None) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(error, FaultyFramesError) or (reporter is not None and error is reporter.stopped_by):
            raise
        if libraries.is_out_of_memory(error):
            raise _out_of_memory(doing, error) from error
        raise BackendError(f"The model failed while {doing}: {libraries.first_line(error)}.") from error


def _out_of_memory(doing: str, error: Exception) -> BackendError:
    return BackendError(
        f"Out of memory while {doing}. Use fewer frames, a smaller size, or a smaller model: "
        f"{libraries.first_line(error)}."
    )
