"""Choice of the executor of a prompt set: threads in this process, or a Ray cluster. Loads no model."""

import os
from importlib.util import find_spec

from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError


def choose_executor(config: Config) -> tuple[Config, str]:
    """Config with the executor chosen if it is ``auto``, and a note for the user, which may be empty.

    A cluster is used if one is named, by the config or by RAY_ADDRESS, or if this machine has several GPUs
    and ray is installed. Raises ConfigError if each video is to be split over GPUs on a cluster.
    """
    chosen, note = (config, "") if config.execution.executor != "auto" else _choose(config)
    if chosen.execution.executor == "ray" and _splits_videos(config):
        raise ConfigError(
            f"generator.gpus: {config.generator.gpus} for each video, but on a cluster each GPU has a model "
            "of its own, which is faster for a set",
            "Use `generator.gpus=1`, or `execution.executor=threads`.",
        )
    return chosen, note


def _choose(config: Config) -> tuple[Config, str]:
    wanted = config.execution
    if config.generator.backend == "server":
        return in_threads(config), ""
    is_named = wanted.ray_address != "auto" or bool(os.environ.get("RAY_ADDRESS"))
    if is_named or wanted.gpus is not None or wanted.workers is not None:
        return _with(config, "ray"), ""
    if config.generator.device == "cpu" or _splits_videos(config) or (num_gpus := _count_gpus()) < 2:
        return in_threads(config), ""
    if find_spec("ray") is None:
        return in_threads(config), (
            f"one of the {num_gpus} GPUs is used; `pip install 'phyt2v[ray]'` lets a set use all of them"
        )
    return _with(config, "ray"), ""


def _splits_videos(config: Config) -> bool:
    return config.generator.gpus not in (1, "auto")


def in_threads(config: Config) -> Config:
    """Config whose work is done in this process."""
    return _with(config, "threads")


def _with(config: Config, executor: str) -> Config:
    execution = config.execution.model_copy(update={"executor": executor})
    return config.model_copy(update={"execution": execution})


def _count_gpus() -> int:
    import torch

    return torch.cuda.device_count()
