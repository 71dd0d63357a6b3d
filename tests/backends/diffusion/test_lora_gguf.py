"""LoRA and GGUF on real classes: they change the video as far as asked, and refuse what cannot be loaded."""

import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from diffusers import CogVideoXPipeline, DiffusionPipeline, WanPipeline
from safetensors.numpy import load_file
from safetensors.torch import save_file

from phyt2v_cli.backends.checkpoints import lora_gguf_files
from phyt2v_cli.backends.diffusion import lora_gguf
from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import ConfigError, ModelLoadError
from phyt2v_cli.files.video import read_video
from tests.command_line import CommandLine, assignments, sizes
from tests.tiny_pipelines import save_cogvideox, save_wan

SIZE = {"num_frames": 9, "height": 16, "width": 16}


def render(path: Path, **more: object) -> npt.NDArray[np.float32]:
    generator = load(GeneratorConfig.model_validate({"model": str(path), **SIZE, **more}))
    return generator.denoise("a ball falls.", seed=1, num_inference_steps=2, on_step=lambda *_: None).latents


def save_lora(model: Path, path: Path) -> Path:
    """Save a random LoRA with the pipeline class's own writer."""
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(1)
    pipeline = DiffusionPipeline.from_pretrained(model)
    config = LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    pipeline.transformer.add_adapter(config)
    layers = get_peft_model_state_dict(pipeline.transformer)
    type(pipeline).save_lora_weights(path, transformer_lora_layers=layers)
    return path


@pytest.mark.parametrize("save", [save_cogvideox, save_wan])
def test_a_lora_changes_the_video_as_far_as_its_scale_says(save, tmp_path: Path) -> None:
    model = save(tmp_path / "model")
    lora = save_lora(model, tmp_path / "lora")
    plain = render(model)
    full = render(model, lora=str(lora))
    assert not np.array_equal(full, plain)
    np.testing.assert_array_equal(render(model, lora=str(lora), lora_scale=0.0), plain)
    half = render(model, lora=str(lora / "pytorch_lora_weights.safetensors"), lora_scale=0.5)
    assert 0 < np.abs(half - plain).mean() < np.abs(full - plain).mean()


@pytest.mark.parametrize("kind", ["lora", "gguf"])
def test_from_the_command_line(kind: str, tmp_path: Path, phyt2v: CommandLine) -> None:
    model = save_wan(tmp_path / "model")
    added = save_lora(model, tmp_path / "lora") if kind == "lora" else save_gguf(model, tmp_path / "wan.gguf")
    words = ["generate", "--prompt", "a ball falls", "--model", str(model), "--steps", "2"]
    plain = phyt2v(*words, *assignments(sizes(9, 16, 16)), "--out", "plain.mp4")
    made = phyt2v(*words, *assignments({**sizes(9, 16, 16), f"generator.{kind}": added}))
    assert (plain.code, made.code) == (0, 0), made.err
    frames, _ = read_video(tmp_path / "output.mp4")
    assert frames.shape == (9, 16, 16, 3)
    if kind == "lora":  # eight bits for a weight change less than a colour is rounded by
        assert (tmp_path / "output.mp4").read_bytes() != (tmp_path / "plain.mp4").read_bytes()


@pytest.mark.slow
def test_a_few_step_lora_runs_as_the_docs_say(tmp_path: Path, phyt2v: CommandLine) -> None:
    model = save_wan(tmp_path / "model")
    lora = save_lora(model, tmp_path / "lora") / "pytorch_lora_weights.safetensors"
    settings = {
        **sizes(9, 16, 16),
        "generator.lora": lora,
        "generator.guidance_scale": 1,
        "generator.flow_shift": 5,
        "generator.negative_prompt": "smear",
        "llm.backend": "rulebook",
        "captioner.backend": "tracker",
        "scorer.backend": "tracker",
    }
    words = ["--prompt", "a ball falls", "--model", str(model), *assignments(settings)]
    done = phyt2v("refine", *words, "--rounds", "3", "--min", "4", "--max", "8", "--out", "run")
    assert done.code == 0, done.err
    rounds = [json.loads(path.read_text()) for path in sorted((tmp_path / "run").glob("round*.json"))]
    steps = [found["steps"] for found in rounds]
    assert (steps[0], steps[-1], steps) == (4, 8, sorted(steps))
    assert "generator.negative_prompt has no effect at generator.guidance_scale 1" in done.err


def test_at_guidance_1_the_transformer_is_called_once_a_step(tmp_path: Path) -> None:
    model = save_wan(tmp_path / "model")

    def num_calls(guidance_scale: float) -> int:
        config = {"model": str(model), **SIZE, "guidance_scale": guidance_scale, "flow_shift": 5}
        generator = load(GeneratorConfig.model_validate(config))
        calls: list[object] = []
        generator.pipeline.transformer.register_forward_hook(lambda *_: calls.append(1))
        generator.denoise("a ball falls.", seed=1, num_inference_steps=4, on_step=lambda *_: None)
        return len(calls)

    assert (num_calls(1.0), num_calls(5.0)) == (4, 8)


def test_a_lora_of_another_family_is_refused(tmp_path: Path) -> None:
    lora = save_lora(save_wan(tmp_path / "wan"), tmp_path / "lora")
    with pytest.raises(ModelLoadError, match=r"lora does not fit this model: .*\nName a LoRA of this"):
        render(save_cogvideox(tmp_path / "model"), lora=str(lora))


def test_a_lora_that_cannot_be_loaded_is_said_before_the_model_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(lora: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            lora_gguf.check(GeneratorConfig(lora=str(lora)), CogVideoXPipeline, None)
        return str(caught.value)

    assert "there is no" in refusal(tmp_path / "nowhere")
    assert "no *.safetensors in it" in refusal(tmp_path)
    (tmp_path / "cut.safetensors").write_bytes(b"\xff" * 20)
    assert refusal(tmp_path / "cut.safetensors").startswith("generator.lora: ")
    assert "cut short" in refusal(tmp_path / "cut.safetensors")
    (tmp_path / "lora.bin").touch()
    assert "can run code" in refusal(tmp_path / "lora.bin")
    monkeypatch.setattr(lora_gguf_files, "find_spec", lambda _: None)
    assert "needs the package peft" in refusal(tmp_path)
    with pytest.raises(ConfigError, match="object takes no LoRA"):
        lora_gguf.check(GeneratorConfig(lora="a/b"), object, None)


def save_gguf(model: Path, path: Path) -> Path:
    """Write the transformer as GGUF, quantised where its rows are long enough."""
    import gguf

    writer = gguf.GGUFWriter(path, "wan")
    for name, tensor in load_file(model / "transformer" / "diffusion_pytorch_model.safetensors").items():
        if tensor.ndim == 2 and tensor.shape[1] % 32 == 0:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_transformer_renders_nearly_the_same_video(tmp_path: Path) -> None:
    model = save_wan(tmp_path / "model")
    plain, quantised = render(model), render(model, gguf=str(save_gguf(model, tmp_path / "wan.gguf")))
    assert not np.array_equal(quantised, plain)
    assert np.abs(quantised - plain).mean() < 0.02 * np.abs(plain).mean()


def test_a_gguf_file_that_cannot_be_loaded_is_said_before_the_model_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = GeneratorConfig(gguf=str(tmp_path / "wan.gguf"))
    with pytest.raises(ConfigError, match="CogVideoXTransformer3DModel cannot be read from one"):
        lora_gguf.check(config, CogVideoXPipeline, "CogVideoXTransformer3DModel")
    with pytest.raises(ConfigError, match="there is no file"):
        lora_gguf.check(config, WanPipeline, "WanTransformer3DModel")
    monkeypatch.setattr(lora_gguf_files, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="needs the package gguf"):
        lora_gguf.check(config, WanPipeline, "WanTransformer3DModel")


def test_a_broken_gguf_file_is_a_load_error(tmp_path: Path) -> None:
    (tmp_path / "wan.gguf").write_bytes(b"GGUF broken")
    with pytest.raises(
        ModelLoadError, match=r"generator\.gguf: .*wan\.gguf cannot be loaded: .*\nFetch it again"
    ):
        render(save_wan(tmp_path / "model"), gguf=str(tmp_path / "wan.gguf"))
    assert "gguf" in sys.modules


def lora_with(places: list[str], path: Path) -> Path:
    """Save LoRA weights of a Wan for these modules, which may be none of its modules."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for place in places:
        weights[f"transformer.{place}.lora_A.weight"] = torch.randn(4, 24, generator=generator)
        weights[f"transformer.{place}.lora_B.weight"] = torch.randn(24, 4, generator=generator)
    save_file(weights, path)
    return path


def test_what_fits_in_part_is_told_and_what_mostly_does_not_is_refused(tmp_path: Path) -> None:
    model = save_wan(tmp_path / "model")
    here = [f"blocks.0.attn1.to_{name}" for name in "qkv"]
    mostly = lora_with([*here, "blocks.40.attn1.to_q"], tmp_path / "mostly.safetensors")
    settings = load(GeneratorConfig(model=str(model), **SIZE, lora=str(mostly))).settings
    left = [f"transformer.blocks.40.attn1.to_q.lora_{part}.weight" for part in "AB"]
    assert settings["weights"] == f"no place for 2 of 8 weights: {', '.join(left)}"
    whole = lora_with(here, tmp_path / "whole.safetensors")
    assert "weights" not in load(GeneratorConfig(model=str(model), **SIZE, lora=str(whole))).settings
    hardly = lora_with([here[0], "blocks.40.attn1.to_q", "blocks.41.attn1.to_q"], tmp_path / "h.safetensors")
    with pytest.raises(ModelLoadError, match=r"no place for 4 of its 6 weights, transformer\.blocks"):
        render(model, lora=str(hardly))


def test_a_folder_of_several_loras_is_refused_and_one_of_a_mac_is_not(tmp_path: Path) -> None:
    model = save_wan(tmp_path / "model")
    (tmp_path / "lora").mkdir()
    one = lora_with(["blocks.0.attn1.to_q"], tmp_path / "lora" / "b.safetensors")
    (tmp_path / "lora" / "._b.safetensors").write_bytes(b"\0\5\x16\7 of a Mac")
    np.testing.assert_array_equal(render(model, lora=str(one.parent)), render(model, lora=str(one)))
    lora_with(["blocks.0.attn1.to_q"], tmp_path / "lora" / "a.safetensors")
    with pytest.raises(ConfigError, match=r"has 2 files of weights \(a\.safetensors, b\.safetensors\)"):
        render(model, lora=str(one.parent))


@pytest.mark.slow
def test_the_second_transformer_gets_its_own(tmp_path: Path) -> None:
    model = save_wan(tmp_path / "model", two_transformers=True)
    lora = str(lora_with([f"blocks.{n}.attn1.to_q" for n in (0, 1)], tmp_path / "a.safetensors"))
    videos = [render(model, **more) for more in ({}, {"lora": lora}, {"lora": lora, "lora_2": lora})]
    assert len({video.tobytes() for video in videos}) == 3
    first = load(GeneratorConfig(model=str(model), **SIZE, lora=lora)).settings["weights"]
    assert first == "one of two transformers goes without; name its file with generator.lora_2"
    assert "weights" not in load(GeneratorConfig(model=str(model), **SIZE, lora=lora, lora_2=lora)).settings
    gguf = str(save_gguf(model, tmp_path / "wan.gguf"))
    both = load(GeneratorConfig(model=str(model), **SIZE, gguf=gguf, gguf_2=gguf))
    assert "weights" not in both.settings
    with pytest.raises(ConfigError, match="Wan has no second transformer"):
        render(save_wan(tmp_path / "one"), lora_2=lora)
