"""Work begun before the loop asks for it: the loop stays straight-line code, and waits less.

Nothing that is begun ahead makes the loop wait for this machine's one accelerator: the model's loading, while
a server analyses the prompt; a server's scores, while the captioner is still looking; the control, which
depends on nothing that came before, while the last video is written and judged. A pipeline is one critical
section: one denoising at most is begun ahead, and whatever else is asked of the generator lets it end at its
next step first. This file knows threads, roles and what the config says of judges; it must not know models,
servers, pipelines, run directories or the order of the rounds.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TypeVar
from weakref import WeakSet

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
    VideoCaptioner,
    VideoGenerator,
    VideoScorer,
    never_cancelled,
)

_Result = TypeVar("_Result")

Span = Callable[[str], AbstractContextManager[None]]
"""Wraps work of a name, say to draw it in a timeline."""

_begun: WeakSet[Thread] = WeakSet()


def no_span(_: str) -> AbstractContextManager[None]:
    """Span nothing."""
    return nullcontext()


def begin(work: Callable[[], _Result], *, name: str, span: Span = no_span) -> Callable[[], _Result]:
    """Start `work` in a thread called `name`; the function returned waits for what it returns or raises.

    `span` is entered in that thread, which ends with the process: whoever leaves early does not wait for it.
    """
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            with span(name):
                result = work()
            future.set_result(result)
        except BaseException as error:
            future.set_exception(error)

    thread = Thread(target=run, name=name, daemon=True)
    _begun.add(thread)
    thread.start()
    return future.result


def is_at_work() -> bool:
    """Return whether something was begun and is not done."""
    return any(thread.is_alive() for thread in _begun)


class PrefetchedScorer:
    """A scorer whose answer may have been begun; implements `roles.VideoScorer`."""

    def __init__(self, scorer: VideoScorer, prompt: str, span: Span = no_span) -> None:
        """`prompt` is the one that videos will be scored for."""
        self._scorer = scorer
        self._prompt = prompt
        self._span = span
        self._begun: dict[Path, Callable[[], Scores]] = {}

    @property
    def name(self) -> str:
        """The key of this scorer in the record."""
        return self._scorer.name

    def begin(self, video_path: Path) -> None:
        """Begin to score a video."""
        self._begun[video_path] = begin(
            lambda: self._scorer.score(video_path, self._prompt),
            name=f"score by {self.name}",
            span=self._span,
        )

    def score(self, video_path: Path, prompt: str) -> Scores:
        """Return the scores that were begun for this video and prompt, or else begin and wait."""
        begun = self._begun.pop(video_path, None)
        if begun is None or prompt != self._prompt:
            return self._scorer.score(video_path, prompt)
        return begun()


class PrefetchingCaptioner:
    """A captioner beside whose work scorers begin; implements `roles.VideoCaptioner`."""

    def __init__(self, captioner: VideoCaptioner, scorers: Sequence[PrefetchedScorer]) -> None:
        self._captioner = captioner
        self._scorers = scorers

    def caption(self, video_path: Path, instruction: str) -> str:
        """Return the caption; the scorers have begun by then."""
        for scorer in self._scorers:
            scorer.begin(video_path)
        return self._captioner.caption(video_path, instruction)


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


class PrefetchingGenerator(GeneratorWrapper):
    """A generator that can begin a denoising, one for all runs; implements `roles.VideoGenerator`."""

    def __init__(self, generator: VideoGenerator) -> None:
        """`generator` is guarded if several threads share it."""
        super().__init__(generator)
        self._begun: _Denoising | None = None
        self._begun_lock = Lock()

    def begin(self, prompt: str, *, seed: int, num_inference_steps: int, span: Span = no_span) -> None:
        """Begin to denoise what a later `denoise` is expected to ask for; it waits for this one then."""
        with self._begun_lock:
            self._stop()
            self._begun = _Denoising(self._wrapped, prompt, seed, num_inference_steps, span)

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
        """Return the latents that were begun with these arguments, or else denoise."""
        with self._begun_lock:
            begun = self._begun
            if begun is None or draft or not begun.is_of(prompt, seed, num_inference_steps):
                self._stop()
                begun = None
        if begun is not None:
            return begun.hand_over(on_step, cancelled)
        return self._wrapped.denoise(
            prompt,
            seed=seed,
            num_inference_steps=num_inference_steps,
            on_step=on_step,
            cancelled=cancelled,
            draft=draft,
        )

    def decode(self, latents: Latents) -> Decoded:
        """Return the frames of latents."""
        with self._begun_lock:
            self._stop()
        return self._wrapped.decode(latents)

    def close(self) -> None:
        """End what was begun, and free what the generator holds."""
        with self._begun_lock:
            self._stop()
        super().close()

    def _stop(self) -> None:
        if self._begun is not None:
            self._begun.stop()
        self._begun = None


class ControlPrefetcher(GeneratorWrapper):
    """A generator for one run, which begins the run's control; implements `roles.VideoGenerator`."""

    def __init__(self, generator: PrefetchingGenerator, prompt: str, seed: int, span: Span = no_span) -> None:
        """`prompt` and `seed` are those of the control."""
        super().__init__(generator)
        self._generator = generator
        self._prompt = prompt
        self._seed = seed
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
    ) -> Denoised:
        """Return the latents of `prompt`."""
        denoised = self._generator.denoise(
            prompt,
            seed=seed,
            num_inference_steps=num_inference_steps,
            on_step=on_step,
            cancelled=cancelled,
            draft=draft,
        )
        if not draft and prompt == self._prompt:
            # It is the control itself, also with another seed, or the control will be made of these latents.
            self._own_steps = num_inference_steps
        is_wanted = not draft and num_inference_steps != self._own_steps
        self._final_steps = num_inference_steps if is_wanted else None
        return denoised

    def decode(self, latents: Latents) -> Decoded:
        """Return the frames of latents; if they were denoised here for a final, the control has begun."""
        decoded = self._generator.decode(latents)
        steps, self._final_steps = self._final_steps, None
        if steps is not None:
            self._generator.begin(self._prompt, seed=self._seed, num_inference_steps=steps, span=self._span)
        return decoded


class _Denoising:
    """A denoising in a thread of its own."""

    def __init__(
        self, generator: VideoGenerator, prompt: str, seed: int, num_inference_steps: int, span: Span
    ) -> None:
        self._arguments = (prompt, seed, num_inference_steps)
        self._is_wanted = True
        self._last_step: DenoisingStep | None = None
        self._is_over = False
        self._news = Event()

        def denoise() -> Denoised:
            try:
                return generator.denoise(
                    prompt,
                    seed=seed,
                    num_inference_steps=num_inference_steps,
                    on_step=self._count,
                    cancelled=lambda: not self._is_wanted,
                )
            finally:
                self._is_over = True
                self._news.set()

        self._result = begin(denoise, name="denoise the control", span=span)

    def _count(self, step: DenoisingStep) -> None:
        self._last_step = step
        self._news.set()

    def is_of(self, *arguments: object) -> bool:
        """Return whether `hand_over` will return the latents of these arguments."""
        return self._is_wanted and arguments == self._arguments

    def hand_over(self, on_step: OnStep, cancelled: Cancelled) -> Denoised:
        """Return what was denoised, once; steps that are done already are told as one."""
        told, is_over = None, False
        try:
            while not is_over:
                self._news.wait()
                self._news.clear()
                is_over = self._is_over  # read before the last step is
                if self._last_step is not None and self._last_step != told:
                    told = self._last_step
                    on_step(told)
                    if cancelled():
                        raise RunInterruptedError("The denoising was stopped.")
            return self._result()
        finally:
            self._is_wanted = False

    def stop(self) -> None:
        """Let it end at its next step, and wait for that."""
        self._is_wanted = False
        with suppress(Exception):  # whoever wants these latents will denoise them, and hear of it then
            self._result()


def overlap(config: Config, roles: Roles, prompt: str, *, span: Span | None = None) -> Roles:
    """Return `roles` that do at the same time, in one run, what does not depend on each other.

    `prompt` is the user's own, which videos are scored for and the control is made from. What is done beside
    the loop is drawn by `span`.
    """

    span = span or no_span

    def load_generator() -> VideoGenerator:
        generator = roles.load_generator()
        if isinstance(generator, PrefetchingGenerator) and is_worth_it(config, generator.settings):
            return ControlPrefetcher(generator, prompt, config.run.seed, span)
        return generator

    return replace(_score_beside_captioning(config, roles, prompt, span), load_generator=load_generator)


def _score_beside_captioning(config: Config, roles: Roles, prompt: str, span: Span) -> Roles:
    """Return `roles` with the scorers on servers asked while the captioner is at work, all at once."""
    sections = (config.scorer, *config.scorer.others)
    if all(section.backend != "openai" for section in sections):  # of scorers given as objects there are none
        return roles
    scorers = [
        PrefetchedScorer(scorer, prompt, span) if section.backend == "openai" else scorer
        for section, scorer in zip(sections, roles.scorers, strict=True)
    ]
    prefetched = [scorer for scorer in scorers if isinstance(scorer, PrefetchedScorer)]
    return replace(roles, captioner=PrefetchingCaptioner(roles.captioner, prefetched), scorers=scorers)
