import pytest

from phyt2v_cli.backends.checkpoints.sizes import size_of
from phyt2v_cli.backends.memory.offloading import DENOISE_BYTES
from phyt2v_cli.config.layers import load_config
from phyt2v_cli.config.presets import list_presets


@pytest.mark.parametrize("name", [name for name in list_presets() if name != "tiny"])
def test_every_preset_has_a_size(name: str) -> None:
    size = size_of(load_config(preset=name, environment={}).config.generator.model)
    assert size is not None
    assert 0 < size.group_gb < size.half_gb <= size.download_gb
    assert size.working_gb >= 4


def test_what_fits_a_gpu() -> None:
    size = size_of("zai-org/CogVideoX-5b")
    assert size is not None
    fits = {free_gb: size.fit(free_gb) for free_gb in (80, 26, 24, 16, 12, 5)}
    # 24, 16 and 12 were measured: docs/memory.md
    assert fits == {
        **dict.fromkeys((80, 26), "resident"),
        **dict.fromkeys((24, 16, 12), "offloading"),
        5: "no",
    }


@pytest.mark.parametrize("name", ["cogvideox-1.5-5b", "wan2.1-14b", "hunyuanvideo", "mochi"])
def test_large_videos_need_room_beside_the_weights(name: str) -> None:
    made = load_config(preset=name, environment={}).config.generator
    size = size_of(made.model)
    assert size is not None
    assert made.num_frames and made.height and made.width
    pixels = made.num_frames * made.height * made.width
    assert size.working_gb == pytest.approx(pixels * DENOISE_BYTES * 2 / 1e9, rel=0.02)


def test_nothing_is_known_of_other_models() -> None:
    assert size_of("some-one/some-model") is None
