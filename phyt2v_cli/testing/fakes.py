"""Fakes of the four roles: fast and deterministic, with other output for each prompt, seed, picture and
number of steps.

They record their calls. Use them to test code that is built on phyt2v, without a model.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from phyt2v_cli.errors import LatentsError, RunInterruptedError
from phyt2v_cli.events import Event
from phyt2v_cli.roles import (
    Cancelled,
    ChatReply,
    ChatRequest,
    Decoded,
    Denoised,
    DenoisingStep,
    Latents,
    OnStep,
    Roles,
    Scores,
    Trajectory,
    never_cancelled,
)

LATENTS_SHAPE = (3, 5, 8, 8)


@dataclass
class FakeGenerator:
    """Fake `VideoGenerator`: blurred noise, less of it the more steps there are. Records its calls."""

    fps: int = 8
    max_tokens: int = 60
    settings: Mapping[str, str] = field(default_factory=lambda: {"offload": "none"})
    denoised: list[tuple[str, int, int]] = field(default_factory=list)
    """Prompt, seed and steps of each call of `denoise`."""
    drafts: list[bool] = field(default_factory=list)
    """`draft` of each call of `denoise`."""
    images: list[Path | None] = field(default_factory=list)
    """`image` of each call of `denoise`."""
    trajectories: list[Trajectory | None] = field(default_factory=list)
    """`trajectory` of each call of `denoise`."""

    def count_excess_tokens(self, prompt: str) -> int:
        return max(len(prompt.split()) - self.max_tokens, 0)

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
        self.trajectories.append(trajectory)
        self.denoised.append((prompt, seed, num_inference_steps))
        self.drafts.append(draft)
        self.images.append(image)
        pixels = b"" if image is None else image.read_bytes()
        digest = hashlib.sha256(f"{seed} {prompt}".encode() + pixels).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8]))
        latents = rng.normal(size=LATENTS_SHAPE).astype(np.float32)
        for step in range(1, num_inference_steps + 1):
            latents *= np.float32(0.98)
            on_step(DenoisingStep(step, num_inference_steps, self.settings))
            if cancelled():
                raise RunInterruptedError("The denoising was stopped.")
        return Denoised(latents, self.settings)

    def decode(self, latents: Latents) -> Decoded:
        if latents.shape != LATENTS_SHAPE:
            raise LatentsError(f"These latents have the shape {latents.shape}.")
        pixels = np.clip(128 + 60 * latents, 0, 255).astype(np.uint8)
        frames = np.repeat(np.repeat(pixels, 4, axis=2), 4, axis=3).transpose(1, 2, 3, 0)
        return Decoded(frames, self.settings)


def answer(request: ChatRequest) -> str:
    """Usable reply to `request` that depends on all of its data."""
    digest = hashlib.sha256(json.dumps(dict(request.data), sort_keys=True).encode()).hexdigest()[:6]
    match request.task:
        case "analysis":
            return json.dumps(
                {"reasoning": "r", "main_object": "the ball", "physical_law": f"gravity {digest}"}
            )
        case "mismatch":
            return json.dumps({"reasoning": "r", "found": True, "text": f"it hovers {digest}"})
        case "refinement":
            return json.dumps(
                {"step_back": "s", "prompt": f"{request.data['original_prompt']}, version {digest}"}
            )


@dataclass
class FakeChat:
    """Fake `ChatModel`: takes the next scripted reply (or error) of the task, else gives a usable answer."""

    script: dict[str, list[str | Exception]] = field(default_factory=dict)
    """Replies to give, or errors to raise, by task."""
    requests: list[ChatRequest] = field(default_factory=list)

    def reply(self, request: ChatRequest) -> ChatReply:
        self.requests.append(request)
        left = self.script.get(request.task)
        scripted = left.pop(0) if left else answer(request)
        if isinstance(scripted, Exception):
            raise scripted
        return ChatReply(scripted, prompt_tokens=10, completion_tokens=2)

    def tasks(self) -> list[str]:
        """Tasks of all requests so far, in order."""
        return [request.task for request in self.requests]


@dataclass
class FakeCaptioner:
    """Fake `VideoCaptioner`: the caption is made from the digest of the video's bytes.

    If `error` is set, it is raised.
    """

    calls: int = 0
    error: Exception | None = None

    def caption(self, video_path: Path, instruction: str) -> str:
        self.calls += 1
        assert instruction
        if self.error is not None:
            raise self.error
        return f"I see {hashlib.sha256(video_path.read_bytes()).hexdigest()[:8]}"


@dataclass
class FakeScorer:
    """Fake `VideoScorer`: both scores are 0.5, unless `by_video` has others for the file name.

    If `error` is set, it is raised.
    """

    name: str = "double"
    by_video: dict[str, Scores] = field(default_factory=dict)
    error: Exception | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)
    """File name and prompt of each call of `score`."""

    def score(self, video_path: Path, prompt: str) -> Scores:
        self.calls.append((video_path.name, prompt))
        if self.error is not None:
            raise self.error
        return self.by_video.get(video_path.name, Scores(0.5, 0.5, ("half of it is missing",)))


@dataclass
class FakeRoles:
    """Fakes of all roles, with the events and calls that they saw."""

    generator: FakeGenerator = field(default_factory=FakeGenerator)
    llm: FakeChat = field(default_factory=FakeChat)
    captioner: FakeCaptioner = field(default_factory=FakeCaptioner)
    scorer: FakeScorer = field(default_factory=FakeScorer)
    other_scorers: list[FakeScorer] = field(default_factory=list)
    loads: int = 0
    events: list[Event] = field(default_factory=list)

    def roles(self) -> Roles:
        """Roles for the loop, made of these fakes."""
        return Roles(self.load_generator, self.llm, self.captioner, [self.scorer, *self.other_scorers])

    def load_generator(self) -> FakeGenerator:
        """Load the generator, and count the call in `loads`."""
        self.loads += 1
        return self.generator

    def worked(self) -> bool:
        """Check if any role was loaded or called."""
        return bool(self.loads or self.llm.requests or self.captioner.calls or self.scorer.calls)
