"""One render at a time: what a generator needs so that several threads may share it.

A pipeline is one critical section, for schedulers, caches and hooks hold state while it works. This file
knows the role and threads; it must not know pipelines, runs or prompts.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

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
"""How soon a thread that waits for its turn hears that it is no longer wanted."""


class GeneratorWrapper:
    """What of a wrapped generator stays as it is."""

    def __init__(self, generator: VideoGenerator) -> None:
        self._wrapped = generator

    @property
    def fps(self) -> int:
        """Frames per second of the videos."""
        return self._wrapped.fps

    @property
    def settings(self) -> HowItRan:
        """How the model would run now."""
        return self._wrapped.settings

    def count_excess_tokens(self, prompt: str) -> int:
        """Return how many tokens of `prompt` lie beyond what the text encoder reads."""
        return self._wrapped.count_excess_tokens(prompt)

    def close(self) -> None:
        """Free what the generator holds, if it can."""
        if isinstance(self._wrapped, Closeable):
            self._wrapped.close()


class GuardedGenerator(GeneratorWrapper):
    """A generator whose calls wait for each other; implements `roles.VideoGenerator`."""

    def __init__(self, generator: VideoGenerator) -> None:
        super().__init__(generator)
        self._turn = threading.Lock()
        self._count_turn = threading.Lock()

    def count_excess_tokens(self, prompt: str) -> int:
        """Return how many tokens of `prompt` lie beyond what the text encoder reads; nobody waits for a
        render."""
        with self._count_turn:  # a tokenizer changes while it works
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
    ) -> Denoised:
        """Make the latents of `prompt`, when it is this call's turn."""
        with self._in_turn(cancelled):
            return self._wrapped.denoise(
                prompt,
                seed=seed,
                num_inference_steps=num_inference_steps,
                on_step=on_step,
                cancelled=cancelled,
                draft=draft,
            )

    def decode(self, latents: Latents) -> Decoded:
        """Make the frames of latents, when it is this call's turn."""
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
