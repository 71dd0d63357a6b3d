"""Choice of the executor of a prompt set."""

from typing import Any

import pytest

from phyt2v_cli.api import Studio
from phyt2v_cli.checks import executor
from phyt2v_cli.checks.executor import choose_executor, in_threads
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError


def config_of(**execution: Any) -> Config:
    return Config.model_validate({"execution": execution})


def gpus(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize(("number", "chosen"), [(0, "threads"), (1, "threads"), (2, "ray")])
def test_several_gpus_are_used_through_ray(monkeypatch: pytest.MonkeyPatch, number: int, chosen: str) -> None:
    gpus(monkeypatch, number)
    config, note = choose_executor(config_of())
    assert (config.execution.executor, note) == (chosen, "")


def test_without_ray_one_of_several_gpus_is_used_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 4)
    monkeypatch.setattr(executor, "find_spec", lambda _: None)
    config, note = choose_executor(config_of())
    assert config.execution.executor == "threads"
    assert note.startswith("one of the 4 GPUs is used; `pip install 'phyt2v[ray]'`")


def test_a_generator_on_the_cpu_needs_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 4)
    config = Config.model_validate({"generator": {"device": "cpu"}})
    assert choose_executor(config)[0].execution.executor == "threads"


@pytest.mark.parametrize("execution", [{"ray_address": "head:6379"}, {"gpus": 1}, {"workers": 2}])
def test_what_only_a_cluster_has_chooses_it(
    monkeypatch: pytest.MonkeyPatch, execution: dict[str, object]
) -> None:
    gpus(monkeypatch, 0)
    assert choose_executor(config_of(**execution))[0].execution.executor == "ray"


def test_the_environment_names_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 0)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert choose_executor(config_of())[0].execution.executor == "ray"
    assert choose_executor(config_of(executor="threads"))[0].execution.executor == "threads"
    assert in_threads(config_of(executor="ray")).execution.executor == "threads"


def test_videos_are_split_over_gpus_only_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 2)
    split = Config.model_validate({"generator": {"gpus": 2}})
    assert choose_executor(split)[0].execution.executor == "threads"
    either = Config.model_validate({"generator": {"gpus": "auto"}})
    assert choose_executor(either)[0].execution.executor == "ray", "a model for each GPU is faster"
    on_cluster = Config.model_validate({"generator": {"gpus": 2}, "execution": {"executor": "ray"}})
    with pytest.raises(ConfigError, match=r"generator\.gpus: 2 for each video, but on a cluster"):
        choose_executor(on_cluster)


def test_a_generator_on_a_server_needs_no_gpus_and_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 4)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    at_server = {"backend": "server", "base_url": "http://x/v1", "model": "m"}
    config = Config.model_validate({"generator": at_server})
    assert choose_executor(config)[0].execution.executor == "threads"
    asked = Config.model_validate({"generator": at_server, "execution": {"executor": "ray"}})
    with pytest.raises(ConfigError, match=r"execution\.executor: ray shares GPUs"):
        Studio(config=asked)
