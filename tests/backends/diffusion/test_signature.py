"""What a class that no table knows says for itself, and classes that make no videos."""

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from phyt2v_cli.backends.diffusion import families
from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.config.schema import GeneratorConfig
from phyt2v_cli.errors import BackendError, ConfigError, ModelLoadError
from phyt2v_cli.files.video import read_video
from tests.command_line import CommandLine, assignments, sizes
from tests.tiny_families import save_latte
from tests.tiny_pipelines import save_cogvideox, save_ltx, save_wan


def denoise(generator):
    return generator.denoise("a ball falls.", seed=1, num_inference_steps=4, on_step=lambda *_: None).latents


@pytest.mark.parametrize(("save", "frames"), [(save_ltx, 17), (save_latte, 16)])
def test_a_family_that_is_not_listed_works_from_its_signature(save, frames, tmp_path, monkeypatch):
    config = GeneratorConfig(model=str(save(tmp_path)), num_frames=frames, height=32, width=32, fps=24)
    listed = denoise(load(config))
    monkeypatch.setattr(families, "FAMILY_OF_PIPELINE", {})
    np.testing.assert_array_equal(denoise(load(config)), listed)
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


def test_a_pipeline_of_pictures_is_refused(tiny_cogvideox_dir, tmp_path):
    text = (tiny_cogvideox_dir / "model_index.json").read_text()
    path = save_cogvideox(tmp_path)
    for name, message in (
        ("StableDiffusionPipeline", "makes no video"),
        ("SecretPipeline", "does not have"),
    ):
        (path / "model_index.json").write_text(text.replace("CogVideoXPipeline", name))
        with pytest.raises(ModelLoadError, match=message):
            load(GeneratorConfig(model=str(path)))


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


def test_another_number_of_frames_than_was_wanted_is_no_video(tmp_path, monkeypatch):
    monkeypatch.setattr(families, "FAMILY_OF_PIPELINE", {})  # which would know that it makes 8k+1
    config = GeneratorConfig(model=str(save_cogvideox(tmp_path)), num_frames=5, height=16, width=16)
    generator = load(config)
    latents = denoise(generator)
    with pytest.raises(
        BackendError, match=r"made 8 frames, and 5 were wanted.*\nUse `generator\.num_frames=8`"
    ):
        generator.decode(latents)
