"""Protocols of the four roles (generator, LLM, captioner, scorer), and the values that they exchange.

A backend implements a role by having its methods; there is no base class. Arguments and results are plain
values that pickle, so that a role may run in another process. What a call did is in its result, never in the
state of the role. This file knows no model, server, terminal or run directory, and imports nothing heavy.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

from phyt2v_cli.errors import ReplyError
from phyt2v_cli.files.sound import Sound
from phyt2v_cli.files.video import Frames

if TYPE_CHECKING:  # numpy takes 0.1 s to import, and a preview does not need it
    import numpy as np
    import numpy.typing as npt

Latents: TypeAlias = "npt.NDArray[np.float32 | np.uint8]"
"""Denoised latents in the form that the autoencoder takes, float32 whatever dtype the model computes in.

Usually (1, num_channels, num_latent_frames, height / 8, width / 8), or with frames before channels.
Pipelines that decode pictures have (num_frames, num_channels, height / 8, width / 8). The pipeline's
family decides. A pipeline that cannot be stopped before it decodes hands over its frames instead, uint8
(num_frames, height, width, 3), or with sound both in one, uint8 (num_bytes,). So does a server its mp4."""

HowItRan: TypeAlias = Mapping[str, str]
"""Settings that a model ran with, by name (offload, compile, cache, device, …), for the record of a video."""


@dataclass(frozen=True)
class DenoisingStep:
    """One finished denoising step."""

    number: int
    """From 1. Numbers may be skipped: steps that were done before anybody listened are reported as one."""
    total: int
    how: HowItRan = field(default_factory=dict)
    preview: "Frames | None" = field(default=None, compare=False)
    """A few small frames of the video that the model predicts by now, after some of the steps."""
    note: str = ""
    """What the user should know from now on."""


OnStep = Callable[[DenoisingStep], None]
"""Callback after each denoising step."""

Cancelled = Callable[[], bool]
"""Cancellation flag: True if the work is no longer wanted. Polled between steps and between stages."""


def never_cancelled() -> bool:
    """Never cancel: the default `Cancelled`."""
    return False


@dataclass(frozen=True)
class Denoised:
    """Latents, and the settings that they were made with."""

    latents: Latents
    how: HowItRan


@dataclass(frozen=True)
class Decoded:
    """Frames, uint8 (num_frames, height, width, 3), and the settings that they were decoded with."""

    frames: Frames
    how: HowItRan
    encoded: bytes | None = None
    """mp4 with these frames, if the generator made one: it is kept as it is, and no other is encoded."""
    sound: Sound | None = None
    """Sound that goes with the frames, if the model made one."""


@dataclass(frozen=True)
class Trajectory:
    """Denoising that several videos share: each takes the first of its steps, a later one more of them."""

    num_steps: int
    """Steps of the whole: those of the last video."""
    key: str = ""
    """Digest of what the steps depend on."""
    path: Path | None = None
    """File that keeps what the steps have computed, for the next video; None: nothing is kept."""


Task = Literal["analysis", "mismatch", "refinement"]


class VideoGenerator(Protocol):
    """Text-to-video model that renders a prompt in two calls.

    So latents can be kept until the video is verified. One pipeline may run only one `denoise` or `decode` at
    a time: schedulers and caches hold state.
    """

    @property
    def fps(self) -> int:
        """Frames per second of the videos."""
        ...

    @property
    def settings(self) -> HowItRan:
        """Settings that the model would run with now, for display. What a call did is in its result."""
        ...

    def count_excess_tokens(self, prompt: str) -> int:
        """Count the tokens of `prompt` beyond what the text encoder reads; 0 if the prompt fits."""
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
        image: Path | None = None,
        trajectory: Trajectory | None = None,
    ) -> Denoised:
        """Denoise the latents of `prompt`. The same arguments give the same latents.

        With `draft` the latents may be approximate, as with a feature cache. The video begins with
        `image`, by default with the picture that the generator was made with, if any. With `trajectory` the
        steps are the first ones of its `num_steps`, and the latents those of the clean video that the model
        predicts after them; what its file has is not computed again, and changes no latents. Raises
        RunInterruptedError once `cancelled()` is true, which is polled after each step, and what `on_step`
        raises.
        """
        ...

    def decode(self, latents: Latents) -> Decoded:
        """Decode latents to frames, uint8 (num_frames, height, width, 3).

        The latents come from this generator, or from an equal one in another process. Raises LatentsError if
        they cannot be decoded: if they were read from a file, they are then denoised anew.
        """
        ...


@dataclass(frozen=True)
class Message:
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


def without_system(messages: Sequence[Message]) -> list[Message]:
    """Conversation for a model without the role of the system: its text is put before the first message."""
    system, *others = messages
    if system.role != "system":
        return [system, *others]
    first, *rest = others
    return [Message(first.role, f"{system.content}\n\n{first.content}"), *rest]


@dataclass(frozen=True)
class ChatRequest:
    """One question to the LLM, as chat messages, and as the task and data that they were made from.

    A language model reads `messages` and answers with JSON that fits `schema`. The offline rulebook is no
    language model and reads `task` and `data`. Both answers go through the same validation.
    """

    task: Task
    messages: tuple[Message, ...]
    schema: Mapping[str, object]
    """JSON Schema of the reply."""
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ChatReply:
    """Raw reply of the LLM, not yet validated, and its token counts."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    problem: ReplyError | None = None
    """Why `text` is no answer: refused or cut off. A value and no exception, so that its tokens are
    counted."""
    note: str = ""
    """Note for the user about who answered, if that matters."""


class ChatModel(Protocol):
    """LLM that answers one request. The loop validates and re-asks, once for all backends."""

    def reply(self, request: ChatRequest) -> ChatReply:
        """Answer a request; raise BackendError if there is no answer."""
        ...


class VideoCaptioner(Protocol):
    """Model that describes what is seen in a video."""

    def caption(self, video_path: Path, instruction: str) -> str:
        """Caption a video in a few sentences; raise ReplyError if no usable caption comes."""
        ...


@dataclass(frozen=True)
class Scores:
    """Semantic adherence (SA) and physical commonsense (PC), each 0..1, or None if the scorer abstains."""

    semantic_adherence: float | None
    physical_commonsense: float | None
    reasons: tuple[str, ...] = ()
    """Reasons for deductions or for abstaining, one short sentence each."""
    problem: ReplyError | None = None
    """Why a score is missing though the scorer did not abstain: refused, cut off or unusable. A value and no
    exception, because the other score may be there."""


class VideoScorer(Protocol):
    """Judge of a video. PC is judged without looking at the prompt."""

    @property
    def name(self) -> str:
        """Key of this scorer in the record."""
        ...

    def score(self, video_path: Path, prompt: str) -> Scores:
        """Score a video against `prompt`, the user's original one."""
        ...


@runtime_checkable
class Closeable(Protocol):
    """Role that owns memory or a process. It is not used after `close`."""

    def close(self) -> None:
        """Free what the role owns. Closing twice does nothing."""
        ...


@runtime_checkable
class Claimable(Protocol):
    """Role whose weights share an accelerator with other models."""

    def claimed(self) -> AbstractContextManager[None]:
        """Keep the weights where they are inside the block, while the caller waits for its turn."""
        ...


@runtime_checkable
class Probeable(Protocol):
    """Role that can be asked cheaply whether it would answer."""

    def probe(self) -> None:
        """Ask once; raise BackendError if there is no answer. Does nothing if it has answered before."""
        ...


@dataclass(frozen=True)
class Roles:
    """The four roles of a run."""

    load_generator: Callable[[], VideoGenerator]
    """Called by the loop at most once, after the physics analysis, and only if a video or a prompt is still
    to be made."""
    llm: ChatModel
    captioner: VideoCaptioner
    scorers: Sequence[VideoScorer]
    """The first one decides; the scores of the others are recorded beside its own."""
