"""Choice of the executor of a prompt set: threads in this process, or a Ray cluster. Loads no model."""

import os
from importlib.util import find_spec

from phyt2v_cli.config.schema import Config


def choose_executor(config: Config) -> tuple[Config, str]:
    """Config with the executor chosen if it is ``auto``, and a note for the user, which may be empty.

    A cluster is used if one is named, by the config or by RAY_ADDRESS, or if this machine has several GPUs
    and ray is installed.
    """
    wanted = config.execution
    if wanted.executor != "auto":
        return config, ""
    if config.generator.backend == "server":
        return in_threads(config), ""
    is_named = wanted.ray_address != "auto" or bool(os.environ.get("RAY_ADDRESS"))
    if is_named or wanted.gpus is not None or wanted.workers is not None:
        return _with(config, "ray"), ""
    num_gpus = 0 if config.generator.device == "cpu" else _count_gpus()
    if num_gpus < 2:
        return in_threads(config), ""
    if find_spec("ray") is None:
        return in_threads(config), (
            f"one of the {num_gpus} GPUs is used; `pip install 'phyt2v[ray]'` lets a set use all of them"
        )
    return _with(config, "ray"), ""


def in_threads(config: Config) -> Config:
    """Config whose work is done in this process."""
    return _with(config, "threads")


def _with(config: Config, executor: str) -> Config:
    execution = config.execution.model_copy(update={"executor": executor})
    return config.model_copy(update={"execution": execution})


def _count_gpus() -> int:
    import torch

    return torch.cuda.device_count()
