"""What a class that no table knows says for itself, and classes that make no videos."""

import inspect

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from phyt2v_cli.backends.diffusion.call.step_reporter import StepReporter
from phyt2v_cli.backends.diffusion.families import table as families
from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.backends.diffusion.signature import fps_of, steps_of
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import ConfigError, ModelLoadError
from phyt2v_cli.files.video import read_video
from tests.command_line import CommandLine, assignments, sizes
from tests.tiny_families import save_latte
from tests.tiny_pipelines import save_cogvideox, save_ltx, save_wan


def denoise(generator):
    return generator.denoise("a ball falls.", seed=1, num_inference_steps=4, on_step=lambda *_: None).latents


@pytest.mark.parametrize(("save", "frames"), [(save_ltx, 17), (save_latte, 16)])
def test_a_family_that_is_not_listed_works_from_its_signature(save, frames, tmp_path, monkeypatch):
    config = GeneratorConfig(model=str(save(tmp_path)), num_frames=frames, height=32, width=32, fps=24)
    generator = load(config)
    listed = generator.decode(denoise(generator)).frames
    monkeypatch.setattr(families, "FAMILY_OF_PIPELINE", {})
    generator = load(config)
    frames = generator.decode(denoise(generator))
    np.testing.assert_array_equal(frames.frames, listed)
    assert frames.how["decode"] == "in the call that denoises, so no latents are kept"
    with pytest.raises(ConfigError) as caught:
        load(config.model_copy(update={"true_cfg_scale": 2.0, "image": "a.png"}))
    name = load(config).pipeline.__class__.__name__
    assert str(caught.value).splitlines() == [
        f"generator.image: {name} does not take it; leave it out",
        f"generator.true_cfg_scale: {name} does not take it; leave it out",
    ]


def test_an_image_that_an_unlisted_class_needs_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(families, "FAMILY_OF_PIPELINE", {})
    path = str(save_cogvideox(tmp_path / "model", takes_images=True))
    with pytest.raises(ConfigError, match=r"generator\.image: .* needs one; name it with `image`"):
        load(GeneratorConfig(model=path))
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    generator = load(
        GeneratorConfig(model=path, image=str(tmp_path / "a.png"), height=16, width=16, num_frames=9)
    )
    assert generator.decode(denoise(generator)).frames.shape == (9, 16, 16, 3)


def test_what_makes_no_video_from_a_text_is_refused_by_its_reason(
    tiny_cogvideox_dir, tmp_path, phyt2v: CommandLine
):
    text = (tiny_cogvideox_dir / "model_index.json").read_text()
    path = save_cogvideox(tmp_path / "model")
    for name, message in (
        ("StableDiffusionPipeline", "makes no video"),
        ("SecretPipeline", "does not have"),
        ("HeliosPyramidPipeline", "HeliosPyramidPipeline, which has a fixed list of denoising steps"),
        ("LTX2DFRPipeline", "fixed list of denoising steps"),
        ("ConsisIDPipeline", "needs a package that is not installed: opencv"),
        ("WanAnimatePipeline", "needs what cannot be given here: pose_video, face_video"),
        ("AnimateDiffControlNetPipeline", "needs what cannot be given here: the input of its controlnet"),
    ):
        (path / "model_index.json").write_text(text.replace("CogVideoXPipeline", name))
        with pytest.raises(ModelLoadError, match=message):
            load(GeneratorConfig(model=str(path)))
        dry = phyt2v("generate", "--prompt", "a cat", "--model", str(path), "--steps", "2", "--dry-run")
        assert dry.code == 4
        assert message in dry.err


def test_wrong_sizes_of_an_unlisted_class_are_refused_before_it_is_loaded(
    tmp_path, monkeypatch, phyt2v: CommandLine
):
    monkeypatch.setattr(families, "FAMILY_OF_PIPELINE", {})
    path = save_wan(tmp_path / "model")
    words = ["generate", "--prompt", "a ball", "--model", str(path), "--steps", "2"]
    right = phyt2v(*words, *assignments(sizes(5, 16, 32)))
    assert right.code == 0, right.err
    assert read_video(tmp_path / "output.mp4")[0].shape == (5, 16, 32, 3)
    save_file({}, path / "vae" / "diffusion_pytorch_model.safetensors")
    refused = phyt2v(*words, *assignments(sizes(6, 24, 32)), "--out", "wrong.mp4")
    assert (refused.code, refused.out) == (2, "")
    assert (
        "generator.num_frames: WanPipeline makes 4k+1 frames, not 6; the nearest are 5 and 9" in refused.err
    )
    assert "generator.height: WanPipeline needs a multiple of 16, not 24" in refused.err


def test_another_number_of_frames_than_was_wanted_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(families, "FAMILY_OF_PIPELINE", {})  # which would know that it makes 8k+1
    config = GeneratorConfig(model=str(save_cogvideox(tmp_path)), num_frames=5, height=16, width=16)
    generator = load(config)
    decoded = generator.decode(denoise(generator))
    assert len(decoded.frames) == 8
    assert decoded.how["num_frames"] == "5 wanted, 8 made"


def test_a_class_that_is_not_listed_states_its_own_defaults():
    def family(name):
        return families.family_of(name, {"scheduler": {"_class_name": "FlowMatchEulerDiscreteScheduler"}})

    parameters = inspect.signature(diffusers.LTX2InContextPipeline.__call__).parameters
    assert fps_of(family("LTX2InContextPipeline"), parameters) == 24
    assert steps_of(family("LTX2InContextPipeline")) == parameters["num_inference_steps"].default != 50
    assert family("LTX2InContextPipeline").solvers == ()  # its scheduler alone does not tell
    listed = family("LTXPipeline")
    assert "flow-euler" in listed.solvers
    assert (fps_of(listed, parameters), steps_of(listed)) == (listed.fps, 50)


def test_steps_are_counted_over_a_tensor_too():
    seen = []
    bar = StepReporter(lambda number, total: seen.append((number, total)), 3)
    for _ in bar(torch.arange(3)):
        pass
    for _ in bar(None):
        raise AssertionError
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_missing_package_is_not_blamed_on_the_files(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise ImportError("VideoProcessor requires torchvision")

    monkeypatch.setattr(diffusers.AutoencoderKLWan, "from_pretrained", missing)
    with pytest.raises(ModelLoadError, match=r"requires torchvision\.\nInstall what is missing"):
        load(GeneratorConfig(model=str(save_wan(tmp_path))))
