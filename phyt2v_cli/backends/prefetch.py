"""Prefetch of work in background threads, so that the loop stays straight-line code and waits less.

Three things are prefetched, and none makes the loop wait for the machine's one accelerator:

- loading the model, while a server analyses the prompt;
- scores from a server, while the captioner is at work;
- denoising the control, which depends on no earlier round, while the last video is encoded and judged.

A pipeline is one critical section. So at most one denoising is prefetched, and any other call of the
generator first stops it at its next step. This file knows threads, roles and the judges' config; it must not
know models, servers, pipelines, run directories or the order of the rounds.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock
from typing import Any

from phyt2v_cli.backends.background import Span, begin, no_span
from phyt2v_cli.backends.guard import GeneratorWrapper
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import RunInterruptedError
from phyt2v_cli.roles import (
    Cancelled,
    Decoded,
    Denoised,
    DenoisingStep,
    Latents,
    OnStep,
    Roles,
    Scores,
    Trajectory,
    VideoCaptioner,
    VideoGenerator,
    VideoScorer,
    never_cancelled,
)


class PrefetchedScorer:
    """Scorer whose scores can be prefetched; implements `roles.VideoScorer`."""

    def __init__(self, scorer: VideoScorer, prompt: str, span: Span = no_span) -> None:
        """Prefetch for `prompt`, the one that videos will be scored against."""
        self._scorer = scorer
        self._prompt = prompt
        self._span = span
        self._begun: dict[Path, Callable[[], Scores]] = {}

    @property
    def name(self) -> str:
        """Key of this scorer in the record."""
        return self._scorer.name

    def begin(self, video_path: Path) -> None:
        """Start to score a video in the background."""
        self._begun[video_path] = begin(
            lambda: self._scorer.score(video_path, self._prompt),
            name=f"score by {self.name}",
            span=self._span,
        )

    def score(self, video_path: Path, prompt: str) -> Scores:
        """Scores prefetched for this video and prompt, else scored now; raises what the scorer raises."""
        begun = self._begun.pop(video_path, None)
        if begun is None or prompt != self._prompt:
            return self._scorer.score(video_path, prompt)
        return begun()


class PrefetchingCaptioner:
    """Captioner that starts scorers before it captions; implements `roles.VideoCaptioner`."""

    def __init__(self, captioner: VideoCaptioner, scorers: Sequence[PrefetchedScorer]) -> None:
        self._captioner = captioner
        self._scorers = scorers

    def caption(self, video_path: Path, instruction: str) -> str:
        """Start the scorers on the video, then caption it."""
        for scorer in self._scorers:
            scorer.begin(video_path)
        return self._captioner.caption(video_path, instruction)


_JUDGES_ELSEWHERE = ("openai", "tracker")
"""Judges on a server or with little work on the CPU. Others may need the accelerator's memory."""


def is_worth_it(config: Config, settings: Mapping[str, str]) -> bool:
    """Check if prefetching the control pays: one is wanted, and the generator's accelerator idles before it.

    `settings` are those of `VideoGenerator.settings`.
    """
    judges = [config.captioner.backend, *(one.backend for one in (config.scorer, *config.scorer.others))]
    return (
        config.refinement.renders_original
        and settings.get("device", "cpu") != "cpu"
        and all(judge in _JUDGES_ELSEWHERE for judge in judges)
    )


class PrefetchingGenerator(GeneratorWrapper):
    """Generator that can prefetch one denoising, shared by all runs; implements `roles.VideoGenerator`."""

    def __init__(self, generator: VideoGenerator) -> None:
        """Wrap `generator`, which must be a `GuardedGenerator` if several threads share it."""
        super().__init__(generator)
        self._begun: _Denoising | None = None
        self._begun_lock = Lock()

    def begin(self, prompt: str, *, span: Span = no_span, **arguments: Any) -> None:
        """Start to denoise in the background; a later `denoise` with these arguments waits for the result.

        A prefetch that is still running is stopped first.
        """
        with self._begun_lock:
            self._stop()
            self._begun = _Denoising(self._wrapped, span, prompt, arguments)

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
        """Latents prefetched with these arguments, or else denoised now.

        Any other prefetch is stopped first. Raises RunInterruptedError once `cancelled()` is true, and what
        the wrapped generator or `on_step` raises.
        """
        wanted: dict[str, Any] = {"seed": seed, "num_inference_steps": num_inference_steps, "image": image}
        if trajectory is not None:
            wanted["trajectory"] = trajectory
        with self._begun_lock:
            begun = self._begun
            if begun is None or draft or not begun.is_of(prompt, wanted):
                self._stop()
                begun = None
        if begun is not None:
            return begun.hand_over(on_step, cancelled)
        return self._wrapped.denoise(prompt, **wanted, on_step=on_step, cancelled=cancelled, draft=draft)

    def decode(self, latents: Latents) -> Decoded:
        """Stop a running prefetch, then decode latents to frames."""
        with self._begun_lock:
            self._stop()
        return self._wrapped.decode(latents)

    def close(self) -> None:
        """Stop a running prefetch, then close the wrapped generator."""
        with self._begun_lock:
            self._stop()
        super().close()

    def _stop(self) -> None:
        if self._begun is not None:
            self._begun.stop()
        self._begun = None


class ControlPrefetcher(GeneratorWrapper):
    """Generator of one run that prefetches the run's control; implements `roles.VideoGenerator`."""

    def __init__(
        self,
        generator: PrefetchingGenerator,
        prompt: str,
        seed: int,
        span: Span = no_span,
        image: Path | None = None,
    ) -> None:
        """Wrap `generator`; `prompt`, `seed` and `image` are those of the control."""
        super().__init__(generator)
        self._generator = generator
        self._prompt = prompt
        self._arguments = {"seed": seed, "image": image}
        self._span = span
        self._final_steps: int | None = None
        self._own_steps: int | None = None

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
        """Denoise `prompt`, and note whether the control is to be prefetched after the decode."""
        denoised = self._generator.denoise(
            prompt,
            seed=seed,
            num_inference_steps=num_inference_steps,
            on_step=on_step,
            cancelled=cancelled,
            draft=draft,
            image=image,
            trajectory=trajectory,
        )
        if not draft and prompt == self._prompt:
            # This is the control itself (with whatever seed), or the control will reuse these latents.
            self._own_steps = num_inference_steps
        is_wanted = not draft and num_inference_steps != self._own_steps
        self._final_steps = num_inference_steps if is_wanted else None
        return denoised

    def decode(self, latents: Latents) -> Decoded:
        """Decode latents to frames; after those of a final, start to prefetch the control."""
        decoded = self._generator.decode(latents)
        steps, self._final_steps = self._final_steps, None
        if steps is not None:
            arguments = {**self._arguments, "num_inference_steps": steps}
            self._generator.begin(self._prompt, span=self._span, **arguments)
        return decoded


class _Denoising:
    """One denoising in a background thread."""

    def __init__(self, generator: VideoGenerator, span: Span, prompt: str, arguments: dict[str, Any]) -> None:
        self._arguments = (prompt, arguments)
        self._is_wanted = True
        self._last_step: DenoisingStep | None = None
        self._is_over = False
        self._news = Event()

        def denoise() -> Denoised:
            try:
                return generator.denoise(
                    prompt, **arguments, on_step=self._count, cancelled=lambda: not self._is_wanted
                )
            finally:
                self._is_over = True
                self._news.set()

        self._result = begin(denoise, name="denoise the control", span=span)

    def _count(self, step: DenoisingStep) -> None:
        self._last_step = step
        self._news.set()

    def is_of(self, *arguments: object) -> bool:
        """Check if `hand_over` will return the latents of these arguments."""
        return self._is_wanted and arguments == self._arguments

    def hand_over(self, on_step: OnStep, cancelled: Cancelled) -> Denoised:
        """Wait for the latents and return them; may be called once.

        Steps that are done already are reported to `on_step` as one. Raises RunInterruptedError once
        `cancelled()` is true, and what the denoising or `on_step` raises; the denoising is then stopped.
        """
        told, is_over = None, False
        try:
            while not is_over:
                self._news.wait()
                self._news.clear()
                is_over = self._is_over  # read first, so that no last step is missed
                if self._last_step is not None and self._last_step != told:
                    told = self._last_step
                    on_step(told)
                    if cancelled():
                        raise RunInterruptedError("The denoising was stopped.")
            return self._result()
        finally:
            self._is_wanted = False

    def stop(self) -> None:
        """Stop the denoising at its next step, and wait until it has ended."""
        self._is_wanted = False
        with suppress(Exception):  # a caller that still wants these latents denoises them and sees the error
            self._result()


def overlap(config: Config, roles: Roles, prompt: str, *, span: Span | None = None) -> Roles:
    """Wrap the `roles` of one run so that independent work runs at the same time.

    `prompt` is the user's own, which videos are scored against and the control is made from. Each piece of
    work in the background runs inside `span`.
    """

    span = span or no_span

    def load_generator() -> VideoGenerator:
        generator = roles.load_generator()
        if isinstance(generator, PrefetchingGenerator) and is_worth_it(config, generator.settings):
            image = None if config.generator.image is None else Path(config.generator.image)
            return ControlPrefetcher(generator, prompt, config.run.seed, span, image)
        return generator

    return replace(_score_beside_captioning(config, roles, prompt, span), load_generator=load_generator)


def _score_beside_captioning(config: Config, roles: Roles, prompt: str, span: Span) -> Roles:
    """Wrap `roles` so that all scorers on servers are asked at once, while the captioner is at work."""
    sections = (config.scorer, *config.scorer.others)
    if all(section.backend != "openai" for section in sections):  # also if scorers were given as objects
        return roles
    scorers = [
        PrefetchedScorer(scorer, prompt, span) if section.backend == "openai" else scorer
        for section, scorer in zip(sections, roles.scorers, strict=True)
    ]
    prefetched = [scorer for scorer in scorers if isinstance(scorer, PrefetchedScorer)]
    return replace(roles, captioner=PrefetchingCaptioner(roles.captioner, prefetched), scorers=scorers)
