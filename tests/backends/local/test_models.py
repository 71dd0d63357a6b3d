"""Models of transformers are loaded safely, once, and fail in one line."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from phyt2v_cli.backends.local import models
from phyt2v_cli.backends.memory import residency
from phyt2v_cli.config.judges import CaptionerConfig, LlmConfig, ScorerConfig
from phyt2v_cli.errors import BackendError, ConfigError, ModelLoadError
from phyt2v_cli.roles import Message


@pytest.fixture
def folder(tiny_llama_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_llama_dir, tmp_path / "model"))


def refused(folder: Path) -> str:
    with pytest.raises(ModelLoadError) as caught:
        models.load(LlmConfig(model=str(folder)), role="llm")
    assert len(caught.value.message.splitlines()) == 1
    assert str(folder) in caught.value.message
    return str(caught.value)


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_copy_is_shared_by_all_roles(tiny_vlm_dir: Path) -> None:
    model = str(tiny_vlm_dir)
    captioner = models.load(CaptionerConfig(model=model, num_frames=4), role="captioner")
    assert models.load(ScorerConfig(model=model, timeout_s=9), role="scorer") is captioner
    assert models.load(LlmConfig(model=model, temperature=1), role="llm") is captioner
    assert models.load(LlmConfig(model=model, dtype="bfloat16"), role="llm") is not captioner


def test_threads_that_come_together_load_one_copy(folder: Path) -> None:
    loaded: list[models.LocalModel] = []

    def load() -> None:
        loaded.append(models.load(LlmConfig(model=str(folder)), role="llm"))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(loaded) == 4
    assert len(set(map(id, loaded))) == 1


def test_a_model_that_sees_nothing_is_no_vlm(tiny_llama_dir: Path) -> None:
    models.load(LlmConfig(model=str(tiny_llama_dir)), role="llm")
    with pytest.raises(ModelLoadError, match=r"\(llama\) cannot be shown pictures"):
        models.load(CaptionerConfig(model=str(tiny_llama_dir)), role="captioner")


def test_a_model_that_answers_nothing(folder: Path) -> None:
    change_json(folder / "config.json", model_type="vit")
    assert "(vit) is no model that answers in text" in refused(folder)


def test_a_model_of_an_unknown_kind_runs_none_of_its_code(folder: Path, tmp_path: Path) -> None:
    change_json(folder / "config.json", model_type="novel", auto_map={"AutoConfig": "novel.NovelConfig"})
    (folder / "novel.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert "cannot be loaded" in refused(folder)
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_cut_short(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:10_000])
    assert "model.safetensors is cut short" in refused(folder)


def test_weights_that_are_not_all_there(folder: Path) -> None:
    weights: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "lacks 1 of its weights, model.layers.1.mlp.up_proj.weight" in refused(folder)


def test_weights_of_another_size(folder: Path) -> None:
    change_json(folder / "config.json", intermediate_size=48)
    refused(folder)


def test_no_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    refused(folder)


def test_no_chat_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    assert "has no chat template" in refused(folder)


def test_a_model_mended_after_a_failure_loads(folder: Path) -> None:
    template = folder / "chat_template.jinja"
    text = template.read_text()
    template.unlink()
    refused(folder)
    template.write_text(text)
    models.load(LlmConfig(model=str(folder)), role="llm")


def test_no_model_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^scorer\.model: none is set"):
        models.load(ScorerConfig(), role="scorer")


@pytest.mark.skipif(torch.cuda.is_available(), reason="here it is there")
def test_no_cuda(tiny_llama_dir: Path) -> None:
    with pytest.raises(ConfigError, match=r"^llm\.device: torch sees no CUDA device"):
        models.load(LlmConfig(model=str(tiny_llama_dir), device="cuda"), role="llm")


def test_the_dtype_is_the_configs_else_float32_on_a_cpu(tiny_llama_dir: Path) -> None:
    chosen = {
        dtype: models.load(
            LlmConfig.model_validate({"model": str(tiny_llama_dir), "dtype": dtype, "device": "cpu"}),
            role="llm",
        )
        for dtype in ("auto", "float32", "bfloat16")
    }
    assert chosen["auto"] is chosen["float32"]
    assert chosen["bfloat16"].num_bytes < 0.6 * chosen["auto"].num_bytes


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory.\nTried"),
            r"Out of memory with .* as llm: CUDA out of memory\.\nName a smaller",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "Out of memory with .* as llm",
        ),
        (ValueError("odd\nand long"), r"failed as llm: odd\.$"),
    ],
)
def test_a_failure_while_computing(folder: Path, error: Exception, expected: str) -> None:
    model = models.load(LlmConfig(model=str(folder)), role="llm")

    def fail(*_: Any) -> None:
        raise error

    inputs, _ = model.inputs.encode([Message("user", "a ball")])
    hook = model.network.register_forward_pre_hook(fail)
    with pytest.raises(BackendError, match=expected):
        model.write(inputs, role="llm", max_new_tokens=4, max_time=60)
    hook.remove()
    assert model.write(inputs, role="llm", max_new_tokens=4, max_time=60).completion_tokens >= 1


def test_logits_that_are_no_numbers(folder: Path) -> None:
    weights: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    weights["model.norm.weight"].fill_(float("nan"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = models.load(LlmConfig(model=str(folder)), role="llm")
    inputs, _ = model.inputs.encode([Message("user", "a ball")])
    with pytest.raises(BackendError, match="no numbers in float32"):
        model.first_token_logits(inputs, role="scorer")


@pytest.mark.slow
def test_a_hub_id_is_loaded_from_the_cache_and_quietly(tiny_llama_dir: Path, tmp_path: Path) -> None:
    repo = tmp_path / "hub" / "models--some-one--some-model"
    shutil.copytree(tiny_llama_dir, repo / "snapshots" / ("a" * 40))
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("a" * 40)
    code = (
        "from phyt2v_cli.backends.local import models; from phyt2v_cli.config.judges import LlmConfig\n"
        "model = models.load(LlmConfig(model='some-one/some-model'), role='llm')\n"
        "print(model.num_bytes)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert int(done.stdout) > 100_000


@pytest.mark.gpu
def test_on_a_gpu_a_model_makes_way_and_a_wrong_estimate_is_mended(folder: Path, tiny_vlm_dir: Path) -> None:
    model = models.load(LlmConfig(model=str(folder), device="cuda"), role="llm")
    other = models.load(LlmConfig(model=str(tiny_vlm_dir), device="cuda"), role="llm")
    inputs, _ = model.inputs.encode([Message("user", "a ball")])
    other_inputs, _ = other.inputs.encode([Message("user", "a ball")])
    on_cpu = models.load(LlmConfig(model=str(folder), device="cpu"), role="llm")
    expected = on_cpu.write(inputs, role="llm", max_new_tokens=8, max_time=60)
    other.write(other_inputs, role="llm", max_new_tokens=2, max_time=60)
    failures = [torch.OutOfMemoryError("CUDA out of memory")]

    def fail_once(*_: Any) -> None:
        if failures:
            raise failures.pop()

    hook = model.network.register_forward_pre_hook(fail_once)
    answer = model.write(inputs, role="llm", max_new_tokens=8, max_time=60)
    hook.remove()
    assert answer == expected
    assert model.network.device.type == "cuda"
    assert other.network.device.type == "cpu"
    residency.forget(model)
    assert model.network.device.type == "cpu"
