"""GPUs that share the tokens of a video make the video of one, and one that fails stops the others."""

import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from phyt2v_cli.backends.acceleration.context_parallel import ContextParallelDenoiser
from phyt2v_cli.backends.acceleration.token_exchange import Meeting
from phyt2v_cli.backends.diffusion import generator as generators
from phyt2v_cli.backends.diffusion.checked import check
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator, load
from phyt2v_cli.backends.diffusion.several_gpus import Sharing
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import BackendError, RunInterruptedError
from phyt2v_cli.roles import Denoised
from tests.tiny_families import save_hunyuan, save_hunyuan_15
from tests.tiny_generators import OUT_OF_MEMORY, failing
from tests.tiny_pipelines import save_cogvideox, save_ltx, save_wan

CPU = torch.device("cpu")
TWO = Sharing((CPU,), 1)
THREE = Sharing((CPU, CPU), 1)
FOUR = Sharing((CPU, CPU, CPU), 2)
SQUARE = {"num_frames": 9, "height": 32, "width": 32}
GUIDED = {"true_cfg_scale": 4.0, "negative_prompt": "bad"}


@dataclass(frozen=True)
class Case:
    """A family at a size whose tokens four devices can share."""

    name: str
    save: Callable[[Path], Path]
    settings: Mapping[str, Any]


CASES = [
    Case("cogvideox", save_cogvideox, {"num_frames": 9, "height": 16, "width": 16}),
    Case("wan", save_wan, SQUARE),
    Case("wan-two", partial(save_wan, two_transformers=True), SQUARE),
    Case("ltx", save_ltx, {"num_frames": 9, "height": 64, "width": 64}),
    Case("hunyuan", save_hunyuan, {**SQUARE, **GUIDED}),
    Case("hunyuan-1.5", save_hunyuan_15, {"num_frames": 5, "height": 32, "width": 32}),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def config(request: pytest.FixtureRequest, tmp_path: Path) -> GeneratorConfig:
    case: Case = request.param
    return config_of(case.save(tmp_path / "model"), **case.settings)


def config_of(folder: Path, **settings: Any) -> GeneratorConfig:
    return GeneratorConfig.model_validate({"model": str(folder), "device": "cpu", **settings})


def load_shared(
    config: GeneratorConfig, sharing: Sharing, monkeypatch: pytest.MonkeyPatch
) -> DiffusersGenerator:
    """Load as with more GPUs, each of which is the CPU once more."""
    monkeypatch.setattr(generators, "check", lambda given: check(given)._replace(sharing=sharing))
    loaded = load(config)
    monkeypatch.setattr(generators, "check", check)
    return loaded


def denoise(generator: DiffusersGenerator, steps: int = 3, **options: Any) -> Denoised:
    options = {"seed": 3, "on_step": lambda _: None} | options
    return generator.denoise("a ball drops", num_inference_steps=steps, **options)


def assert_close(one: np.ndarray, other: np.ndarray) -> None:
    assert np.linalg.norm(one - other) <= 1e-5 * np.linalg.norm(other)


@pytest.mark.parametrize(
    "sharing",
    [TWO, THREE, pytest.param(FOUR, marks=pytest.mark.slow)],
    ids=["two", "three", "four"],
)
def test_devices_that_share_tokens_make_the_video_of_one(
    config: GeneratorConfig, sharing: Sharing, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = denoise(load(config))
    generator = load_shared(config, sharing, monkeypatch)
    shared = denoise(generator)
    assert_close(shared.latents, alone.latents)
    assert shared.how["gpus"] == str(1 + len(sharing.others))
    assert shared.how["context_parallel"] == "on"
    assert shared.how.get("guidance_split") == ("on" if sharing.branches == 2 else None)
    assert "context_parallel" not in alone.how
    np.testing.assert_array_equal(denoise(generator).latents, shared.latents)


def test_each_device_has_its_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = load_shared(config_of(save_wan(tmp_path), **SQUARE), THREE, monkeypatch)
    modules = [generator.pipeline.transformer, *(one.module for one in generator.shared[0].replicas)]
    seen: list[tuple[int, str]] = []
    for module in modules:
        module.blocks[1].register_forward_pre_hook(
            lambda _, args: seen.append((args[0].shape[1], threading.current_thread().name))
        )
    denoise(generator, steps=2)
    assert {length for length, _ in seen} == {4}  # of 3 latent frames of 2x2 tokens
    assert len(seen) == 3 * 2 * 2  # devices, steps, branches
    assert {name for _, name in seen} == {"MainThread", "denoise on cpu"}


def test_without_guidance_the_tokens_are_shared(
    tiny_cogvideox_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tiny_cogvideox_dir, num_frames=9, height=16, width=16, guidance_scale=1.0)
    monkeypatch.setattr("phyt2v_cli.backends.diffusion.checked.choose_other_gpus", lambda *_, **__: (CPU,))
    shared = denoise(load(config))
    monkeypatch.undo()
    assert_close(shared.latents, denoise(load(config)).latents)
    assert "guidance_split" not in shared.how
    assert shared.how["context_parallel"] == "on"


def test_what_cannot_be_shared_is_computed_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(save_wan(tmp_path), num_frames=5, height=16, width=16)  # two tokens
    shared = denoise(load_shared(config, THREE, monkeypatch))
    np.testing.assert_array_equal(shared.latents, denoise(load(config)).latents)
    assert shared.how["context_parallel"] == "off: no call could be shared"


def test_a_text_as_long_as_a_part_is_not_taken_for_one(tmp_path: Path) -> None:
    config = config_of(save_wan(tmp_path), **SQUARE)
    plain, shared = (load(config).pipeline.transformer for _ in range(2))
    context = ContextParallelDenoiser(
        shared, [CPU], num_tokens=12, attend=functional.scaled_dot_product_attention, within=nullcontext
    )
    channels, width = plain.config.in_channels, plain.config.text_dim
    for length, is_shared in ((6, False), (5, True)):
        inputs = {
            "hidden_states": torch.rand(1, channels, 3, 4, 4),
            "timestep": torch.tensor([500]),
            "encoder_hidden_states": torch.rand(1, length, width),
            "return_dict": False,
        }
        with torch.no_grad():
            assert_close(shared(**inputs)[0].numpy(), plain(**inputs)[0].numpy())
        assert context.end_video() == is_shared


@pytest.mark.slow
def test_a_device_without_memory_ends_the_video_and_not_the_generator(
    config: GeneratorConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = load_shared(config, THREE, monkeypatch)
    expected = denoise(generator).latents
    blocks = [one.module.get_submodule(_last_block(one.module)) for one in generator.shared[0].replicas]
    for block in blocks:
        whole = block.forward
        block.forward = failing(whole, {2}, OUT_OF_MEMORY)
        with pytest.raises(BackendError) as raised:
            denoise(generator)
        assert raised.value.message == "cpu ran out of memory while it denoised its part of the tokens."
        block.forward = whole
        np.testing.assert_array_equal(denoise(generator).latents, expected)


def _last_block(module: torch.nn.Module) -> str:
    names = [
        name for name, _ in module.named_modules() if name.startswith(("blocks.", "transformer_blocks."))
    ]
    return max(name for name in names if name.count(".") == 1)


def test_an_error_of_the_first_device_is_the_one_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = load_shared(config_of(save_wan(tmp_path), **SQUARE), THREE, monkeypatch)
    block = generator.pipeline.transformer.blocks[1]
    block.forward = failing(block.forward, {1}, ValueError("a tensor is odd"))
    with pytest.raises(BackendError, match="a tensor is odd"):
        denoise(generator)


def test_a_device_that_cannot_begin_stops_all(tmp_path: Path) -> None:
    transformer = load(config_of(save_wan(tmp_path), **SQUARE)).pipeline.transformer

    def within() -> Any:
        raise ValueError("no kernel here")

    attend = functional.scaled_dot_product_attention
    ContextParallelDenoiser(transformer, [CPU], num_tokens=12, attend=attend, within=within)
    with pytest.raises(ValueError, match="no kernel here"):
        transformer(
            torch.rand(1, transformer.config.in_channels, 3, 4, 4),
            torch.tensor([500]),
            torch.rand(1, 5, transformer.config.text_dim),
        )


def test_cancelling_stops_all(config: GeneratorConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = load_shared(config, FOUR, monkeypatch)
    expected = denoise(generator).latents
    done: list[int] = []
    with pytest.raises(RunInterruptedError):
        denoise(generator, on_step=lambda step: done.append(step.number), cancelled=lambda: len(done) == 2)
    np.testing.assert_array_equal(denoise(generator).latents, expected)


def together(size: int, work: Callable[[int], Any], *, one_at_a_time: bool) -> list[Any]:
    """Do `work` in as many threads as members, which share their attention."""
    meeting = Meeting(size, functional.scaled_dot_product_attention, one_at_a_time=one_at_a_time)
    results: list[Any] = [None] * size

    def run(rank: int) -> None:
        try:
            with meeting.joined(rank) as mine:
                mine.begin_sharing()
                results[rank] = work(rank)
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("one_at_a_time", [True, False])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_attention_over_parts_is_attention_over_all(size: int, *, one_at_a_time: bool) -> None:
    torch.manual_seed(0)
    query, key, value = torch.rand(3, 2, 5, 11, 8)  # neither heads nor tokens can be divided by the sizes
    expected = functional.scaled_dot_product_attention(query, key, value, scale=0.3)
    parts = list(zip(*(tensor.tensor_split(size, 2) for tensor in (query, key, value)), strict=True))

    def work(rank: int) -> torch.Tensor:
        for _ in range(2):
            made = functional.scaled_dot_product_attention(*parts[rank], scale=0.3)
        text = functional.scaled_dot_product_attention(parts[rank][0], key, value, scale=0.3)
        torch.testing.assert_close(text, made)  # more keys than queries: to a text, which all have whole
        return made

    made = together(size, work, one_at_a_time=one_at_a_time)
    torch.testing.assert_close(torch.cat(made, 2), expected)


def test_a_mask_is_refused_and_never_ignored() -> None:
    tensor = torch.rand(1, 2, 3, 8)
    mask = torch.ones(3, 3, dtype=torch.bool)
    errors = together(
        2,
        lambda _: functional.scaled_dot_product_attention(tensor, tensor, tensor, mask),
        one_at_a_time=False,
    )
    assert all(isinstance(error, BackendError) for error in errors)
    assert "its attention has a mask" in errors[0].message


def test_who_waits_for_one_that_failed_is_told() -> None:
    tensor = torch.rand(1, 2, 3, 8)

    def work(rank: int) -> Any:
        if rank == 1:
            raise ValueError("broken")
        return functional.scaled_dot_product_attention(tensor, tensor, tensor)

    first, second = together(2, work, one_at_a_time=False)
    assert isinstance(first, threading.BrokenBarrierError)
    assert str(second) == "broken"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("case", [CASES[0], CASES[1], CASES[5]], ids=lambda case: case.name)
def test_compiled_blocks_share_tokens_too(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = case.save(tmp_path / "model")
    expected = denoise(load(config_of(folder, **case.settings))).latents
    generator = load_shared(config_of(folder, **case.settings, compile="on"), FOUR, monkeypatch)
    assert_close(denoise(generator).latents, expected)
