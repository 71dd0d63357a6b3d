"""Every preset has the published defaults of its model."""

import pytest

from phyt2v_cli.config.layers import load_config
from phyt2v_cli.config.presets import list_presets

PUBLISHED = {
    "tiny": ("tiny", 25, 64, 64, 12, 2.0, 50),
    "cogvideox-2b": ("zai-org/CogVideoX-2b", 49, 480, 720, 8, 6.0, 50),
    "cogvideox-5b": ("zai-org/CogVideoX-5b", 49, 480, 720, 8, 6.0, 50),
    "cogvideox-1.5-5b": ("zai-org/CogVideoX1.5-5B", 81, 768, 1360, 16, 6.0, 50),
    "wan2.1-1.3b": ("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", 81, 480, 832, 16, 5.0, 50),
    "wan2.1-14b": ("Wan-AI/Wan2.1-T2V-14B-Diffusers", 81, 720, 1280, 16, 5.0, 50),
    "wan2.2-5b": ("Wan-AI/Wan2.2-TI2V-5B-Diffusers", 121, 704, 1280, 24, 5.0, 50),
    "wan2.2-a14b": ("Wan-AI/Wan2.2-T2V-A14B-Diffusers", 81, 720, 1280, 16, 4.0, 40),
    "ltx-video": ("Lightricks/LTX-Video", 161, 480, 704, 24, 3.0, 50),
    "ltx-2": ("Lightricks/LTX-2", 121, 512, 768, 24, 3.0, 40),
    "ltx-2.3": ("diffusers/LTX-2.3-Diffusers", 121, 512, 768, 24, 3.0, 30),
    "kandinsky-5-lite": (
        "kandinskylab/Kandinsky-5.0-T2V-Lite-sft-5s-Diffusers",
        *(121, 512, 768, 24, 5.0, 50),
    ),
    "cosmos-predict-2.5-2b": ("nvidia/Cosmos-Predict2.5-2B", 93, 704, 1280, 16, 7.0, 36),
    "hunyuanvideo": ("hunyuanvideo-community/HunyuanVideo", 129, 720, 1280, 24, 6.0, 50),
    "hunyuanvideo-1.5": (
        "hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-480p_t2v",
        *(121, 480, 848, 24, 6.0, 50),
    ),
    "anyflow-14b": ("nvidia/AnyFlow-Wan2.1-T2V-14B-Diffusers", 81, 480, 832, 16, 1.0, 50),
    "skyreels-v2-14b": ("Skywork/SkyReels-V2-T2V-14B-540P-Diffusers", 97, 544, 960, 24, 6.0, 50),
    "skyreels-v2-df-1.3b": ("Skywork/SkyReels-V2-DF-1.3B-540P-Diffusers", 97, 544, 960, 24, 6.0, 30),
    "sana-video": ("Efficient-Large-Model/SANA-Video_2B_480p_diffusers", 81, 480, 832, 16, 6.0, 50),
    "mochi": ("genmo/mochi-1-preview", 163, 480, 848, 30, 4.5, 64),
}
WAN_2_1, WAN_2_2 = "Bright tones, overexposed, static", "色调艳丽"
LTX_2 = "blurry, out of focus, overexposed"
PUBLISHED_BESIDES: dict[str, dict[str, object]] = {
    "cogvideox-2b": {"dtype": "float16"},
    "cogvideox-5b": {"dtype": "bfloat16"},
    "cogvideox-1.5-5b": {"dtype": "bfloat16"},
    "wan2.1-1.3b": {"flow_shift": 3.0, "negative_prompt": WAN_2_1},  # 480p; 720p takes 5
    "wan2.1-14b": {"flow_shift": 5.0, "negative_prompt": WAN_2_1},
    "wan2.2-5b": {"flow_shift": 5.0, "negative_prompt": WAN_2_2},
    "wan2.2-a14b": {"flow_shift": 5.0, "guidance_scale_2": 3.0, "negative_prompt": WAN_2_2},
    "skyreels-v2-14b": {"flow_shift": 8.0},
    "skyreels-v2-df-1.3b": {"flow_shift": 8.0},
    "ltx-2": {"negative_prompt": LTX_2},
    "ltx-2.3": {"negative_prompt": LTX_2},
    "kandinsky-5-lite": {"negative_prompt": "Static, 2D cartoon"},
    "cosmos-predict-2.5-2b": {
        "revision": "diffusers/base/post-trained",
        "negative_prompt": "The video captures a series of frames showing ugly scenes",
    },
    "sana-video": {"negative_prompt": "A chaotic sequence with misshapen"},
    "ltx-video": {"negative_prompt": "worst quality, inconsistent motion"},
}
"""How a negative prompt begins stands for all of it."""


@pytest.mark.parametrize("name", list_presets())
def test_every_preset_loads_with_the_published_defaults(name: str) -> None:
    config = load_config(preset=name, environment={}).config
    made, schedule = config.generator, config.schedule
    size = (made.num_frames, made.height, made.width)
    assert (made.model, *size, made.fps, made.guidance_scale, schedule.max_steps) == PUBLISHED[name]
    assert schedule.min_steps == (4 if name == "anyflow-14b" else 20)
    besides = {
        "revision": None,
        "flow_shift": None,
        "guidance_scale_2": None,
        "dtype": "auto",
        "negative_prompt": "",
    }
    for field, value in {**besides, **PUBLISHED_BESIDES.get(name, {})}.items():
        if field == "negative_prompt" and value:
            assert made.negative_prompt.startswith(str(value))
        else:
            assert getattr(made, field) == value, field
    judges = {(role.backend, role.model) for role in (config.llm, config.captioner, config.scorer)}
    assert judges == ({("rulebook", None), ("tracker", None)} if name == "tiny" else {("openai", "gpt-4o")})


def test_there_are_the_promised_presets() -> None:
    assert set(list_presets()) == set(PUBLISHED)
