"""Video generator on any text-to-video pipeline of diffusers, loaded once and kept.

This file knows how to load and call a pipeline. It must not know rounds, schedules of steps, run directories
or the terminal. It must not know any family or model by name: those differences are data in `families`.
"""

import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from phyt2v_cli.backends import failures
from phyt2v_cli.backends.acceleration import (
    attention,
    compilation,
    convolutions,
    draft_caches,
    normalization,
    quantization,
    text_padding,
)
from phyt2v_cli.backends.background import model_load_turn
from phyt2v_cli.backends.diffusion import lora_gguf
from phyt2v_cli.backends.diffusion.call import latent_split, trajectories, whole_call
from phyt2v_cli.backends.diffusion.call.arguments import fixed_arguments
from phyt2v_cli.backends.diffusion.call.previews import Previews
from phyt2v_cli.backends.diffusion.call.prompt_cache import remember
from phyt2v_cli.backends.diffusion.call.prompt_length import find_prompt_length
from phyt2v_cli.backends.diffusion.call.step_reporter import StepReporter
from phyt2v_cli.backends.diffusion.checked import check
from phyt2v_cli.backends.diffusion.conditioning import call_arguments, picture_arguments
from phyt2v_cli.backends.diffusion.families.family import Family
from phyt2v_cli.backends.diffusion.geometry import check_size, video_size
from phyt2v_cli.backends.diffusion.pipeline import configs_of, load_pipeline
from phyt2v_cli.backends.diffusion.several_gpus import ALONE, SharedDenoiser, Sharing, with_room
from phyt2v_cli.backends.diffusion.signature import fps_of
from phyt2v_cli.backends.diffusion.solvers import choose_solver
from phyt2v_cli.backends.memory import residency
from phyt2v_cli.backends.memory.activations import VideoSize
from phyt2v_cli.backends.memory.placement import PlacedPipeline
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import (
    ConfigError,
    LatentsError,
    ModelLoadError,
    PromptError,
    RunInterruptedError,
)
from phyt2v_cli.files.video import Frames
from phyt2v_cli.roles import (
    Cancelled,
    Decoded,
    Denoised,
    DenoisingStep,
    HowItRan,
    Latents,
    OnStep,
    Trajectory,
    never_cancelled,
)


def load(config: GeneratorConfig, *, num_planned_steps: int = 0) -> "DiffusersGenerator":
    """Load the pipeline that `config.model` names, for about `num_planned_steps` denoising steps.

    Raises what `check` raises before the weights are loaded, and ConfigError after that if the negative
    prompt is too long. Raises BackendError if memory runs out or the model fails on a test prompt.
    """
    folder, family, pipeline_class, device, sharing, dtypes = check(config)
    source = call_arguments(config, family)
    with model_load_turn, failures.silenced(diffusers, transformers):
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
            return DiffusersGenerator(
                pipeline, config, family, source, device, num_planned_steps, sharing=sharing
            )


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
        *,
        sharing: Sharing = ALONE,
    ) -> None:
        self.pipeline = pipeline
        """Pipeline of diffusers, for inspection; whoever changes it changes the videos."""
        self._config = config
        self._draft_cache = "off" if config.draft_cache == "auto" else config.draft_cache
        sharing = with_room(sharing, pipeline, config)
        num_branches = family.num_branches if sharing.branches == 1 else 1
        video = video_size(config, configs_of(pipeline), num_branches=num_branches)
        self._misfit = lora_gguf.describe_misfit(pipeline, config)
        if config.quantize != "off":
            quantization.quantize_blocks(pipeline, device)
        self.attention = attention.choose(pipeline, config.attention, video.num_tokens, device)
        """Attention kernel of the denoisers, for inspection."""
        # Before the weights are placed, so that offloading hooks stay outside of the compiled blocks.
        self._compiled = _wants_compilation(pipeline, config, device, video, num_planned_steps)
        denoisers = compilation.denoisers_of(pipeline)
        for denoiser in denoisers:
            text_padding.drop_in(denoiser)
        # Before that, since a copy of compiled blocks would call the originals.
        self.shared = [
            SharedDenoiser(one, sharing, num_tokens=video.num_tokens, attention=self.attention)
            for one in (denoisers if sharing.others else [])
        ]
        """Denoisers that several GPUs share, for inspection."""
        if self._compiled:
            replicas = [replica.module for one in self.shared for replica in one.replicas]
            compilation.compile_blocks([*denoisers, *replicas])
        if device.type == "cpu":
            convolutions.prefer_onednn(pipeline.vae)
        normalization.spread_group_norms(pipeline.vae)
        self.placed = PlacedPipeline(
            pipeline,
            device=device,
            wanted=config.offload,
            video=video,
            decodes_apart=family.decodes_apart,
        )
        """Offload level and memory need of the pipeline, for inspection."""
        self._gpus = [device] if device.type == "cuda" else []
        parameters = inspect.signature(type(pipeline).__call__).parameters
        self._decodes_apart = family.decodes_apart
        self._fps = config.fps or fps_of(family, parameters)
        self._arguments = fixed_arguments(pipeline, config, family, fps=self._fps, source=source)
        self._previews = Previews(pipeline, self._arguments, config.preview_every, device)
        if config.guidance_scale is not None and "guidance_scale" not in parameters:
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
        self._encode_prompt = getattr(pipeline, "encode_prompt", None)
        self._begin_cache_of(None)

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
            **({"decode_offload": placement.decode_level} if placement.decode_level else {}),
            "compile": "on" if self._compiled else "off",
            **self.attention.settings,
            **({} if self._config.quantize == "off" else {"quantize": self._config.quantize}),
            **({"weights": self._misfit} if self._misfit else {}),
            **(
                {} if self._decodes_apart else {"decode": "in the call that denoises, so no latents are kept"}
            ),
            **({"gpus": str(1 + len(self.shared[0].replicas))} if self.shared else {}),
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
        image: Path | None = None,
        trajectory: Trajectory | None = None,
    ) -> Denoised:
        """Denoise `prompt` to latents, as `roles.Latents`; the same arguments give the same latents.

        A `draft` uses the draft cache, if one is configured. The video begins with `image`, by default with
        the config's. Raises PromptError if that cannot be used, BackendError if the model fails,
        RunInterruptedError once `cancelled()` is true (asked after each step), and what `on_step` raises. The
        pipeline stays usable.
        """
        name = self._draft_cache if draft and trajectory is None else "off"
        how: dict[str, str] = {}

        def report(number: int, total: int) -> None:
            if not int(how.get("kept_steps", 0)) <= number <= num_inference_steps:
                return  # kept steps are reported as one, and those that are skipped are not
            preview, note = self._previews.take()
            on_step(DenoisingStep(number, min(total, num_inference_steps), self._how(name), preview, note))
            if cancelled():
                raise RunInterruptedError("The denoising was stopped.")

        reporter = StepReporter(report, num_inference_steps)
        arguments = {**self._arguments, **self._picture_arguments(image)}
        if image != self._cached_for:
            self._begin_cache_of(image)

        def call() -> Any:
            return self.pipeline(
                prompt=prompt,
                num_inference_steps=trajectory.num_steps if trajectory else num_inference_steps,
                generator=torch.Generator().manual_seed(seed),
                **arguments,
            )

        num_calls = attention.num_calls()

        def work() -> Latents:
            # Some solvers draw noise, and have no generator from the pipeline for it.
            with ExitStack() as stack:
                stack.enter_context(self._cache(name))
                stack.enter_context(self.attention.in_use())
                stack.enter_context(torch.random.fork_rng(self._gpus))
                torch.manual_seed(seed)
                if trajectory is not None:
                    denoisers = compilation.denoisers_of(self.pipeline)
                    kept = trajectories.followed(self.pipeline, denoisers, trajectory, num_inference_steps)
                    how.update(stack.enter_context(kept))
                elif self._decodes_apart:
                    stack.enter_context(self._previews.watching(num_inference_steps))
                try:
                    if self._decodes_apart:
                        return latent_split.run_until_decode(self.pipeline, call).float().cpu().numpy()
                    frames, heard = whole_call.run_whole(call)
                    sound = None
                    if heard is not None and self._config.audio:
                        seconds = len(frames) / self._fps
                        sound, told = whole_call.sound_of(self.pipeline, heard, video_seconds=seconds)
                        how.update(told)
                    return whole_call.pack(frames, sound)
                finally:
                    # The pipeline does this at its end, which is not always reached; its state would leak.
                    self.pipeline.maybe_free_model_hooks()
                    for shared in self.shared:
                        how.update(shared.end_video())

        self.pipeline.progress_bar = reporter
        with failures.translated("denoising", let_through=reporter.is_mine):
            latents = self.placed.run(work)
        return Denoised(latents, {**self._how(name), **self.attention.settings_since(num_calls), **how})

    def _begin_cache_of(self, image: Path | None) -> None:
        """Forget the encoded prompts, since some text encoders look at the picture too."""
        self._cached_for = image
        if self._encode_prompt is not None:
            self.pipeline.encode_prompt = remember(self._encode_prompt)

    def _picture_arguments(self, image: Path | None) -> Mapping[str, Any]:
        if image is None or str(image) == self._config.image:
            return {}
        if "image" not in self._arguments:
            raise PromptError(f"{image}: this model was loaded without a picture, and takes none now")
        return picture_arguments(self._config, image)

    def _how(self, cache: str) -> HowItRan:
        return {**self.settings, "cache": cache}

    def claimed(self) -> AbstractContextManager[None]:
        """Keep the weights on the accelerator inside the block, as `roles.Claimable`."""
        return residency.claimed(self.placed)

    def close(self) -> None:
        """Free the weights; the generator cannot be used afterwards."""
        self.placed.close()  # once nothing works any more
        for shared in self.shared:
            shared.close()
        self.pipeline = None

    def _cache(self, name: str) -> AbstractContextManager[None]:
        if name == "off":
            return nullcontext()
        strength = self._config.draft_cache_strength
        return draft_caches.cached(self.pipeline, name, strength, compiled=self._compiled)

    def decode(self, latents: Latents) -> Decoded:
        """Decode latents to uint8 frames of shape (num_frames, height, width, 3).

        Frames and sound that `denoise` kept in place of latents come back as they are. Raises
        FaultyFramesError if the frames are not finite, LatentsError if the model fails, did not make the
        latents, or makes another number or size of frames than the config wants, and BackendError if memory
        runs out.
        """
        if not self._decodes_apart:
            kept, sound = whole_call.unpack(latents)
            wanted = self._config.num_frames
            is_other = wanted not in (None, len(kept))
            told = {"num_frames": f"{wanted} wanted, {len(kept)} made"} if is_other else {}
            return Decoded(kept, {**self.settings, **told}, sound=sound)
        if latents.dtype == "uint8":
            raise LatentsError("The latents are none of this model's.")

        def work() -> Frames:
            try:
                on_device = torch.from_numpy(latents).to(self.pipeline._execution_device)
                return latent_split.decode(self.pipeline, on_device).cpu().numpy()
            finally:
                self.pipeline.maybe_free_model_hooks()

        with failures.translated("decoding", raised=LatentsError):
            frames = self.placed.run(work, decoding=True)
        check_size(frames, self._config)
        return Decoded(frames, self.settings)


def _wants_compilation(
    pipeline: Any, config: GeneratorConfig, device: torch.device, video: VideoSize, num_planned_steps: int
) -> bool:
    if config.compile != "auto":
        return config.compile == "on"
    if device.type != "cuda" or config.offload == "sequential":
        return False
    # Guidance doubles the tokens, in one call or in two.
    return compilation.pays(pipeline, num_tokens=2 * video.num_tokens, num_steps=num_planned_steps)


def _weights_dtype(pipeline: Any) -> Any:
    return (getattr(pipeline, "transformer", None) or getattr(pipeline, "unet", None) or pipeline.vae).dtype
