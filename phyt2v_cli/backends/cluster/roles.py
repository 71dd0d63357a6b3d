"""Roles whose work is done in the workers of a pool. They know pools and values; they know no run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray

from phyt2v_cli.backends.cluster.pool import Pool
from phyt2v_cli.backends.cluster.workers import GeneratorFacts
from phyt2v_cli.files.atomic import describe_os_error
from phyt2v_cli.roles import (
    Cancelled,
    ChatReply,
    ChatRequest,
    Decoded,
    Denoised,
    DenoisingStep,
    HowItRan,
    Latents,
    OnStep,
    Scores,
    Trajectory,
    never_cancelled,
)


class ClusterGenerator:
    """Generator in the workers of a pool; implements `VideoGenerator`. Thread-safe."""

    def __init__(self, pool: Pool, on_video: Callable[[], None]) -> None:
        """Call in a loaded `pool`; `on_video` is called after each video."""
        self._pool = pool
        self._on_video = on_video
        self._facts: GeneratorFacts = pool.facts

    @property
    def fps(self) -> int:
        """Frames per second of the videos."""
        return self._facts.fps

    @property
    def settings(self) -> HowItRan:
        """Settings of the first worker that has loaded."""
        return self._facts.settings

    def count_excess_tokens(self, prompt: str) -> int:
        """Count the tokens of `prompt` beyond what the text encoder reads, in any worker."""
        count: int = self._pool.ask_any("count_excess_tokens", prompt)
        return count

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
        """Denoise in a free worker, from the first step if that worker dies; `image` is sent to it."""
        told: DenoisingStep | None = None

        def listen(worker: Any, is_cancelled: bool) -> None:
            nonlocal told
            step = ray.get(worker.listen.remote(is_cancelled))
            if step is not None and step != told:
                told = step
                on_step(step)

        options = {
            "seed": seed,
            "num_inference_steps": num_inference_steps,
            "draft": draft,
            # Another worker may make the next video, so nothing is kept in this one's files.
            "trajectory": None if trajectory is None else replace(trajectory, path=None),
        }
        picture = None if image is None else (image.name, _read_content(image))
        denoised: Denoised = self._pool.call(
            "denoise", prompt, options, picture, listen=listen, cancelled=cancelled
        )
        if told is None or told.number < num_inference_steps:
            on_step(DenoisingStep(num_inference_steps, num_inference_steps, denoised.how))
        return denoised

    def decode(self, latents: Latents) -> Decoded:
        """Decode in a free worker, whichever denoised."""
        decoded: Decoded = self._pool.call("decode", latents)
        self._on_video()
        return decoded


class ClusterJudge:
    """Judge in workers; base class of the three."""

    def __init__(self, pool: Pool, section: str, name: str = "") -> None:
        """Call the role of a `section` of the config in `pool`; a scorer has a `name`."""
        self._pool = pool
        self._section = section
        self.name = name

    def probe(self) -> None:
        """Ask a worker's role whether it would answer."""
        self._pool.call("probe", self._section)

    def _judge(self, method: str, video_path: Path, text: str) -> Any:
        return self._pool.call(method, self._section, (video_path.name, _read_content(video_path)), text)


class ClusterChat(ClusterJudge):
    """LLM in workers; implements `ChatModel`."""

    def reply(self, request: ChatRequest) -> ChatReply:
        """Answer a request."""
        reply: ChatReply = self._pool.call("reply", self._section, request)
        return reply


class ClusterCaptioner(ClusterJudge):
    """Captioner in workers; implements `VideoCaptioner`."""

    def caption(self, video_path: Path, instruction: str) -> str:
        """Caption a video, whose content is sent to the worker."""
        caption: str = self._judge("caption", video_path, instruction)
        return caption


class ClusterScorer(ClusterJudge):
    """Scorer in workers; implements `VideoScorer`."""

    def score(self, video_path: Path, prompt: str) -> Scores:
        """Score a video, whose content is sent to the worker."""
        scores: Scores = self._judge("score", video_path, prompt)
        return scores


def _read_content(path: Path) -> bytes:
    """Content of a file that goes to a worker; raises FilesError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise describe_os_error(error, f"{path} could not be read") from error
