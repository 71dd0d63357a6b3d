"""Lock around a video generator, so that several threads can share it: one render at a time.

A pipeline is one critical section, because schedulers, caches and hooks hold state while it works. This file
knows the role and threads; it must not know pipelines, runs or prompts.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phyt2v_cli.errors import RunInterruptedError
from phyt2v_cli.roles import (
    Cancelled,
    Closeable,
    Decoded,
    Denoised,
    HowItRan,
    Latents,
    OnStep,
    VideoGenerator,
    never_cancelled,
)

_POLL_S = 0.1
"""Seconds between two checks for cancellation while a thread waits for the lock."""


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
    """Thread-safe generator that runs one `denoise` or `decode` at a time; implements `VideoGenerator`."""

    def __init__(self, generator: VideoGenerator) -> None:
        super().__init__(generator)
        self._turn = threading.Lock()
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
    ) -> Denoised:
        """Wait for the lock, then denoise `prompt`.

        Raises RunInterruptedError if `cancelled()` becomes true while it waits, and what the wrapped
        generator raises.
        """
        with self._in_turn(cancelled):
            return self._wrapped.denoise(
                prompt,
                seed=seed,
                num_inference_steps=num_inference_steps,
                on_step=on_step,
                cancelled=cancelled,
                draft=draft,
                image=image,
            )

    def decode(self, latents: Latents) -> Decoded:
        """Wait for the lock, then decode latents to frames; this wait cannot be cancelled."""
        with self._turn:
            return self._wrapped.decode(latents)

    @contextmanager
    def _in_turn(self, cancelled: Cancelled) -> Iterator[None]:
        while not self._turn.acquire(timeout=_POLL_S):
            if cancelled():
                raise RunInterruptedError("The run was stopped while it waited for the generator.")
        try:
            yield
        finally:
            self._turn.release()
