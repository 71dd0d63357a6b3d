"""Roles that all runs of a studio share: made and loaded once, prefetched, guarded, and closed here.

Knows the backends and the config of the roles; knows no run, no prompt and no terminal.
"""

import gc
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from phyt2v_cli import backends
from phyt2v_cli.backends import background, prefetch
from phyt2v_cli.backends.guard import GuardedGenerator
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.judges import CaptionerConfig, LlmConfig, ScorerConfig
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.roles import ChatModel, Closeable, Roles, VideoCaptioner, VideoGenerator, VideoScorer
from phyt2v_cli.turns import Turns

OnNotice = Callable[[str], object]
"""Callback for a note about workers that are lost, from any thread."""


class RoleFactory(Protocol):
    """Maker of roles in this process or elsewhere, and owner of what they work in."""

    @property
    def turns(self) -> Turns:
        """Turns at the generator."""
        ...

    def load_generator(self, config: GeneratorConfig, *, num_planned_steps: int = 0) -> VideoGenerator:
        """Load the generator."""
        ...

    def make_chat_model(self, config: LlmConfig) -> ChatModel:
        """Make the LLM."""
        ...

    def make_captioner(self, config: CaptionerConfig) -> VideoCaptioner:
        """Make the captioner."""
        ...

    def make_scorers(self, config: ScorerConfig) -> list[VideoScorer]:
        """Make the scorers."""
        ...

    def close(self) -> None:
        """End what the roles work in."""
        ...


class LocalRoles:
    """Factory of roles in this process; implements `RoleFactory`."""

    def __init__(self, num_places: int = 1) -> None:
        """Make the factory, with turns for `num_places` videos at a time."""
        self.turns = Turns(num_places)

    def load_generator(self, config: GeneratorConfig, *, num_planned_steps: int = 0) -> VideoGenerator:
        """Load the generator as `backends` does."""
        return backends.load_generator(config, num_planned_steps=num_planned_steps)

    def make_chat_model(self, config: LlmConfig) -> ChatModel:
        """Make the LLM as `backends` does."""
        return backends.make_chat_model(config)

    def make_captioner(self, config: CaptionerConfig) -> VideoCaptioner:
        """Make the captioner as `backends` does."""
        return backends.make_captioner(config)

    def make_scorers(self, config: ScorerConfig) -> list[VideoScorer]:
        """Make the scorers as `backends` does."""
        return backends.make_scorers(config)

    def close(self) -> None:
        """Do nothing: the roles own what they use."""


def role_factory(config: Config, on_notice: OnNotice) -> RoleFactory:
    """Factory that `config.execution` asks for; raises as connecting to a cluster does."""
    if config.execution.executor != "ray":
        num_places = config.generator.concurrency if _is_at_server(config) else None
        return LocalRoles(num_places or 1)
    if _is_at_server(config):
        raise ConfigError(
            "execution.executor: ray shares GPUs among generators, and this generator is on a server",
            "Leave it out; `generator.concurrency` says how many videos the server makes at a time.",
        )
    try:
        from phyt2v_cli.backends.cluster.factory import ClusterRoles
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ConfigError(
            "execution.executor: ray is not installed", "Install it with `pip install 'phyt2v[ray]'`."
        ) from error
    return ClusterRoles(config, on_notice=on_notice)


def _is_at_server(config: Config) -> bool:
    return config.generator.backend == "server"


class SharedRoles:
    """Four roles made from a config on first use. Thread-safe."""

    def __init__(
        self,
        config: Config,
        given: Mapping[str, Any],
        *,
        on_span: background.Span,
        on_notice: OnNotice = lambda _: None,
        prefetches_control: bool = True,
    ) -> None:
        """Make roles for `config`, but for those that are `given` as objects by name.

        With `prefetches_control` the generator can prefetch a control, as `backends.prefetch` does.
        """
        self._config = config
        self._given = given
        self._on_span = on_span
        self._prefetches_control = prefetches_control
        self._factory = role_factory(config, on_notice)
        self.turns = self._factory.turns
        """Turns at the generator."""
        self._lock = threading.Lock()
        self._load_lock = threading.Lock()
        self._roles: Roles | None = None
        self._generator: VideoGenerator | None = None
        self._prefetched: Callable[[], VideoGenerator] | None = None
        self._render_thread: background.OwnThread | None = None
        self._is_loading = False
        self._closed = False

    def roles(self, num_planned_steps: int) -> Roles:
        """Roles of a run, whose generator is loaded for about `num_planned_steps` denoising steps."""
        with self._lock:
            self._check_open()
            if self._roles is None:
                self._roles = self._make_roles()
            return replace(self._roles, load_generator=lambda: self.load_generator(num_planned_steps))

    def prefetch(self, num_planned_steps: int) -> None:
        """Load the generator in a thread, for about `num_planned_steps` denoising steps."""
        # A local LLM loads at the same time, and two loads at once are slower than one after the other.
        if self._config.llm.backend == "transformers":
            return
        with self._lock:
            self._check_open()
            is_wanted = self._generator is None and self._prefetched is None and not self._is_loading
            if is_wanted and "generator" not in self._given:
                self._prefetched = background.begin(lambda: self._load(num_planned_steps), name="load")

    def load_generator(self, num_planned_steps: int) -> VideoGenerator:
        """Load the generator, unless it is loaded; other threads wait until it is."""
        with self._load_lock:
            self._check_open()
            if self._generator is None:
                with self._lock:
                    prefetched, self._prefetched = self._prefetched, None
                    self._is_loading = True  # so that no other run prefetches it meanwhile
                try:
                    generator = prefetched() if prefetched is not None else self._load(num_planned_steps)
                finally:
                    self._is_loading = False
                self._generator = self._guard(generator)
            return self._generator

    def close(self) -> None:
        """Close the roles that were made here; a second close does nothing."""
        made: list[object] = []
        with self._load_lock, self._lock:
            if self._prefetched is not None:
                with suppress(Exception):  # the generator is not used any more, so its error does not matter
                    made.append(self._prefetched())
            if self._generator is not None and "generator" not in self._given:
                made.append(self._generator)
            if self._roles is not None:
                judges: dict[str, Sequence[object]] = {
                    "llm": [self._roles.llm],
                    "captioner": [self._roles.captioner],
                    "scorer": self._roles.scorers,
                }
                made += [one for name, ones in judges.items() if name not in self._given for one in ones]
            self._roles = self._generator = self._prefetched = None
            self._closed = True
        while made:
            role = made.pop()
            if isinstance(role, Closeable):
                role.close()
            del role
        if self._render_thread is not None:
            self._render_thread.close()
        self._factory.close()
        gc.collect()

    def _guard(self, generator: VideoGenerator) -> VideoGenerator:
        if _is_at_server(self._config) and "generator" not in self._given:
            return GuardedGenerator(generator, self.turns, guards_decode=False)
        if self._prefetches_control:
            return prefetch.PrefetchingGenerator(GuardedGenerator(generator, self.turns))
        # Many runs share it: each has a thread, and a generator of this process works in one of its own.
        if isinstance(self._factory, LocalRoles):
            self._render_thread = background.OwnThread("render")
        return GuardedGenerator(generator, self.turns, self._render_thread)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this studio is closed")

    def _make_roles(self) -> Roles:
        config, given = self._config, self._given
        # Before the generator, whose thread would otherwise import the same libraries at the same time.
        return Roles(
            load_generator=lambda: self.load_generator(0),
            llm=given.get("llm") or self._factory.make_chat_model(config.llm),
            captioner=given.get("captioner") or self._factory.make_captioner(config.captioner),
            scorers=given.get("scorer") or self._factory.make_scorers(config.scorer),
        )

    def _load(self, num_planned_steps: int) -> VideoGenerator:
        given: VideoGenerator | None = self._given.get("generator")
        if given is not None:
            return given
        with self._on_span("load the generator"):
            return self._factory.load_generator(self._config.generator, num_planned_steps=num_planned_steps)
