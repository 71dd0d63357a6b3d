"""What the younger families do beside denoising and decoding: guardrails, long videos, second guidances."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, WanPipeline
from PIL import Image

from phyt2v_cli.backends.acceleration.convolutions import prefer_onednn
from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.backends.diffusion.solvers import choose_solver
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import BackendError, ConfigError
from phyt2v_cli.files.sound import read_sound
from phyt2v_cli.files.video import Frames, read_frames
from tests import guardrail_double
from tests.command_line import CommandLine, assignments, sizes
from tests.tiny_pipelines import save_wan
from tests.tiny_recent import save_cosmos_predict, save_kandinsky_5, save_skyreels_forcing
from tests.tiny_sound import save_cosmos_3, save_kandinsky_6, save_ltx_2

JUDGES = {"llm.backend": "rulebook", "captioner.backend": "tracker", "scorer.backend": "tracker"}


def config_of(path: Path, num_frames: int, height: int, width: int, **more: Any) -> GeneratorConfig:
    size = {"num_frames": num_frames, "height": height, "width": width}
    return GeneratorConfig.model_validate({"model": str(path), "device": "cpu", **size, **more})


def render(config: GeneratorConfig) -> Frames:
    generator = load(config)
    denoised = generator.denoise("a ball falls", seed=1, num_inference_steps=3, on_step=lambda *_: None)
    return generator.decode(denoised.latents).frames


def direct(pipeline: Any, **arguments: Any) -> Frames:
    prefer_onednn(pipeline.vae)  # so that both round alike
    pipeline.set_progress_bar_config(disable=True)
    found = pipeline(
        prompt="a ball falls",
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(1),
        output_type="np",
        **arguments,
    )
    frames: Frames = (np.asarray(found.frames[0]) * 255).round().astype(np.uint8)
    return frames


@pytest.mark.slow
def test_the_guardrail_of_cosmos_sees_each_prompt_and_each_video(
    tmp_path: Path, phyt2v: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = guardrail_double.install(monkeypatch, tmp_path)
    path = save_cosmos_predict(tmp_path / "model")
    words = ["--model", str(path), *assignments({**sizes(5, 16, 16), **JUDGES})]
    done = phyt2v("refine", "--prompt", "a ball falls", *words, "--steps", "2,3", "--out", "run")
    assert done.code == 0, done.err
    assert seen.count("5 frames of uint8") == 2
    assert seen.count("text") >= 2
    # The video is the one that the guardrail handed back.
    assert max(read_frames(tmp_path / "run" / f"output{n}.mp4").max() for n in (1, 2)) < 150
    one = phyt2v("generate", "--prompt", "a ball falls", *words, "--steps", "2", "--out", "a.mp4")
    assert one.code == 0, one.err
    assert seen.count("5 frames of uint8") == 3
    refused = phyt2v("generate", "--prompt", "an unsafe ball", *words, "--steps", "2", "--out", "b.mp4")
    assert refused.code == 4
    assert "Cosmos Guardrail detected unsafe text" in refused.err


def test_cosmos_renders_what_its_own_call_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guardrail_double.install(monkeypatch, tmp_path)
    path = save_cosmos_predict(tmp_path / "model")
    frames = render(config_of(path, 5, 16, 16))
    pipeline = DiffusionPipeline.from_pretrained(path)
    pipeline.scheduler = choose_solver(pipeline.scheduler, "auto", None)
    np.testing.assert_array_equal(frames, direct(pipeline, num_frames=5, height=16, width=16))


def test_without_its_guardrail_cosmos_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs the package cosmos_guardrail, which is not installed"):
        load(config_of(save_cosmos_predict(tmp_path), 5, 16, 16))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_cosmos_3_makes_its_sound(tmp_path: Path, phyt2v: CommandLine) -> None:
    words = ["--prompt", "a ball falls", "--model", str(save_cosmos_3(tmp_path / "model"))]
    words += assignments({**sizes(5, 16, 16), **JUDGES})
    done = phyt2v("refine", *words, "--steps", "2,3", "--out", "run")
    assert done.code == 0, done.err
    one = phyt2v("generate", *words, "--steps", "2", "--out", "a.mp4")
    assert one.code == 0, one.err
    for path in (tmp_path / "run" / "output2.mp4", tmp_path / "a.mp4"):
        sound = read_sound(path)
        assert sound is not None
        assert (sound.sample_rate, len(sound.samples)) == (48000, 2)
    assert "sound" not in done.err


def test_kandinsky_6_makes_its_sound(tmp_path: Path, phyt2v: CommandLine) -> None:
    words = ["--prompt", "a ball falls", "--model", str(save_kandinsky_6(tmp_path / "model"))]
    done = phyt2v("generate", *words, *assignments(sizes(5, 16, 16)), "--steps", "2", "--out", "a.mp4")
    assert done.code == 0, done.err
    sound = read_sound(tmp_path / "a.mp4")
    assert sound is not None
    assert (sound.sample_rate, len(sound.samples)) == (44100, 1)
    assert 0.2 < sound.seconds < 0.25  # of a video of 0.21 s


def test_a_forced_video_goes_on_beyond_what_is_denoised_at_once(tmp_path: Path) -> None:
    path = save_skyreels_forcing(tmp_path)
    config = config_of(path, 113, 16, 16)
    frames = render(config)
    pipeline = DiffusionPipeline.from_pretrained(path)
    pipeline.scheduler = choose_solver(pipeline.scheduler, "auto", None)
    torch.manual_seed(1)  # it adds noise to what it goes on from
    size = {"num_frames": 113, "height": 16, "width": 16}
    whole = direct(pipeline, **size, overlap_history=17, addnoise_condition=20, base_num_frames=97)
    assert len(frames) == len(whole) >= 113
    np.testing.assert_array_equal(frames, whole)


@pytest.mark.parametrize("solver", ["unipc", "dpm++", "own"])
def test_solvers_of_a_forced_video(solver: str, tmp_path: Path) -> None:
    assert len(render(config_of(save_skyreels_forcing(tmp_path), 9, 16, 16, solver=solver))) == 9


def test_a_solver_that_a_forced_video_cannot_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="flow-euler does not walk the noise schedule"):
        load(config_of(save_skyreels_forcing(tmp_path), 9, 16, 16, solver="flow-euler"))


def test_the_second_guidance_is_that_of_the_second_transformer(tmp_path: Path) -> None:
    path = save_wan(tmp_path, two_transformers=True)
    alike = render(config_of(path, 5, 16, 16, guidance_scale=4.0))
    two = render(config_of(path, 5, 16, 16, guidance_scale=4.0, guidance_scale_2=3.0))
    assert not np.array_equal(alike, two)
    pipeline = WanPipeline.from_pretrained(path)
    pipeline.scheduler = choose_solver(pipeline.scheduler, "auto", None)
    size = {"num_frames": 5, "height": 16, "width": 16}
    np.testing.assert_array_equal(two, direct(pipeline, **size, guidance_scale=4.0, guidance_scale_2=3.0))


def test_a_video_with_sound_begins_with_a_picture(tmp_path: Path) -> None:
    path = save_ltx_2(tmp_path / "model")
    picture = tmp_path / "a.png"
    Image.new("RGB", (64, 32), (250, 20, 20)).save(picture)
    config = config_of(path, 9, 32, 64, image=str(picture))
    generator = load(config)
    denoised = generator.denoise("a ball falls", seed=1, num_inference_steps=2, on_step=lambda *_: None)
    decoded = generator.decode(denoised.latents)
    assert type(generator.pipeline).__name__ == "LTX2ImageToVideoPipeline"
    assert decoded.sound is not None
    assert not np.array_equal(decoded.frames, render(config_of(path, 9, 32, 64)))


@pytest.mark.parametrize("named", ["LTX2ImageToVideoPipeline", "LTX2ConditionPipeline"])
def test_a_checkpoint_that_names_another_class_renders_from_text(named: str, tmp_path: Path) -> None:
    path = save_ltx_2(tmp_path)
    plain = render(config_of(path, 9, 32, 64))
    rename(path, "LTX2Pipeline", named)
    np.testing.assert_array_equal(render(config_of(path, 9, 32, 64)), plain)


def rename(path: Path, class_name: str, other: str) -> None:
    index = path / "model_index.json"
    index.write_text(index.read_text().replace(class_name, other))


def test_linear_light_and_sparse_attention_are_refused(tmp_path: Path) -> None:
    rename(save_ltx_2(tmp_path / "ltx"), "LTX2Pipeline", "LTX2HDRPipeline")
    with pytest.raises(ConfigError, match="this LTX-2 HDR needs an HDR file"):
        load(config_of(tmp_path / "ltx", 9, 32, 64))
    config = save_kandinsky_5(tmp_path / "kandinsky") / "transformer" / "config.json"
    config.write_text(config.read_text().replace('"regular"', '"nabla"'))
    with pytest.raises(ConfigError, match="this Kandinsky 5 needs sparse attention"):
        load(config_of(tmp_path / "kandinsky", 5, 16, 16))


@pytest.mark.parametrize(
    ("save", "wrong", "said"),
    [
        (save_kandinsky_5, (6, 16, 24), ("4k+1 frames, not 6", "a multiple of 16, not 24")),
        (save_ltx_2, (10, 48, 32), ("8k+1 frames, not 10", "a multiple of 32, not 48")),
        (save_skyreels_forcing, (10, 16, 16), ("4k+1 frames, not 10",)),
    ],
)
def test_what_they_cannot_make_is_refused(
    save: Any, wrong: tuple[int, int, int], said: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(config_of(save(tmp_path), *wrong))
    assert all(words in str(refused.value) for words in said)


def test_an_unsafe_prompt_is_an_error_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guardrail_double.install(monkeypatch, tmp_path)
    generator = load(config_of(save_cosmos_predict(tmp_path / "model"), 5, 16, 16))
    with pytest.raises(BackendError, match="unsafe text"):
        generator.denoise("an unsafe ball", seed=1, num_inference_steps=2, on_step=lambda *_: None)
