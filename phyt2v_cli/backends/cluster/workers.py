"""Workers: processes that Ray starts, each with one generator or with the judges that share a model.

What they are asked and what they answer are plain values. A worker is made without loading anything, so that
an error of loading comes as what it is. Knows the backends; must not know Ray, pools or runs.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phyt2v_cli import backends
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.judges import CaptionerConfig, LlmConfig, ScorerConfig, ServiceConfig
from phyt2v_cli.roles import (
    ChatReply,
    ChatRequest,
    Decoded,
    Denoised,
    DenoisingStep,
    HowItRan,
    Latents,
    Probeable,
    Scores,
    VideoGenerator,
)

LoadGenerator = Callable[..., VideoGenerator]
"""Function that loads a generator, as `backends.load_generator`. A worker imports it by its name."""

FileContent = tuple[str, bytes]
"""Name and content of a file, which travels to a worker without shared storage."""


@dataclass(frozen=True)
class GeneratorFacts:
    """What a driver wants to know of a loaded generator."""

    fps: int
    settings: HowItRan


class GeneratorWorker:
    """Process with one generator. `listen` and `count_excess_tokens` are called while it denoises."""

    def __init__(
        self,
        config: GeneratorConfig,
        num_planned_steps: int,
        num_threads: int,
        load_generator: LoadGenerator = backends.load_generator,
    ) -> None:
        """Set what `load` will load; a CPU computes in `num_threads` threads, as in the driver."""
        self._config = config
        self._num_planned_steps = num_planned_steps
        self._num_threads = num_threads
        self._load_generator = load_generator
        self._load_lock = threading.Lock()  # it may be asked for tokens while it loads
        self._generator: VideoGenerator | None = None
        self._step: DenoisingStep | None = None
        self._is_cancelled = threading.Event()

    def load(self) -> GeneratorFacts:
        """Load the generator, unless it is loaded; raises as `backends.load_generator` does."""
        import torch

        torch.set_num_threads(self._num_threads)
        with self._load_lock:
            return self._load_once()

    def _load_once(self) -> GeneratorFacts:
        if self._generator is None:
            self._generator = self._load_generator(self._config, num_planned_steps=self._num_planned_steps)
        return GeneratorFacts(self._generator.fps, dict(self._generator.settings))

    def denoise(
        self, prompt: str, options: Mapping[str, Any], picture: FileContent | None = None
    ) -> Denoised:
        """Denoise as `VideoGenerator.denoise` with the keyword arguments `options` and a `picture`."""
        generator = self._loaded()
        self._step = None
        self._is_cancelled.clear()

        def on_step(step: DenoisingStep) -> None:
            self._step = step

        with _as_file(picture) as image:
            return generator.denoise(
                prompt, on_step=on_step, cancelled=self._is_cancelled.is_set, image=image, **options
            )

    def decode(self, latents: Latents) -> Decoded:
        """Decode latents to frames."""
        return self._loaded().decode(latents.copy())  # those of Ray's object store cannot be written to

    def listen(self, cancelled: bool) -> DenoisingStep | None:
        """Newest step of the denoising in progress, which ends after its next step if it is `cancelled`."""
        if cancelled:
            self._is_cancelled.set()
        return self._step

    def count_excess_tokens(self, prompt: str) -> int:
        """Count the tokens of `prompt` beyond what the text encoder reads."""
        return self._loaded().count_excess_tokens(prompt)

    def _loaded(self) -> VideoGenerator:
        if self._generator is None:  # in a process that Ray has started again
            self.load()
        assert self._generator is not None
        return self._generator


class JudgeWorker:
    """Process with judges, by the name of their section in the config."""

    def __init__(self, sections: Mapping[str, ServiceConfig], num_threads: int) -> None:
        """Set the sections to make roles from."""
        self._sections = sections
        self._num_threads = num_threads
        self._roles: dict[str, Any] = {}

    def load(self) -> None:
        """Make the roles; a local model is loaded at its first use."""
        import torch

        torch.set_num_threads(self._num_threads)
        self._roles = {name: _make(name, section) for name, section in self._sections.items()}

    def probe(self, section: str) -> None:
        """Ask a role whether it would answer, if it can be asked."""
        role = self._role(section)
        if isinstance(role, Probeable):
            role.probe()

    def reply(self, section: str, request: ChatRequest) -> ChatReply:
        """Answer as `ChatModel.reply`."""
        reply: ChatReply = self._role(section).reply(request)
        return reply

    def caption(self, section: str, video: FileContent, instruction: str) -> str:
        """Caption an mp4."""
        with _as_file(video) as path:
            caption: str = self._role(section).caption(path, instruction)
            return caption

    def score(self, section: str, video: FileContent, prompt: str) -> Scores:
        """Score an mp4."""
        with _as_file(video) as path:
            scores: Scores = self._role(section).score(path, prompt)
            return scores

    def _role(self, section: str) -> Any:
        if not self._roles:  # in a process that Ray has started again
            self.load()
        return self._roles[section]


@contextmanager
def _as_file(content: FileContent | None) -> Iterator[Path | None]:
    """File with this content, inside the block."""
    if content is None:
        yield None
        return
    name, written = content
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(written)
        yield path


def _make(name: str, section: ServiceConfig) -> Any:
    match section:
        case LlmConfig():
            return backends.make_chat_model(section)
        case CaptionerConfig():
            return backends.make_captioner(section)
        case ScorerConfig():
            return backends.make_scorer(section, key=name)
    raise TypeError(type(section))
