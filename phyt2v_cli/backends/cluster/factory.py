"""Factory of the four roles on a Ray cluster, as `backends` makes local ones.

A generator's worker has a GPU of its own (or a part of one, or a CPU). Judges that are local models share a
worker with its GPU if they share a model; a program has a CPU, or a GPU if its `device` is ``cuda``. What
only asks a server, and the embedded judges, stay in this process. Knows roles and pools; knows no run.
"""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import ray

from phyt2v_cli import backends
from phyt2v_cli.backends.cluster.connection import connect
from phyt2v_cli.backends.cluster.pool import Pool
from phyt2v_cli.backends.cluster.roles import ClusterCaptioner, ClusterChat, ClusterGenerator, ClusterScorer
from phyt2v_cli.backends.cluster.sizing import Need, fit_cpus, missing_gpus, share_out
from phyt2v_cli.backends.cluster.workers import GeneratorWorker, JudgeWorker, LoadGenerator
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.judges import LOCAL_BACKENDS, CaptionerConfig, LlmConfig, ScorerConfig
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.roles import (
    ChatModel,
    DenoisingStep,
    VideoCaptioner,
    VideoGenerator,
    VideoScorer,
)
from phyt2v_cli.turns import Turns

JudgeConfig = LlmConfig | CaptionerConfig | ScorerConfig
_GENERATOR = "generator"
_FIRST_S = {_GENERATOR: 60.0}
_FIRST_JUDGE_S = 5.0
"""Guesses of the seconds for one video, until they are measured."""
_VIDEOS_TO_MEASURE = 4
"""Videos for each generator until the measured seconds are believed."""
_WORTH_MOVING = 1.1
"""Gain in videos per second for which workers are moved between roles."""


class _GeneratorWithLanes(GeneratorWorker):
    """Worker whose two quick methods have lanes of their own beside the denoising."""

    @ray.method(concurrency_group="listening")  # type: ignore[untyped-decorator]
    def listen(self, cancelled: bool) -> DenoisingStep | None:
        return super().listen(cancelled)

    @ray.method(concurrency_group="counting")  # type: ignore[untyped-decorator]
    def count_excess_tokens(self, prompt: str) -> int:
        return super().count_excess_tokens(prompt)


_GeneratorActor = ray.remote(concurrency_groups={"listening": 1, "counting": 1})(_GeneratorWithLanes)
_JudgeActor = ray.remote(JudgeWorker)


class ClusterRoles:
    """Factory of roles on a cluster, and owner of their workers."""

    def __init__(
        self,
        config: Config,
        *,
        on_notice: Callable[[str], object] = lambda _: None,
        load_in_worker: LoadGenerator = backends.load_generator,
    ) -> None:
        """Connect to the cluster that `config.execution` names, and share its GPUs out; nothing is loaded.

        Raises BackendError if it does not answer, and ConfigError if it has too few GPUs.
        """
        self._config = config
        self._load_in_worker = load_in_worker
        self._on_notice = on_notice
        self._wanted = config.execution
        self._judges = _judge_pools(config)
        # A local cluster has room for one of each kind, however few cores this machine has.
        num_here = (self._wanted.workers or 1) + len(self._judges)
        self._cluster = connect(self._wanted.ray_address, num_workers_here=num_here)
        self._num_gpus = self._gpus_to_use()
        self.turns = Turns()
        """Turns at the generators, as many places as workers that are loaded."""
        self._needs = self._first_needs()
        self._pools: dict[str, Pool] = {}
        self._lock = threading.Lock()
        self._num_videos = 0
        self._counts = self._share_out(self._needs)

    def load_generator(self, config: GeneratorConfig, *, num_planned_steps: int = 0) -> VideoGenerator:
        """Load a generator in each of its workers; returns once the first has loaded.

        Raises as `backends.load_generator` does in a worker.
        """
        count = self._counts[_GENERATOR]
        gpus = self._needs[_GENERATOR].gpus
        start = partial(
            _GeneratorActor.options(num_gpus=gpus, num_cpus=1, max_restarts=-1).remote,
            config.model_copy(update={"device": "cuda" if gpus else "cpu"}),
            num_planned_steps // count,
            _num_threads(),
            self._load_in_worker,
        )
        pool = self._open_pool(_GENERATOR, start, on_ready=self.turns.resize)
        pool.wait_until_ready()
        return ClusterGenerator(pool, self._count_video)

    def make_chat_model(self, config: LlmConfig) -> ChatModel:
        """Make the LLM; it is asked from here unless it is a local model."""
        pool = self._pool_of("llm")
        return backends.make_chat_model(config) if pool is None else ClusterChat(pool, "llm")

    def make_captioner(self, config: CaptionerConfig) -> VideoCaptioner:
        """Make the captioner; it is asked from here unless it is a local model."""
        pool = self._pool_of("captioner")
        return backends.make_captioner(config) if pool is None else ClusterCaptioner(pool, "captioner")

    def make_scorers(self, config: ScorerConfig) -> list[VideoScorer]:
        """Make the scorer and its `others`; those that are local models or programs work in workers."""
        scorers: list[VideoScorer] = []
        for local, name in zip(backends.make_scorers(config), _scorer_sections(config), strict=True):
            pool = self._pool_of(name)
            scorers.append(local if pool is None else ClusterScorer(pool, name, local.name))
        return scorers

    def close(self) -> None:
        """End all workers, and the cluster if this process has started it."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()

    def _gpus_to_use(self) -> float:
        there, wanted = self._cluster.total.num_gpus, self._wanted.gpus
        if wanted is not None and wanted > there:
            raise ConfigError(
                f"execution.gpus: {wanted} are wanted, and the cluster has {there:g}",
                "Lower it, or add workers with GPUs to the cluster.",
            )
        if self._config.generator.device == "cuda" and not there:
            raise ConfigError(
                "generator.device: no worker of the cluster has a GPU", "Use `generator.device=cpu`."
            )
        return there if wanted is None else float(wanted)

    def _first_needs(self) -> dict[str, Need]:
        on_gpu = bool(self._num_gpus) and self._config.generator.device != "cpu"
        needs = {_GENERATOR: Need(self._wanted.gpus_per_generator if on_gpu else 0.0, _FIRST_S[_GENERATOR])}
        for name, judges in self._judges.items():
            wants = any(_wants_gpu(section) for section in judges.values()) and bool(self._num_gpus)
            needs[name] = Need(self._wanted.gpus_per_judge if wants else 0.0, _FIRST_JUDGE_S)
        if missing := missing_gpus(self._num_gpus, list(needs.values())):
            raise ConfigError(
                f"execution.gpus: {missing:g} too few for one worker of each local model",
                "Let models share a GPU with `execution.gpus_per_generator=0.6` and "
                "`execution.gpus_per_judge=0.4`, or use judges on a server.",
            )
        return needs

    def _share_out(self, needs: Mapping[str, Need]) -> dict[str, int]:
        judges = {name: need for name, need in needs.items() if name != _GENERATOR}
        counts = share_out(self._num_gpus, needs[_GENERATOR], judges)
        if self._wanted.workers is not None:
            counts[_GENERATOR] = self._wanted.workers
        fitted = fit_cpus(counts, needs, self._cluster.free.num_cpus)
        if self._wanted.workers is not None and fitted[_GENERATOR] < self._wanted.workers:
            self._on_notice(
                f"{fitted[_GENERATOR]} of the {self._wanted.workers} workers that are wanted are started, "
                f"for want of CPUs ({self._cluster.free.num_cpus:g} free)"
            )
        return fitted

    def _pool_of(self, section: str) -> Pool | None:
        name = next((name for name, judges in self._judges.items() if section in judges), None)
        if name is None:
            return None
        with self._lock:
            if name in self._pools:
                return self._pools[name]
        start = partial(
            _JudgeActor.options(num_gpus=self._needs[name].gpus, num_cpus=1, max_restarts=-1).remote,
            self._judges[name],
            _num_threads(),
        )
        return self._open_pool(name, start)

    def _open_pool(self, name: str, start: Any, *, on_ready: Callable[[int], None] = lambda _: None) -> Pool:
        pool = Pool(name, start, on_ready=on_ready, on_notice=self._on_notice)
        pool.resize(self._counts[name])
        with self._lock:
            self._pools[name] = pool
        return pool

    def _count_video(self) -> None:
        """Count a video, and move workers between the roles if their stages take other times than thought."""
        with self._lock:
            self._num_videos += 1
            if (
                self._wanted.workers is not None
                or self._num_videos < _VIDEOS_TO_MEASURE * self._counts[_GENERATOR]
            ):
                return
            measured = {
                name: Need(need.gpus, self._pools[name].seconds / self._num_videos or need.seconds)
                for name, need in self._needs.items()
                if name in self._pools
            }
            counts = self._share_out(measured)
            if _rate(counts, measured) <= _WORTH_MOVING * _rate(self._counts, measured):
                return
            self._counts = counts
            # Those that shrink first, so that the others find their GPUs.
            for name in sorted(counts, key=lambda name: counts[name] - self._pools[name].size):
                self._pools[name].resize(counts[name])


def _scorer_sections(config: ScorerConfig) -> list[str]:
    return ["scorer", *(f"scorer.others[{n}]" for n in range(len(config.others)))]


def _judge_pools(config: Config) -> dict[str, dict[str, JudgeConfig]]:
    """Judges that work in workers, by pool: those of one model share a pool."""
    scorers = [config.scorer.model_copy(update={"others": ()}), *config.scorer.others]
    sections: list[JudgeConfig] = [config.llm, config.captioner, *scorers]
    names = ["llm", "captioner", *_scorer_sections(config.scorer)]
    pools: dict[str, dict[str, JudgeConfig]] = {}
    for name, section in zip(names, sections, strict=True):
        if section.backend in LOCAL_BACKENDS:
            label = f"{section.model} {section.dtype} on {section.device}"
        elif section.backend == "command":
            label = name
        else:
            continue
        pools.setdefault(label, {})[name] = section
    return pools


def _wants_gpu(section: JudgeConfig) -> bool:
    is_program = isinstance(section, ScorerConfig) and section.backend == "command"
    return section.device == "cuda" or (section.device == "auto" and not is_program)


def _num_threads() -> int:
    import torch

    return torch.get_num_threads()


def _rate(counts: Mapping[str, int], needs: Mapping[str, Need]) -> float:
    """Videos per second that get through all stages."""
    return min(counts[name] / need.seconds for name, need in needs.items())
