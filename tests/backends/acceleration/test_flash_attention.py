"""flash-attn-4 takes the place of torch's attention in every family, or is left out with the reason.

The package needs a GPU. Here a package of its name and signature takes its place, so all that is shown is
ours: which calls reach it, in which order of dimensions, and what happens if it fails. The kernel itself is
the `gpu` test's, and `benchmarks/gpu_wan.py`.
"""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from phyt2v_cli.backends.acceleration import attention
from phyt2v_cli.backends.diffusion import checked
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator, load
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import BackendError, ConfigError
from phyt2v_cli.roles import Denoised
from tests.tiny_families import save_allegro, save_hunyuan, save_hunyuan_15, save_sana_video
from tests.tiny_pipelines import save_cogvideox, save_ltx, save_mochi, save_wan

CPU = torch.device("cpu")
TINY = {"num_frames": 9, "height": 16, "width": 16}

Kernel = Callable[..., Any]


def exact_kernel(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, softmax_scale: float | None = None
) -> Any:
    """Attend as flash-attn-4 does: (batch, tokens, heads, width), and the output beside another value."""
    parts = (part.transpose(1, 2) for part in (q, k, v))
    attended = functional.scaled_dot_product_attention(*parts, scale=softmax_scale)
    return attended.transpose(1, 2).contiguous(), None


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[Kernel], None]:
    """Install a kernel as the package flash-attn-4, for this machine and for tiny videos."""

    def put(kernel: Kernel) -> None:
        package = ModuleType("flash_attn.cute")
        package.flash_attn_func = kernel  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "flash_attn.cute", package)
        monkeypatch.setattr(attention, "obstacle", lambda _: None)
        monkeypatch.setattr(attention, "FEWEST_TOKENS", 1)

    return put


def config_of(folder: Path, **settings: Any) -> GeneratorConfig:
    tiny = {"model": str(folder), "device": "cpu", "dtype": "bfloat16", **TINY}
    return GeneratorConfig.model_validate({**tiny, **settings})


def denoise(generator: DiffusersGenerator, **options: Any) -> Denoised:
    return generator.denoise("a ball drops", seed=0, num_inference_steps=2, on_step=lambda _: None, **options)


SMALL = {"num_frames": 5}
FAMILIES = [
    pytest.param(save_cogvideox, {}, id="cogvideox"),
    pytest.param(save_wan, SMALL, id="wan"),
    pytest.param(save_ltx, {"height": 32, "width": 32}, id="ltx", marks=pytest.mark.slow),
    pytest.param(save_mochi, {"num_frames": 7}, id="mochi", marks=pytest.mark.slow),
    pytest.param(
        save_allegro, {"num_frames": 24, "height": 128, "width": 128}, id="allegro", marks=pytest.mark.slow
    ),
]


@pytest.mark.parametrize(("save", "settings"), FAMILIES)
def test_attention_without_a_mask_reaches_it_in_every_family(
    save: Callable[[Path], Path], settings: dict[str, Any], install: Any, tmp_path: Path
) -> None:
    folder = save(tmp_path / "model")
    plain = denoise(load(config_of(folder, attention="torch", **settings)))
    install(exact_kernel)
    before = attention.num_calls()
    generator = load(config_of(folder, **settings))
    assert attention.num_calls() == before + 2  # the comparison: with itself, and with a text
    video = denoise(generator)
    assert attention.num_calls() > before + 2
    assert video.how["attention"] == generator.settings["attention"] == "flash-attn-4"
    assert video.how["attention_difference"].startswith("0.0e+00 relative to ")
    np.testing.assert_allclose(video.latents, plain.latents, atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("save", "settings"),
    [
        pytest.param(save_hunyuan, SMALL, id="hunyuan"),
        pytest.param(save_hunyuan_15, SMALL, id="hunyuan-1.5"),
        pytest.param(save_sana_video, {"height": 32, "width": 64}, id="sana-video"),
    ],
)
def test_a_family_that_masks_all_its_calls_says_so(
    save: Callable[[Path], Path], settings: dict[str, Any], install: Any, tmp_path: Path
) -> None:
    install(exact_kernel)
    generator = load(config_of(save(tmp_path / "model"), **settings))
    before = attention.num_calls()
    how = denoise(generator).how
    used = attention.num_calls() > before
    assert (how["attention"] == "flash-attn-4") == used


def test_a_call_with_a_mask_stays_torchs(install: Any, tiny_cogvideox_dir: Path) -> None:
    install(exact_kernel)
    chosen = load(config_of(tiny_cogvideox_dir)).attention
    width = 16  # of the denoiser's heads
    query = torch.randn(1, 2, 6, width, dtype=torch.bfloat16)
    mask = torch.ones(6, 6, dtype=torch.bool).tril()
    wide = torch.randn(1, 2, 6, 2 * width, dtype=torch.bfloat16)
    before = attention.num_calls()
    with chosen.in_use():
        masked = functional.scaled_dot_product_attention(query, query, query, attn_mask=mask)
        causal = functional.scaled_dot_product_attention(query, query, query, is_causal=True)
        functional.scaled_dot_product_attention(wide, wide, wide)
        functional.scaled_dot_product_attention(query.float(), query.float(), query.float())
        assert attention.num_calls() == before
        functional.scaled_dot_product_attention(query, query, query, scale=0.5)
        assert attention.num_calls() == before + 1
    torch.testing.assert_close(masked, causal)
    how = {**chosen.settings, **chosen.settings_since(attention.num_calls())}
    assert how["attention"] != "flash-attn-4"
    assert how["attention_difference"] == "none: no call was without a mask"


def test_other_threads_keep_torchs_kernel(install: Any, tiny_cogvideox_dir: Path) -> None:
    install(exact_kernel)
    chosen = load(config_of(tiny_cogvideox_dir)).attention
    query = torch.randn(1, 2, 6, 8, dtype=torch.bfloat16)

    def attend() -> None:
        functional.scaled_dot_product_attention(query, query, query)

    with chosen.in_use():
        before = attention.num_calls()
        thread = threading.Thread(target=attend)
        thread.start()
        thread.join()
        assert attention.num_calls() == before


@pytest.mark.parametrize("guidance_scale", [6.0, 1.0])  # a branch each, and the tokens of one branch
def test_both_gpus_of_a_split_use_it(
    install: Any, tiny_cogvideox_dir: Path, monkeypatch: pytest.MonkeyPatch, guidance_scale: float
) -> None:
    install(exact_kernel)
    config = config_of(tiny_cogvideox_dir, guidance_scale=guidance_scale)
    alone = load(config)
    monkeypatch.setattr(checked, "choose_other_gpus", lambda *_, **__: (CPU,))
    shared = load(config)
    counts = []
    for generator in (alone, shared):
        before = attention.num_calls()
        denoise(generator)
        counts.append(attention.num_calls() - before)
    assert counts[1] == 2 * counts[0]  # each call became two


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_compiled_blocks_stay_whole(install: Any, tiny_cogvideox_dir: Path) -> None:
    install(exact_kernel)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    eager = denoise(load(config_of(tiny_cogvideox_dir)))
    before = attention.num_calls()
    compiled = denoise(load(config_of(tiny_cogvideox_dir, compile="on")))
    assert attention.num_calls() > before + 2
    assert not torch._dynamo.utils.counters["graph_break"]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    difference = np.linalg.norm(compiled.latents - eager.latents)
    assert difference < 0.1 * np.linalg.norm(eager.latents)  # as two compilations differ in half precision


def broken_kernel(*_: Any, **__: Any) -> Any:
    raise ImportError("libcute_dsl_runtime.so: cannot open shared object file\nTry again")


def wrong_kernel(q: torch.Tensor, *_: Any, **__: Any) -> Any:
    return torch.zeros_like(q)


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [
        (broken_kernel, r"it fails on this GPU \(ImportError: libcute_dsl_runtime.so: .* file Try again\)"),
        (wrong_kernel, "it is not exact here, its error is .* times that of"),
    ],
)
def test_a_kernel_that_does_not_work_is_left_out_or_an_error(
    kernel: Kernel, reason: str, install: Any, tiny_cogvideox_dir: Path
) -> None:
    install(kernel)
    settings = load(config_of(tiny_cogvideox_dir)).settings
    assert settings["attention"] != "flash-attn-4"
    with pytest.raises(BackendError, match=f"flash-attn-4 cannot be used: {reason}") as caught:
        load(config_of(tiny_cogvideox_dir, attention="fa4"))
    assert "\n" not in caught.value.message
    assert caught.value.hint == "Use `generator.attention=torch`."


def test_if_it_is_wanted_a_model_in_full_precision_is_refused(install: Any, tiny_cogvideox_dir: Path) -> None:
    install(exact_kernel)
    assert load(config_of(tiny_cogvideox_dir, dtype="float32")).settings["attention"] != "flash-attn-4"
    with pytest.raises(BackendError, match="the denoiser is in float32"):
        load(config_of(tiny_cogvideox_dir, dtype="float32", attention="fa4"))


def test_on_a_cpu_it_is_refused_before_anything_is_loaded(tiny_cogvideox_dir: Path) -> None:
    with pytest.raises(ConfigError, match="attention: fa4 is wanted, and it runs on GPUs only"):
        checked.check(config_of(tiny_cogvideox_dir, attention="fa4"))


@pytest.mark.gpu
def test_the_real_kernel_agrees_with_torchs() -> None:
    device = torch.device("cuda", 0)
    if (reason := attention.obstacle(device)) is not None:
        pytest.skip(reason)
    with torch.device("meta"):
        from diffusers import CogVideoXTransformer3DModel

        transformer = CogVideoXTransformer3DModel(num_attention_heads=48, num_layers=1).bfloat16()

    class Pipeline:
        def __init__(self) -> None:
            self.transformer = transformer

    chosen = attention.choose(Pipeline(), "fa4", 17_550, device)
    assert chosen.settings["attention"] == "flash-attn-4"
