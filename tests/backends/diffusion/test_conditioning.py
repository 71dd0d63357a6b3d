"""Videos that begin with an image or a video, of real classes, and files that are refused early."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from phyt2v_cli.backends.diffusion import conditioning
from phyt2v_cli.backends.diffusion.families.family import Family
from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.checks.preflight import complete
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.layers import load_config
from phyt2v_cli.errors import ConfigError, PromptError
from phyt2v_cli.files.video import VideoMetadata, read_video, write_video
from phyt2v_cli.roles import DenoisingStep
from phyt2v_cli.runs.identity import run_key
from tests.command_line import CommandLine, assignments, sizes
from tests.tiny_families import save_sana_video
from tests.tiny_pipelines import save_cogvideox, save_ltx, save_wan
from tests.tiny_unets import save_animatediff, save_text_to_video_sd


def save_sana_image_to_video(path: Path) -> Path:
    """Save the same model as a folder of its other class; return the path."""
    index = save_sana_video(path) / "model_index.json"
    index.write_text(index.read_text().replace("SanaVideoPipeline", "SanaImageToVideoPipeline"))
    return path


BOTH = Family(name="X", image_pipeline="I", video_pipeline="V")


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (40, 30)) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def clip(path: Path, num_frames: int = 9, seed: int = 0) -> Path:
    frames = np.random.default_rng(seed).integers(0, 255, (num_frames, 32, 48, 3), dtype=np.uint8)
    write_video(path, frames, fps=8, metadata=VideoMetadata("p", 0, 1, None))
    return path


def render(config: GeneratorConfig, steps: int = 4) -> tuple[npt.NDArray[np.uint8], list[tuple[int, int]]]:
    generator = load(config)
    reports: list[tuple[int, int]] = []

    def on_step(step: DenoisingStep) -> None:
        reports.append((step.number, step.total))

    latents = generator.denoise("a ball falls.", seed=1, num_inference_steps=steps, on_step=on_step).latents
    np.testing.assert_array_equal(
        generator.denoise(
            "a ball falls.", seed=1, num_inference_steps=steps, on_step=lambda *_: None
        ).latents,
        latents,
    )
    return generator.decode(latents).frames, reports


def config_of(model: Path, size: tuple[int, int, int], **more: object) -> GeneratorConfig:
    named = dict(zip(("num_frames", "height", "width"), size, strict=True))
    return GeneratorConfig.model_validate({"model": str(model), **named, **more})


@pytest.mark.parametrize(
    ("save", "size"),
    [
        (lambda path: save_cogvideox(path, takes_images=True), (9, 16, 32)),
        (save_ltx, (9, 32, 64)),
        (save_sana_video, (9, 32, 64)),
        (save_sana_image_to_video, (9, 32, 64)),
    ],
    ids=["cogvideox", "ltx", "sana-video", "sana-image-to-video"],
)
def test_an_image_changes_the_video(save, size, tmp_path: Path) -> None:
    model = save(tmp_path / "model")
    one, two = picture(tmp_path / "one.png"), picture(tmp_path / "two.png", seed=1)
    first, _ = render(config_of(model, size, image=str(one)))
    assert first.shape == (*size, 3)
    second, _ = render(config_of(model, size, image=str(two)))
    assert not np.array_equal(first, second)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("save", "size"),
    [
        (save_cogvideox, (9, 16, 16)),
        (save_wan, (9, 16, 32)),
        (save_animatediff, (9, 16, 24)),
        (save_text_to_video_sd, (4, 16, 24)),
    ],
    ids=["cogvideox", "wan", "animatediff", "modelscope"],
)
def test_a_video_is_left_as_far_as_the_strength_says(save, size, tmp_path: Path) -> None:
    model = save(tmp_path / "model")
    source = clip(tmp_path / "source.mp4", num_frames=12)
    near, reports = render(config_of(model, size, video=str(source), strength=0.5))
    assert near.shape == (*size, 3)
    assert reports == [(1, 2), (2, 2)]
    other, _ = render(
        config_of(model, size, video=str(clip(tmp_path / "b.mp4", seed=1, num_frames=9)), strength=0.5)
    )
    assert not np.array_equal(near, other)
    _, reports = render(config_of(model, size, video=str(source), strength=1.0))
    assert reports[-1] == (4, 4)


@pytest.mark.slow
def test_a_video_is_kept_where_the_pipeline_counts_the_other_way(tmp_path: Path) -> None:
    model, size = save_ltx(tmp_path / "model"), (9, 32, 64)
    sources = [str(clip(tmp_path / f"{seed}.mp4", num_frames=12, seed=seed)) for seed in (0, 1)]
    near, far, ignored = (
        [render(config_of(model, size, video=video, strength=strength))[0] for video in sources]
        for strength in (0.3, 0.9, 1.0)
    )
    assert near[0].shape == (*size, 3)

    def apart(videos: list[npt.NDArray[np.uint8]]) -> float:
        return float(np.abs(np.subtract(*videos, dtype=np.float32)).mean())

    assert apart(near) > apart(far) > apart(ignored) == 0
    published, _ = render(config_of(model, size, video=sources[0]))
    np.testing.assert_array_equal(
        published, render(config_of(model, size, video=sources[0], strength=0.8))[0]
    )


def test_a_video_of_no_named_length_is_used_as_far_as_it_fits_the_family(tmp_path: Path) -> None:
    source = clip(tmp_path / "source.mp4", num_frames=12)
    config = GeneratorConfig(model=str(save_wan(tmp_path / "m")), height=16, width=16, video=str(source))
    assert render(config)[0].shape == (9, 16, 16, 3)
    # Its call would make 161 frames of any clip.
    config = GeneratorConfig(model=str(save_ltx(tmp_path / "l")), height=32, width=32, video=str(source))
    assert render(config)[0].shape == (9, 32, 32, 3)
    long = clip(tmp_path / "long.mp4", num_frames=20)
    config = GeneratorConfig(model=str(save_cogvideox(tmp_path / "c")), height=16, width=16, video=str(long))
    assert render(config)[0].shape == (9, 16, 16, 3)  # the most that it was trained on


@pytest.mark.parametrize(
    ("save", "size", "flag"),
    [(save_ltx, (9, 32, 64), "--image"), (save_cogvideox, (9, 16, 16), "--video")],
    ids=["image", "video"],
)
def test_from_the_command_line(save, size, flag: str, tmp_path: Path, phyt2v: CommandLine) -> None:
    source = picture(tmp_path / "source.png") if flag == "--image" else clip(tmp_path / "source.mp4")
    words = ["--prompt", "a ball falls", "--model", str(save(tmp_path / "model")), "--steps", "2"]
    made = phyt2v("generate", *words, flag, str(source), *assignments(sizes(*size)))
    assert made.code == 0, made.err
    frames, _ = read_video(tmp_path / "output.mp4")
    assert frames.shape == (*size, 3)
    assert phyt2v("generate", *words, *assignments(sizes(*size)), "--out", "plain.mp4").code == 0
    assert not np.array_equal(read_video(tmp_path / "plain.mp4")[0], frames)


def test_what_does_not_fit_is_refused_with_the_reason() -> None:
    def lines(family: Family, **settings: object) -> list[str]:
        config = GeneratorConfig.model_validate({"height": 16, "width": 16, **settings})
        return list(conditioning.complaints(family, config))

    assert lines(BOTH, image="a.png") == lines(BOTH, video="a.mp4", strength=0.5) == lines(BOTH) == []
    assert "cannot begin with an image" in lines(Family(name="X"), image="a.png")[0]
    assert "cannot begin with a video" in lines(Family(name="X"), video="a.mp4")[0]
    assert "made to begin with an image" in lines(replace(BOTH, needs_image=True))[0]
    assert "one of them" in lines(BOTH, image="a.png", video="a.mp4")[0]
    assert lines(BOTH, strength=0.5)[0].startswith("generator.strength: ")
    assert "set both" in lines(BOTH, image="a.png", width=None)[0]
    # A class that is not listed may take the image in its own size; its signature decides.
    assert lines(replace(BOTH, options=None), image="a.png", width=None, height=None) == []
    assert "needs a last frame, which cannot be given" in lines(replace(BOTH, needs_more="a last frame"))[0]


def test_files_are_looked_at_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    for settings, message in [
        ({"image": str(tmp_path / "none.png")}, "there is no file"),
        ({"image": str(tmp_path / "text.png")}, "no image that can be read\nThese can: PNG"),
        ({"video": str(tmp_path / "text.png")}, "cut short, or no video\nName a video"),
        ({"video": str(tmp_path)}, "is no file\nName a video"),
    ]:
        with pytest.raises(ConfigError, match=message):
            conditioning.digest(GeneratorConfig.model_validate(settings))


def test_a_short_video_is_refused(tmp_path: Path) -> None:
    source = clip(tmp_path / "source.mp4", num_frames=5)
    config = GeneratorConfig(num_frames=9, height=16, width=16, video=str(source))
    with pytest.raises(ConfigError, match="has 5 frames, and 9 are needed"):
        conditioning.call_arguments(config, BOTH)


def test_an_image_is_scaled_and_cropped_and_not_stretched(tmp_path: Path) -> None:
    pixels = np.zeros((20, 60, 3), dtype=np.uint8)
    pixels[:, 20:40] = 255  # a white square in the middle
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    config = GeneratorConfig(height=16, width=16, image=str(tmp_path / "wide.png"))
    fitted = np.asarray(conditioning.call_arguments(config, BOTH)["image"])
    assert fitted.shape == (16, 16, 3)
    assert fitted.mean() > 240


def test_the_content_of_the_file_belongs_to_the_run_and_its_place_does_not(tmp_path: Path) -> None:
    def key(path: Path) -> str:
        loaded = load_config(environment={}, assignments=[f"generator.image={path}"])
        return run_key("p", complete(loaded).config)

    one = picture(tmp_path / "one.png")
    before = key(one)
    copy = tmp_path / "copy.png"
    copy.write_bytes(one.read_bytes())
    assert key(copy) == before
    picture(one, seed=2)
    assert key(one) != before


def test_a_file_that_changed_since_the_run_began_is_refused(tmp_path: Path) -> None:
    image = picture(tmp_path / "one.png")
    loaded = load_config(environment={}, assignments=[f"generator.image={image}"])
    config = complete(loaded).config.generator
    conditioning.call_arguments(config, BOTH)
    picture(image, seed=2)
    with pytest.raises(ConfigError, match="has changed since the run began"):
        conditioning.call_arguments(config, BOTH)


def test_each_call_may_begin_with_a_picture_of_its_own(tmp_path: Path) -> None:
    model = save_cogvideox(tmp_path / "model", takes_images=True)
    one, other = (picture(tmp_path / f"{seed}.png", seed) for seed in (1, 2))
    generator = load(config_of(model, (9, 16, 16), image=str(one)))
    encoded: list[object] = []
    generator.pipeline.text_encoder.register_forward_hook(lambda *_: encoded.append(1))

    def denoise(image: Path | None) -> npt.NDArray[np.float32 | np.uint8]:
        return generator.denoise(
            "a ball falls.", seed=1, num_inference_steps=2, on_step=lambda _: None, image=image
        ).latents

    first, num_encoded = denoise(one), len(encoded)
    np.testing.assert_array_equal(denoise(one), first)
    assert len(encoded) == num_encoded
    assert not np.array_equal(denoise(other), first)
    assert len(encoded) == 2 * num_encoded, "a text encoder may look at the picture too"
    np.testing.assert_array_equal(denoise(None), first)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(PromptError, match=r"broken.png is no image that can be read"):
        denoise(tmp_path / "broken.png")
    np.testing.assert_array_equal(denoise(one), first)
    generator = load(config_of(save_cogvideox(tmp_path / "of text"), (9, 16, 16)))
    with pytest.raises(PromptError, match="was loaded without a picture"):
        denoise(one)
