"""The count of excess tokens is exact: the last letter that fits still matters, and the next is cut."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from phyt2v_cli.backends.diffusion.call.prompt_length import find_prompt_length
from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator, load
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import ConfigError
from tests import tiny_families, tiny_pipelines, tiny_recent, tiny_sound, tiny_unets

Save = Callable[[Path], Path]
CASES = {
    "cogvideox": (tiny_pipelines.save_cogvideox, (9, 16, 16), tiny_pipelines.TEXT_LENGTH - 2),
    "wan": (tiny_pipelines.save_wan, (5, 16, 16), 512 - 2),
    "ltx": (tiny_pipelines.save_ltx, (9, 32, 32), 128 - 2),
    "mochi": (tiny_pipelines.save_mochi, (7, 16, 16), 256 - 2),
    # A template of 95 tokens before and one token after; CLIP, which reads 77, does not count.
    "hunyuan": (tiny_families.save_hunyuan, (5, 16, 16), 256 - 1),
    "hunyuan-1.5": (tiny_families.save_hunyuan_15, (5, 16, 16), 1000),
    "animatediff": (tiny_unets.save_animatediff, (2, 16, 16), 77 - 2),
    "latte": (tiny_families.save_latte, (16, 16, 16), 120 - 2),
    # An instruction comes first, whose end token does not.
    "sana-video": (tiny_families.save_sana_video, (5, 32, 32), 300 - 3),
    "skyreels-forcing": (tiny_recent.save_skyreels_forcing, (5, 16, 16), 512 - 2),
    # A template comes before, and its ten letters after.
    "kandinsky-5": (tiny_recent.save_kandinsky_5, (5, 16, 16), 512 - 10),
    "ltx-2": (tiny_sound.save_ltx_2, (9, 32, 32), 1024 - 2),
}
"""How it is saved, its smallest size, and how many letters it reads."""


def make(name: str, path: Path, **more: object) -> DiffusersGenerator:
    save, (num_frames, height, width), _ = CASES[name]
    size = {"num_frames": num_frames, "height": height, "width": width}
    return load(GeneratorConfig.model_validate({"model": str(save(path)), **size, **more}))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_what_fits_is_read_to_the_last_letter_and_what_does_not_is_cut(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    generator, limit = make(name, tmp_path), CASES[name][2]
    assert generator.count_excess_tokens("") == 0
    assert generator.count_excess_tokens("a" * limit) == 0
    assert generator.count_excess_tokens("a" * (limit + 1)) == 1
    assert generator.count_excess_tokens("a" * (limit + 20)) == 20
    assert "indexing errors" not in caplog.text, "the model never gets so many"

    def denoise(prompt: str) -> object:
        return generator.denoise(prompt, seed=1, num_inference_steps=2, on_step=lambda *_: None).latents

    read = denoise("a" * (limit - 1) + "b")
    assert not np.array_equal(denoise("a" * limit), read)
    if name != "hunyuan":  # there the cut takes the end of the template too, which the model then misses
        np.testing.assert_array_equal(denoise("a" * (limit + 5)), denoise("a" * (limit + 4) + "b"))


def test_counting_leaves_the_pipeline_as_it_was(tmp_path: Path) -> None:
    generator = make("hunyuan", tmp_path)
    pipeline = generator.pipeline
    assert "progress_bar" not in vars(pipeline)
    assert type(pipeline.tokenizer).__module__.startswith("transformers")
    found = find_prompt_length(pipeline, lambda prompt: pipeline(prompt=prompt, num_inference_steps=2))
    assert found is not None
    assert found.tokenizer is not pipeline.tokenizer
    assert "progress_bar" not in vars(pipeline)


def test_a_negative_prompt_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"generator\.negative_prompt: it is 10 tokens longer"):
        make("cogvideox", tmp_path, negative_prompt="a" * 40)
    make("cogvideox", tmp_path, negative_prompt="a" * 40, allow_truncation=True)
