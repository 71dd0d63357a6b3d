"""What GPUs cannot share is refused by name before anything is loaded; and which GPUs share."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from phyt2v_cli.backends.diffusion import checked, several_gpus
from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.backends.diffusion.several_gpus import Sharing
from phyt2v_cli.backends.memory.device import choose_other_gpus
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import BackendError, ConfigError
from tests.tiny_families import save_anyflow, save_hunyuan, save_hunyuan_15
from tests.tiny_pipelines import save_mochi
from tests.tiny_unets import save_animatediff

CPU = torch.device("cpu")
SMALL = {"num_frames": 5, "height": 16, "width": 16}


def config_of(folder: Path, **settings: Any) -> GeneratorConfig:
    size = {"num_frames": 9, "height": 16, "width": 16}
    return GeneratorConfig.model_validate({"model": str(folder), "device": "cpu", **size, **settings})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gpus": 5}, "generator.gpus: 4 at most, one for each attention head of a CogVideoX, not 5"),
        ({"gpus": 3, "guidance_scale": 1.0}, "generator.gpus: 2 at most"),
        ({"gpus": 2, "draft_cache": "pab"}, "generator.gpus: not together with generator.draft_cache=pab"),
        ({"gpus": 2, "quantize": "fp8"}, "generator.gpus: not together with generator.quantize=fp8"),
        ({"gpus": 2, "gguf": "weights.gguf"}, "generator.gpus: weights of generator.gguf cannot be copied"),
    ],
)
def test_what_cannot_be_split_is_refused(tiny_cogvideox_dir: Path, settings: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        checked.check(config_of(tiny_cogvideox_dir, **settings))


def test_a_family_without_a_way_is_refused_by_name(tmp_path: Path) -> None:
    folder = save_animatediff(tmp_path / "animatediff")
    with pytest.raises(ConfigError, match="no way is known to split a video of this AnimateDiff over GPUs"):
        checked.check(config_of(folder, gpus=2))
    assert checked.check(config_of(folder, gpus="auto")).sharing == Sharing()


def test_a_guider_that_changes_the_transformer_is_refused(tmp_path: Path) -> None:
    folder = save_hunyuan_15(tmp_path / "hunyuan")
    guider = folder / "guider" / "guider_config.json"
    config = json.loads(guider.read_text())
    checked.check(config_of(folder, **SMALL, gpus="auto"))
    guider.write_text(json.dumps(config | {"_class_name": "AutoGuidance"}))
    with pytest.raises(ConfigError, match=r"no way is known to split a video of this HunyuanVideo 1\.5"):
        checked.check(config_of(folder, **SMALL, gpus=2))


@pytest.mark.parametrize("settings", [{}, {"guidance_scale": 1.0}])
def test_a_model_that_is_not_guided_by_itself_has_one_branch(tmp_path: Path, settings: Any) -> None:
    folder = save_anyflow(tmp_path / "anyflow")
    with pytest.raises(ConfigError, match=r"without guidance \(guidance_scale above 1\)"):
        checked.check(config_of(folder, gpus=2, **settings))


def test_without_guidance_mochi_has_one_branch(tmp_path: Path) -> None:
    folder = save_mochi(tmp_path / "mochi")
    with pytest.raises(ConfigError, match=r"without guidance \(guidance_scale above 1\)"):
        checked.check(config_of(folder, num_frames=7, gpus=2, guidance_scale=1.0))


@pytest.mark.parametrize(
    ("settings", "branches"),
    [
        ({}, 1),  # its guidance is an input
        ({"true_cfg_scale": 4.0}, 1),  # which needs a negative prompt
        ({"true_cfg_scale": 4.0, "negative_prompt": "bad"}, 2),
    ],
)
def test_half_of_the_gpus_computes_each_branch_if_there_are_two(
    tmp_path: Path, settings: Any, branches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_hunyuan(tmp_path / "hunyuan")
    for others in (1, 2, 3):
        monkeypatch.setattr(checked, "choose_other_gpus", lambda *_, others=others, **__: (CPU,) * others)
        sharing = checked.check(config_of(folder, **SMALL, **settings)).sharing
        assert sharing == Sharing((CPU,) * others, branches if others != 2 else 1)


def test_other_gpus_without_room_are_not_used(
    tiny_cogvideox_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked, "choose_other_gpus", lambda *_, **__: (torch.device("cuda", 1),))
    monkeypatch.setattr(several_gpus, "free_bytes", lambda gpu: 100_000 * gpu.index)
    assert load(config_of(tiny_cogvideox_dir, gpus="auto")).shared == []
    with pytest.raises(BackendError, match=r"cuda:1 needs about 0\.\d GB for a copy of the model"):
        load(config_of(tiny_cogvideox_dir, gpus=2))


class Gpus:
    """Stand-in for torch's list of GPUs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "get_device_name", names.__getitem__)


def test_gpus_that_share_are_of_the_same_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda")
    Gpus(monkeypatch, "H100", "T4", "H100", "H100")
    second, third = torch.device("cuda", 2), torch.device("cuda", 3)
    assert choose_other_gpus(2, cuda, most=4) == (second,)
    assert choose_other_gpus(3, cuda, most=4) == (second, third)
    assert choose_other_gpus("auto", cuda, most=4) == (second, third)
    assert choose_other_gpus("auto", cuda, most=2) == (second,)
    assert choose_other_gpus("auto", cuda, most=1) == ()
    assert choose_other_gpus(1, cuda, most=4) == ()
    with pytest.raises(ConfigError, match=r"of different kinds.*0: H100, 1: T4"):
        choose_other_gpus(4, cuda, most=4)
    Gpus(monkeypatch, "H100", "T4")
    assert choose_other_gpus("auto", cuda, most=2) == ()
    Gpus(monkeypatch, "H100")
    with pytest.raises(ConfigError, match="2 are wanted, and torch sees 1"):
        choose_other_gpus(2, cuda, most=2)
    with pytest.raises(ConfigError, match="4 are wanted, and torch sees 1"):
        choose_other_gpus(4, CPU, most=4)
    Gpus(monkeypatch, "H100", "H100")
    with pytest.raises(ConfigError, match="2 are wanted, and the generator is on the CPU"):
        choose_other_gpus(2, CPU, most=2)
    Gpus(monkeypatch)
    with pytest.raises(ConfigError, match="2 are wanted, and torch sees none"):
        choose_other_gpus(2, CPU, most=2)
    assert choose_other_gpus("auto", CPU, most=2) == ()
