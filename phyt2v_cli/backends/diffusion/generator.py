"""Video generator on any text-to-video pipeline of diffusers, loaded once and kept.

This file knows how to load and call a pipeline. It must not know rounds, schedules of steps, run directories
or the terminal. It must not know any family or model by name: those differences are data in `families.py`.
"""

import inspect
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any

import diffusers
import torch
import transformers

from phyt2v_cli.backends import failures
from phyt2v_cli.backends.acceleration import compilation, draft_caches, kernels, quantization
from phyt2v_cli.backends.checkpoints.diffusers_folder import find_model
from phyt2v_cli.backends.diffusion import latent_split, lora_gguf
from phyt2v_cli.backends.diffusion.conditioning import call_arguments
from phyt2v_cli.backends.diffusion.families import Family, family_of
from phyt2v_cli.backends.diffusion.pipeline import load_pipeline
from phyt2v_cli.backends.diffusion.prompt_length import find_prompt_length
from phyt2v_cli.backends.diffusion.signature import FPS_NAMES, NUM_FRAMES_NAMES, choose_pipeline_class
from phyt2v_cli.backends.diffusion.solvers import choose_solver
from phyt2v_cli.backends.memory.device import choose_device
from phyt2v_cli.backends.memory.placement import PlacedPipeline
from phyt2v_cli.config.schema import GeneratorConfig
from phyt2v_cli.errors import BackendError, ConfigError, ModelLoadError, RunInterruptedError
from phyt2v_cli.files.video import Frames
from phyt2v_cli.quantities import count
from phyt2v_cli.roles import (
    Cancelled,
    Decoded,
    Denoised,
    DenoisingStep,
    HowItRan,
    Latents,
    OnStep,
    never_cancelled,
)

NUM_CACHED_PROMPTS = 16
"""Size of the cache of prompt embeddings; 226 tokens of T5-XXL take 2 MB, so a whole run costs little."""


_UNKNOWN_SIZE = (49, 480, 720)
"""Assumed frames, height and width if the config leaves them to the model; for memory and compilation."""


def load(config: GeneratorConfig, *, num_planned_steps: int = 0) -> "DiffusersGenerator":
    """Load the pipeline that `config.model` names, for about `num_planned_steps` denoising steps.

    Raises ConfigError before the weights are loaded if the family cannot make the wanted frames or sizes, the
    device is missing, or the pipeline does not take a setting; and after that if the negative prompt is too
    long. Raises ModelLoadError if the model is missing, broken or unsafe, and BackendError if memory runs out
    or the model fails on a test prompt.
    """
    folder = find_model(config.model)
    family = family_of(folder.pipeline_class, folder.component_configs)
    pipeline_class = choose_pipeline_class(config, folder, family)
    device = choose_device(config.device, "generator")
    dtypes = _choose_dtypes(config, family, device.type)
    quantization.check(config, device, dtypes.get("transformer", dtypes["default"]))
    transformer_class = folder.component_configs.get("transformer", {}).get("_class_name")
    lora_gguf.check(config, pipeline_class, transformer_class)
    source = call_arguments(config, family)
    with failures.silenced(diffusers, transformers):
        with failures.memory_shortage_translated("loading the model"):
            pipeline = load_pipeline(config, folder, pipeline_class, dtypes)
        if not hasattr(pipeline, "vae"):
            raise ModelLoadError(
                f"{config.model} ({folder.pipeline_class}) has no `vae` to decode latents with."
            )
        if family.tiled_vae:
            pipeline.vae.enable_tiling()
        pipeline.scheduler = choose_solver(pipeline.scheduler, config.solver, config.flow_shift)
        with failures.memory_shortage_translated("placing the model"):
            return DiffusersGenerator(pipeline, config, family, source, device, num_planned_steps)


class DiffusersGenerator:
    """Generator with one loaded pipeline; implements `roles.VideoGenerator`. Not thread-safe by itself."""

    def __init__(
        self,
        pipeline: Any,
        config: GeneratorConfig,
        family: Family,
        source: Mapping[str, Any],
        device: torch.device,
        num_planned_steps: int = 0,
    ) -> None:
        self.pipeline = pipeline
        """Pipeline of diffusers, for inspection; whoever changes it changes the videos."""
        self._config = config
        self._draft_cache = "off" if config.draft_cache == "auto" else config.draft_cache
        size = (config.num_frames, config.height, config.width)
        num_pixels = math.prod(given or assumed for given, assumed in zip(size, _UNKNOWN_SIZE, strict=True))
        self._misfit = lora_gguf.describe_misfit(pipeline, config)
        if config.quantize != "off":
            quantization.quantize_blocks(pipeline, device)
        # Before the weights are placed, so that offloading hooks stay outside of the compiled blocks.
        self._compiled = _wants_compilation(pipeline, config, device, num_pixels, num_planned_steps)
        if self._compiled:
            compilation.compile_blocks(pipeline)
        if device.type == "cpu":
            kernels.prefer_onednn(pipeline.vae)
        self.placed = PlacedPipeline(pipeline, device=device, wanted=config.offload, num_pixels=num_pixels)
        """Offload level and memory need of the pipeline, for inspection."""
        # 4x8x8 pixels make one latent pixel, and 2x2 of these one token.
        self._attention = kernels.kernel_name(pipeline, num_tokens=num_pixels // 1024 + 1, device=device)
        self._call_parameters = inspect.signature(type(pipeline).__call__).parameters
        self._fps = config.fps or family.fps
        wanted = {
            "height": config.height,
            "width": config.width,
            **dict.fromkeys(NUM_FRAMES_NAMES, config.num_frames),
            **config.model_dump(include={"guidance_scale", "guidance_scale_2", "true_cfg_scale"}),
            "negative_prompt": config.negative_prompt or None,
            "max_sequence_length": family.max_sequence_length,
            **dict.fromkeys(FPS_NAMES, self._fps),
            "output_type": "np",
            **family.call_arguments,
            **latent_split.arguments(pipeline),
            **source,
        }
        self._arguments = {
            name: value
            for name, value in wanted.items()
            if value is not None and name in self._call_parameters
        }
        if config.guidance_scale is not None and "guidance_scale" not in self._call_parameters:
            pipeline.guider = pipeline.guider.new(guidance_scale=config.guidance_scale)
        with failures.translated("reading a prompt"), torch.no_grad():
            self._prompt_length = find_prompt_length(
                pipeline, lambda prompt: pipeline(prompt=prompt, num_inference_steps=2, **self._arguments)
            )
            excess = self.count_excess_tokens(config.negative_prompt)
        if excess and not config.allow_truncation:
            raise ConfigError(
                f"generator.negative_prompt: it is {excess} tokens longer than the model reads",
                "Shorten it, or let it be cut with `allow_truncation`.",
            )
        pipeline.encode_prompt = _remember(pipeline.encode_prompt)

    @property
    def fps(self) -> int:
        """Frames per second: the config's, else those of the family's training videos."""
        return self._fps

    @property
    def settings(self) -> HowItRan:
        """Settings with which the model would run now: offload level, device, dtype, solver and others."""
        placement = self.placed.placement
        return {
            "offload": placement.level,
            "offload_reason": placement.reason,
            "tiled_decode": "on" if placement.tiled_decode else "off",
            "compile": "on" if self._compiled else "off",
            **({"attention": self._attention} if self._attention else {}),
            **({} if self._config.quantize == "off" else {"quantize": self._config.quantize}),
            **({"weights": self._misfit} if self._misfit else {}),
            "device": self.placed.device.type,
            **({"device_name": torch.cuda.get_device_name()} if self.placed.device.type == "cuda" else {}),
            "dtype": str(_weights_dtype(self.pipeline)).removeprefix("torch."),
            "solver": type(self.pipeline.scheduler).__name__,
        }

    def count_excess_tokens(self, prompt: str) -> int:
        """Count the tokens of `prompt` that the pipeline cuts off before the text encoder; 0 if it fits."""
        return self._prompt_length.count_excess(prompt) if self._prompt_length else 0

    def denoise(
        self,
        prompt: str,
        *,
        seed: int,
        num_inference_steps: int,
        on_step: OnStep,
        cancelled: Cancelled = never_cancelled,
        draft: bool = False,
    ) -> Denoised:
        """Denoise `prompt` to latents, as `roles.Latents`; the same arguments give the same latents.

        A `draft` uses the draft cache, if one is configured. Raises BackendError if the model fails,
        RunInterruptedError once `cancelled()` is true (asked after each step), and what `on_step` raises. The
        pipeline stays usable.
        """
        name = self._draft_cache if draft else "off"

        def report(number: int, total: int) -> None:
            on_step(DenoisingStep(number, total, self._how(name)))
            if cancelled():
                raise RunInterruptedError("The denoising was stopped.")

        reporter = _StepReporter(report, num_inference_steps)

        def call() -> None:
            self.pipeline(
                prompt=prompt,
                num_inference_steps=num_inference_steps,
                generator=torch.Generator().manual_seed(seed),
                **self._arguments,
            )

        def work() -> torch.Tensor:
            with self._cache(name):
                try:
                    return latent_split.run_until_decode(self.pipeline, call)
                finally:
                    # The pipeline does this at its end, which is not reached; its state would leak.
                    self.pipeline.maybe_free_model_hooks()

        self.pipeline.progress_bar = reporter
        with failures.translated("denoising", let_through=reporter.is_mine):
            latents = self.placed.run(work).float().cpu().numpy()
        return Denoised(latents, self._how(name))

    def _how(self, cache: str) -> HowItRan:
        return {**self.settings, "cache": cache}

    def close(self) -> None:
        """Free the weights; the generator cannot be used afterwards."""
        self.placed.close()
        self.pipeline = None

    def _cache(self, name: str) -> AbstractContextManager[None]:
        if name == "off":
            return nullcontext()
        strength = self._config.draft_cache_strength
        return draft_caches.cached(self.pipeline, name, strength, compiled=self._compiled)

    def decode(self, latents: Latents) -> Decoded:
        """Decode latents to uint8 frames of shape (num_frames, height, width, 3).

        Raises FaultyFramesError if the frames are not finite, and BackendError if the model fails or makes
        another number of frames than the config wants.
        """

        def work() -> Frames:
            try:
                on_device = torch.from_numpy(latents).to(self.pipeline._execution_device)
                return latent_split.decode(self.pipeline, on_device).cpu().numpy()
            finally:
                self.pipeline.maybe_free_model_hooks()

        with failures.translated("decoding"):
            frames = self.placed.run(work, decoding=True)
        wanted = self._config.num_frames
        if wanted not in (None, len(frames)):
            raise BackendError(
                f"{self._config.model} made {count(len(frames), 'frame')}, and {wanted} were wanted; it "
                "makes some lengths only.",
                f"Use `generator.num_frames={len(frames)}`, or another of those.",
            )
        return Decoded(frames, self.settings)


class _StepReporter:
    """Replacement for `pipeline.progress_bar`, the only progress hook that every pipeline class has."""

    def __init__(self, on_step: Callable[[int, int], None], num_steps: int) -> None:
        self._on_step = on_step
        self._num_steps = num_steps
        self._num_done = 0
        self._stopped_by: Exception | None = None

    def __call__(self, iterable: Iterable[Any] | None = None, total: int | None = None) -> "_StepReporter":
        self._iterable = iterable
        self._num_steps = total or self._num_steps  # video-to-video takes fewer
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
            self._stopped_by = error
            raise

    def close(self) -> None:
        return None

    def is_mine(self, error: Exception) -> bool:
        """True if `on_step` raised the error, and not the model."""
        return error is self._stopped_by


def _remember(encode_prompt: Callable[..., Any]) -> Callable[..., Any]:
    """Cache the last results of `encode_prompt`: rounds, controls and retries encode the same texts.

    The arguments are texts, numbers, a device and sometimes a template, and `repr` tells all of them apart.
    """
    results: OrderedDict[str, Any] = OrderedDict()

    def remembering(*args: Any, **kwargs: Any) -> Any:
        key = repr((args, sorted(kwargs.items())))
        if key not in results:
            results[key] = encode_prompt(*args, **kwargs)
            if len(results) > NUM_CACHED_PROMPTS:
                results.popitem(last=False)
        results.move_to_end(key)
        return results[key]

    return remembering


def _wants_compilation(
    pipeline: Any, config: GeneratorConfig, device: torch.device, num_pixels: int, num_planned_steps: int
) -> bool:
    if config.compile != "auto":
        return config.compile == "on"
    if device.type != "cuda" or config.offload == "sequential":
        return False
    # 4x8x8 pixels make one latent pixel, and 2x2 of these one token; guidance doubles the tokens.
    return compilation.pays(pipeline, num_tokens=num_pixels // 512, num_steps=num_planned_steps)


def _choose_dtypes(config: GeneratorConfig, family: Family, device: str) -> dict[str, torch.dtype]:
    """Dtype by component, with a `default`; float32 on a CPU, where half precision is slower."""
    if config.dtype == "auto":
        names = {"default": "float32"} if device == "cpu" else dict(family.half_dtypes)
    else:
        # Components that the family keeps in float32 stay so, whatever is chosen for the rest.
        whole = {part: name for part, name in family.half_dtypes.items() if name == "float32"}
        names = {"default": config.dtype, **whole}
    return {part: getattr(torch, name) for part, name in names.items()}


def _weights_dtype(pipeline: Any) -> Any:
    return (getattr(pipeline, "transformer", None) or getattr(pipeline, "unet", None) or pipeline.vae).dtype
