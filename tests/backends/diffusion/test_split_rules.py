"""What two GPUs cannot split is refused by name before anything is loaded; and which is the second GPU."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from phyt2v_cli.backends.diffusion import checked, second_gpu
from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.backends.memory.device import choose_second_gpu
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import BackendError, ConfigError
from tests.tiny_families import save_anyflow, save_hunyuan, save_hunyuan_15
from tests.tiny_unets import save_animatediff

CPU = torch.device("cpu")
SMALL = {"num_frames": 5, "height": 16, "width": 16}


def config_of(folder: Path, **settings: Any) -> GeneratorConfig:
    size = {"num_frames": 9, "height": 16, "width": 16}
    return GeneratorConfig.model_validate({"model": str(folder), "device": "cpu", **size, **settings})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gpus": 3}, "generator.gpus: 2 at most"),
        ({"gpus": 2, "guidance_scale": 1.0}, "generator.gpus: without guidance"),
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
    assert checked.check(config_of(folder, gpus="auto")).second_gpu is None


def test_guidance_that_is_an_input_has_one_branch(tmp_path: Path) -> None:
    folder = save_hunyuan(tmp_path / "hunyuan")
    with pytest.raises(ConfigError, match=r"without guidance \(true_cfg_scale above 1\) there is one branch"):
        checked.check(config_of(folder, **SMALL, gpus=2, guidance_scale=6.0))


def test_a_guider_that_changes_the_transformer_is_refused(tmp_path: Path) -> None:
    folder = save_hunyuan_15(tmp_path / "hunyuan")
    guider = folder / "guider" / "guider_config.json"
    config = json.loads(guider.read_text())
    checked.check(config_of(folder, **SMALL, gpus="auto"))
    guider.write_text(json.dumps(config | {"guidance_scale": 1.0}))
    with pytest.raises(ConfigError, match="without guidance"):
        checked.check(config_of(folder, **SMALL, gpus=2))
    guider.write_text(json.dumps(config | {"_class_name": "AutoGuidance"}))
    with pytest.raises(ConfigError, match=r"no way is known to split a video of this HunyuanVideo 1\.5"):
        checked.check(config_of(folder, **SMALL, gpus=2))


@pytest.mark.parametrize("settings", [{}, {"guidance_scale": 1.0}])
def test_a_model_that_is_not_guided_by_itself_has_one_branch(tmp_path: Path, settings: Any) -> None:
    folder = save_anyflow(tmp_path / "anyflow")
    with pytest.raises(ConfigError, match=r"without guidance \(guidance_scale above 1\)"):
        checked.check(config_of(folder, gpus=2, **settings))


def test_without_a_negative_prompt_hunyuan_has_one_branch(tmp_path: Path) -> None:
    folder = save_hunyuan(tmp_path / "hunyuan")
    with pytest.raises(ConfigError, match="without a negative prompt HunyuanVideo has one guidance branch"):
        checked.check(config_of(folder, **SMALL, gpus=2, true_cfg_scale=4.0))


def test_a_second_gpu_without_room_is_not_used(
    tiny_cogvideox_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked, "choose_second_gpu", lambda *_, **__: torch.device("cuda", 1))
    monkeypatch.setattr(second_gpu, "free_bytes", lambda gpu: 100_000 * gpu.index)
    assert load(config_of(tiny_cogvideox_dir, gpus="auto")).splits == []
    with pytest.raises(BackendError, match=r"cuda:1 needs about 0\.\d GB for a copy of the model"):
        load(config_of(tiny_cogvideox_dir, gpus=2))


class Gpus:
    """Stand-in for torch's list of GPUs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "get_device_name", names.__getitem__)


def test_the_second_gpu_is_one_of_the_same_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda")
    Gpus(monkeypatch, "H100", "T4", "H100")
    assert choose_second_gpu(2, cuda, can_split=True) == torch.device("cuda", 2)
    assert choose_second_gpu("auto", cuda, can_split=True) == torch.device("cuda", 2)
    assert choose_second_gpu("auto", cuda, can_split=False) is None
    assert choose_second_gpu(1, cuda, can_split=True) is None
    Gpus(monkeypatch, "H100", "T4")
    assert choose_second_gpu("auto", cuda, can_split=True) is None
    with pytest.raises(ConfigError, match=r"of different kinds.*0: H100, 1: T4"):
        choose_second_gpu(2, cuda, can_split=True)
    Gpus(monkeypatch, "H100")
    with pytest.raises(ConfigError, match="2 are wanted, and torch sees 1"):
        choose_second_gpu(2, cuda, can_split=True)
    with pytest.raises(ConfigError, match="4 are wanted, and torch sees 1"):
        choose_second_gpu(4, CPU, can_split=True)
    Gpus(monkeypatch, "H100", "H100")
    with pytest.raises(ConfigError, match="2 are wanted, and the generator is on the CPU"):
        choose_second_gpu(2, CPU, can_split=True)
    Gpus(monkeypatch)
    with pytest.raises(ConfigError, match="2 are wanted, and torch sees none"):
        choose_second_gpu(2, CPU, can_split=True)
    assert choose_second_gpu("auto", CPU, can_split=True) is None
