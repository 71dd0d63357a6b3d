"""Denoise the control while the last video is written and judged: it depends on nothing that came before.

A pipeline is one critical section. So one denoising at most is begun ahead, and whatever else is asked of the
generator lets it end at its next step first. This file knows the role, threads and what the config says of
judges; it must not know pipelines, run directories or the order of the rounds.
"""

from collections.abc import Mapping
from contextlib import suppress
from threading import Event

from phyt2v_cli.backends.ahead import Bar, begin, no_bar
from phyt2v_cli.interfaces import Frames, Latents, OnStep, VideoGenerator
from phyt2v_cli.settings import Config

_JUDGES_ELSEWHERE = ("openai", "tracker")
"""A server, or a little work on the CPU. A local model or a program may need the accelerator's memory."""


def is_worth_it(config: Config, settings: Mapping[str, str]) -> bool:
    """Return whether a control is wanted, and a generator with these settings would idle before it."""
    judges = [config.captioner.backend, *(one.backend for one in (config.scorer, *config.scorer.others))]
    return (
        config.refinement.control
        and settings.get("device", "cpu") != "cpu"
        and all(judge in _JUDGES_ELSEWHERE for judge in judges)
    )


def for_run(generator: VideoGenerator, prompt: str, seed: int, bar: Bar) -> VideoGenerator:
    """Return `generator` for one run, whose control has this prompt and seed; it is begun where it can be."""
    return ControlAhead(generator, prompt, seed, bar) if isinstance(generator, GeneratorAhead) else generator


class _Wrapper:
    """What of a generator stays as it is."""

    def __init__(self, generator: VideoGenerator) -> None:
        self._wrapped = generator

    @property
    def fps(self) -> int:
        """Frames per second of the videos."""
        return self._wrapped.fps

    @property
    def settings(self) -> Mapping[str, str]:
        """How the model runs."""
        return self._wrapped.settings

    def count_excess_tokens(self, prompt: str) -> int:
        """Return how many tokens of `prompt` lie beyond what the text encoder reads."""
        return self._wrapped.count_excess_tokens(prompt)


class GeneratorAhead(_Wrapper):
    """A generator that can begin a denoising, one for all runs; implements `interfaces.VideoGenerator`."""

    def __init__(self, generator: VideoGenerator) -> None:
        super().__init__(generator)
        self._begun: _Denoising | None = None
        self._settings_before: Mapping[str, str] | None = None

    @property
    def settings(self) -> Mapping[str, str]:
        """How the model ran what was asked for last; what was only begun may have changed it meanwhile."""
        return self._wrapped.settings if self._settings_before is None else self._settings_before

    def begin(self, prompt: str, *, seed: int, num_inference_steps: int, bar: Bar = no_bar) -> None:
        """Begin to denoise what a later `denoise` is expected to ask for; it waits for this one then."""
        self._stop()
        self._settings_before = dict(self._wrapped.settings)
        self._begun = _Denoising(self._wrapped, prompt, seed, num_inference_steps, bar)

    def denoise(
        self, prompt: str, *, seed: int, num_inference_steps: int, on_step: OnStep, draft: bool = False
    ) -> Latents:
        """Return the latents that were begun with these arguments, or else denoise."""
        if self._begun is not None and not draft and self._begun.is_of(prompt, seed, num_inference_steps):
            self._settings_before = None
            return self._begun.hand_over(on_step)
        self._stop()
        return self._wrapped.denoise(
            prompt, seed=seed, num_inference_steps=num_inference_steps, on_step=on_step, draft=draft
        )

    def decode(self, latents: Latents) -> Frames:
        """Return the frames of latents."""
        self._stop()
        return self._wrapped.decode(latents)

    def _stop(self) -> None:
        if self._begun is not None:
            self._begun.stop()
        self._begun = self._settings_before = None


class ControlAhead(_Wrapper):
    """A generator for one run, which begins the run's control; implements `interfaces.VideoGenerator`."""

    def __init__(self, generator: GeneratorAhead, prompt: str, seed: int, bar: Bar = no_bar) -> None:
        """`prompt` and `seed` are those of the control."""
        super().__init__(generator)
        self._generator = generator
        self._prompt = prompt
        self._seed = seed
        self._bar = bar
        self._final_steps: int | None = None
        self._own_steps: int | None = None

    def denoise(
        self, prompt: str, *, seed: int, num_inference_steps: int, on_step: OnStep, draft: bool = False
    ) -> Latents:
        """Return the latents of `prompt`."""
        latents = self._generator.denoise(
            prompt, seed=seed, num_inference_steps=num_inference_steps, on_step=on_step, draft=draft
        )
        if not draft and prompt == self._prompt:
            # It is the control itself, also with another seed, or the control will be made of these latents.
            self._own_steps = num_inference_steps
        is_wanted = not draft and num_inference_steps != self._own_steps
        self._final_steps = num_inference_steps if is_wanted else None
        return latents

    def decode(self, latents: Latents) -> Frames:
        """Return the frames of latents; if they were denoised here for a final, the control has begun."""
        frames = self._generator.decode(latents)
        steps, self._final_steps = self._final_steps, None
        if steps is not None:
            self._generator.begin(self._prompt, seed=self._seed, num_inference_steps=steps, bar=self._bar)
        return frames


class _NotWanted(Exception):  # noqa: N818 - no error: the way out of a denoising
    pass


class _Denoising:
    """A denoising in a thread of its own."""

    def __init__(
        self, generator: VideoGenerator, prompt: str, seed: int, num_inference_steps: int, bar: Bar
    ) -> None:
        self._arguments = (prompt, seed, num_inference_steps)
        self._is_wanted = True
        self._steps_done: tuple[int, int] | None = None
        self._is_over = False
        self._news = Event()

        def denoise() -> Latents:
            try:
                return generator.denoise(
                    prompt, seed=seed, num_inference_steps=num_inference_steps, on_step=self._count
                )
            finally:
                self._is_over = True
                self._news.set()

        self._result = begin(denoise, name="denoise the control", bar=bar)

    def _count(self, step: int, steps: int) -> None:
        if not self._is_wanted:
            raise _NotWanted
        self._steps_done = (step, steps)
        self._news.set()

    def is_of(self, *arguments: object) -> bool:
        """Return whether `hand_over` will return the latents of these arguments."""
        return self._is_wanted and arguments == self._arguments

    def hand_over(self, on_step: OnStep) -> Latents:
        """Return the latents, once; steps that are done already are told as one."""
        told, is_over = None, False
        try:
            while not is_over:
                self._news.wait()
                self._news.clear()
                is_over = self._is_over  # read before the last step is
                if self._steps_done is not None and self._steps_done != told:
                    told = self._steps_done
                    on_step(*told)
            return self._result()
        finally:
            self._is_wanted = False

    def stop(self) -> None:
        """Let it end at its next step, and wait for that."""
        self._is_wanted = False
        with suppress(Exception):  # whoever wants these latents will denoise them, and hear of it then
            self._result()
