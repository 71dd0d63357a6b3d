"""Guard of a video generator, so that several threads can share it: one render at a time.

A pipeline is one critical section, because schedulers, caches and hooks hold state while it works. Threads
that wait for it claim its place on the accelerator, so that another model takes that only once nobody waits:
the work of many runs falls into phases. This file knows the role and turns; it must not know pipelines, runs
or prompts.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeVar

from phyt2v_cli.backends.background import OwnThread
from phyt2v_cli.roles import (
    Cancelled,
    Claimable,
    Closeable,
    Decoded,
    Denoised,
    HowItRan,
    Latents,
    OnStep,
    Trajectory,
    VideoGenerator,
    never_cancelled,
)
from phyt2v_cli.turns import Turns

_Result = TypeVar("_Result")


class GeneratorWrapper:
    """Base class of generator wrappers: passes on everything but `denoise` and `decode`."""

    def __init__(self, generator: VideoGenerator) -> None:
        self._wrapped = generator

    @property
    def fps(self) -> int:
        """Frames per second of the videos."""
        return self._wrapped.fps

    @property
    def settings(self) -> HowItRan:
        """Settings with which the model would run now."""
        return self._wrapped.settings

    def count_excess_tokens(self, prompt: str) -> int:
        """Count the tokens of `prompt` beyond what the text encoder reads."""
        return self._wrapped.count_excess_tokens(prompt)

    def close(self) -> None:
        """Close the wrapped generator, if it is `Closeable`."""
        if isinstance(self._wrapped, Closeable):
            self._wrapped.close()


class GuardedGenerator(GeneratorWrapper):
    """Thread-safe generator with as many calls at a time as its turns have places; a `VideoGenerator`."""

    def __init__(
        self,
        generator: VideoGenerator,
        turns: Turns | None = None,
        thread: OwnThread | None = None,
        *,
        guards_decode: bool = True,
    ) -> None:
        """Guard `generator` with the caller's `turns`, which show who waits, or with its own.

        With `thread` the generator works there, not in the thread of each caller.
        Without `guards_decode` decoding takes no turn: that of a server's generator does not need the server.
        """
        super().__init__(generator)
        self._guards_decode = guards_decode
        self._turns = turns or Turns()
        self._thread = thread
        self._count_turn = threading.Lock()

    def count_excess_tokens(self, prompt: str) -> int:
        """Count the tokens of `prompt` beyond what the text encoder reads, without waiting for a render."""
        with self._count_turn:  # tokenizers are not thread-safe
            return super().count_excess_tokens(prompt)

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
        """Wait for its turn, then denoise `prompt`.

        Raises RunInterruptedError if `cancelled()` becomes true while it waits, and what the wrapped
        generator raises.
        """
        is_left = False

        def work() -> Denoised:
            return self._wrapped.denoise(
                prompt,
                seed=seed,
                num_inference_steps=num_inference_steps,
                on_step=on_step,
                cancelled=lambda: is_left or cancelled(),
                draft=draft,
                image=image,
                trajectory=trajectory,
            )

        with self._claimed(), self._turns.taken(cancelled):
            try:
                return self._do(work)
            except BaseException:
                is_left = True  # a KeyboardInterrupt ends only the caller's waiting for its thread
                raise

    def decode(self, latents: Latents) -> Decoded:
        """Wait for its turn, then decode latents to frames; this wait cannot be cancelled."""
        if not self._guards_decode:
            return self._wrapped.decode(latents)
        with self._claimed(), self._turns.taken():
            return self._do(lambda: self._wrapped.decode(latents))

    def _do(self, work: Callable[[], _Result]) -> _Result:
        return work() if self._thread is None else self._thread.do(work)

    def _claimed(self) -> AbstractContextManager[None]:
        return self._wrapped.claimed() if isinstance(self._wrapped, Claimable) else nullcontext()
