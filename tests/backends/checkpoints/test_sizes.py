import pytest

from phyt2v_cli.backends.checkpoints.sizes import size_of
from phyt2v_cli.config.layers import load_config
from phyt2v_cli.config.presets import list_presets

NOT_PUBLISHED = (
    *(
        "anyflow-14b",
        "cosmos-predict-2.5-2b",
        "hunyuanvideo-1.5",
        "kandinsky-5-lite",
        "ltx-2",
        "ltx-2.3",
        "sana-video",
    ),
    *("sana-video", "skyreels-v2-14b", "skyreels-v2-df-1.3b"),
)
"""Presets of models whose sizes on the hub we have not seen."""


@pytest.mark.parametrize("name", [name for name in list_presets() if name not in ("tiny", *NOT_PUBLISHED)])
def test_every_preset_has_a_size(name: str) -> None:
    size = size_of(load_config(preset=name, environment={}).config.generator.model)
    assert size is not None
    assert 0 < size.group_gb < size.half_gb <= size.download_gb
    assert size.working_gb > 3


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


def test_nothing_is_known_of_other_models() -> None:
    assert size_of("some-one/some-model") is None
