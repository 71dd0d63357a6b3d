"""A pipeline whose denoising beside the loop goes only as far as a test lets it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from phyt2v_cli.roles import (
    Cancelled,
    Decoded,
    Denoised,
    DenoisingStep,
    Latents,
    OnStep,
    Trajectory,
    never_cancelled,
)
from phyt2v_cli.testing.fakes import FakeGenerator

WAIT_S = 60


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@dataclass
class Pipeline(FakeGenerator):
    """One critical section, whose threads do as many steps beside the loop as `allow` lets them."""

    allowed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    beside: list[int] = field(default_factory=list)
    """Steps done beside the loop."""
    error: Exception | None = None
    """What such a thread raises at its end."""
    at_work: threading.Lock = field(default_factory=threading.Lock)
    is_unwanted: Cancelled = never_cancelled
    """Whether such a thread was asked to stop."""

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
        is_beside = threading.current_thread() is not threading.main_thread()

        def after_step(step: DenoisingStep) -> None:
            if is_beside:
                assert self.allowed.acquire(timeout=WAIT_S)
            on_step(step)
            if is_beside:
                self.beside.append(step.number)

        if is_beside:
            self.is_unwanted = cancelled
        assert self.at_work.acquire(blocking=False), "two at once"
        try:
            denoised = super().denoise(
                prompt,
                seed=seed,
                num_inference_steps=num_inference_steps,
                on_step=after_step,
                cancelled=cancelled,
                draft=draft,
                image=image,
                trajectory=trajectory,
            )
            if is_beside and self.error is not None:
                raise self.error
            return denoised
        finally:
            self.at_work.release()

    def decode(self, latents: Latents) -> Decoded:
        assert self.at_work.acquire(blocking=False), "two at once"
        self.at_work.release()
        return super().decode(latents)

    def allow(self, num_steps: int) -> None:
        """Let so many more steps be done, and wait until they are."""
        reached = len(self.beside) + num_steps
        self.allowed.release(num_steps)
        wait_until(lambda: len(self.beside) == reached)


def end_once_unwanted(pipeline: Pipeline) -> None:
    """Let what was begun do one more step, and end there, as soon as somebody has asked it to."""
    wait_until(pipeline.at_work.locked)

    def end() -> None:
        wait_until(pipeline.is_unwanted)
        pipeline.allowed.release()

    threading.Thread(target=end, daemon=True).start()
