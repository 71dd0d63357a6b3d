import pytest

from phyt2v_cli.backends.model_sizes import size_of
from phyt2v_cli.config import list_presets, load_config


@pytest.mark.parametrize("name", [name for name in list_presets() if name != "tiny"])
def test_every_preset_has_a_size(name: str) -> None:
    size = size_of(load_config(preset=name, environment={}).config.generator.model)
    assert size is not None
    assert 0 < size.largest_gb < size.half_gb <= size.download_gb


def test_what_fits_a_gpu() -> None:
    size = size_of("zai-org/CogVideoX-5b")
    assert size is not None
    assert [size.fit(free_gb) for free_gb in (80, 26, 24, 16, 8)] == [
        *("resident", "resident"),
        *("offloading", "offloading"),
        "no",
    ]


def test_nothing_is_known_of_other_models() -> None:
    assert size_of("some-one/some-model") is None
