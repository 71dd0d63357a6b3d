"""The four roles as Protocols, and the values they exchange.

A backend plays a role by having these methods; it inherits nothing. What goes in and comes out are plain
values that pickle, so that a role may play in another process; what a call did is in what it returns, never
in the state of the role. This file knows no model, no server, no terminal and no run directory, and imports
nothing heavy.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

from phyt2v_cli.errors import ReplyError
from phyt2v_cli.files.video import Frames

if TYPE_CHECKING:  # numpy takes 0.1 s to import, and a preview needs none of it
    import numpy as np
    import numpy.typing as npt

Latents: TypeAlias = "npt.NDArray[np.float32]"
"""Denoised latents as the autoencoder takes them, float32 whatever dtype the model computes in.

Usually (1, num_channels, num_latent_frames, height / 8, width / 8) or, of CogVideoX, with frames before
channels; of pipelines that decode pictures (num_frames, num_channels, height / 8, width / 8). The
pipeline's family decides."""

HowItRan: TypeAlias = Mapping[str, str]
"""How a model worked, by setting (offload, compile, cache, device, …), for the record of a video."""


@dataclass(frozen=True)
class DenoisingStep:
    """One denoising step that is done."""

    number: int
    """From 1. Several may be told as one, if they were done before anybody asked."""
    total: int
    how: HowItRan = field(default_factory=dict)


OnStep = Callable[[DenoisingStep], None]
"""Called after each denoising step."""

Cancelled = Callable[[], bool]
"""Whether the work is no longer wanted; asked between steps and between stages."""


def never_cancelled() -> bool:
    """Let the work go on to its end."""
    return False


@dataclass(frozen=True)
class Denoised:
    """Latents, and how they were made."""

    latents: Latents
    how: HowItRan


@dataclass(frozen=True)
class Decoded:
    """Frames, and how they were decoded."""

    frames: Frames
    how: HowItRan


Task = Literal["analysis", "mismatch", "refinement"]


class VideoGenerator(Protocol):
    """Renders a prompt in two calls, so that latents can be kept until the video is safe.

    Denoise and decode are together one critical section for each pipeline: schedulers and caches hold state.
    """

    @property
    def fps(self) -> int:
        """Frames per second of the videos."""
        ...

    @property
    def settings(self) -> HowItRan:
        """How the model would run now, to be shown. What a call did is in what it returns."""
        ...

    def count_excess_tokens(self, prompt: str) -> int:
        """Return how many tokens of `prompt` lie beyond what the text encoder reads; 0 when it fits."""
        ...

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
        """Make the latents of `prompt`; the same arguments give the same latents.

        Only of a `draft` may they be approximate. Raises RunInterruptedError once `cancelled()` is true,
        which is asked after each step, and whatever `on_step` raises.
        """
        ...

    def decode(self, latents: Latents) -> Decoded:
        """Make the frames of latents that this generator, or an equal one in another process, denoised."""
        ...


@dataclass(frozen=True)
class Message:
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class ChatRequest:
    """One question to the LLM, in both forms: as messages, and as the task and the data they were made from.

    A language model reads `messages` and answers with JSON that fits `schema`. The offline rulebook, which
    is no language model, reads `task` and `data`. Both answers go through the same validation.
    """

    task: Task
    messages: tuple[Message, ...]
    schema: Mapping[str, object]
    """JSON Schema of the reply."""
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ChatReply:
    """The LLM's answer as it came, not yet validated, and what it cost."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    problem: ReplyError | None = None
    """Why `text` is no answer: refused, empty or cut off. A value, so that its tokens are counted."""
    note: str = ""
    """What the user should know about who answered, where that matters."""


class ChatModel(Protocol):
    """Answers one request. Validation and the one re-ask live in the loop, once for all backends."""

    def reply(self, request: ChatRequest) -> ChatReply:
        """Return the answer; raise BackendError when there is none to be had."""
        ...


class VideoCaptioner(Protocol):
    """Says what is seen in a video."""

    def caption(self, video_path: Path, instruction: str) -> str:
        """Return a caption of a few sentences."""
        ...


@dataclass(frozen=True)
class Scores:
    """Semantic adherence (SA) and physical commonsense (PC), each 0..1, or None where the scorer abstains."""

    semantic_adherence: float | None
    physical_commonsense: float | None
    reasons: tuple[str, ...] = ()
    """What was deducted or why the scorer abstained, one short sentence each."""


class VideoScorer(Protocol):
    """Scores a video. PC is judged without looking at the prompt."""

    @property
    def name(self) -> str:
        """The key of this scorer in the record."""
        ...

    def score(self, video_path: Path, prompt: str) -> Scores:
        """Return the scores of a video made for `prompt`, the user's original one."""
        ...


@runtime_checkable
class Closeable(Protocol):
    """A role that holds memory or a process, which `close` frees; it is not used afterwards."""

    def close(self) -> None:
        """Free what the role holds; closing twice does nothing."""
        ...


@dataclass(frozen=True)
class Roles:
    """The four roles of a run."""

    load_generator: Callable[[], VideoGenerator]
    """Called at most once, after the physics analysis is there, and not at all where no video is missing."""
    llm: ChatModel
    captioner: VideoCaptioner
    scorers: Sequence[VideoScorer]
    """The first decides; the scores of the others are kept beside its own."""
