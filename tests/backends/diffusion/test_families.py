"""Which frames and sizes a family makes, and how the nearest right ones are named."""

from dataclasses import replace

import pytest

from phyt2v_cli.backends.diffusion.families.table import family_of
from phyt2v_cli.backends.diffusion.family_rules import complaints
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.layers import load_config

COGVIDEOX_5B = {
    "vae": {"block_out_channels": [128, 256, 256, 512], "temporal_compression_ratio": 4},
    "transformer": {"patch_size": 2, "patch_size_t": None, "use_rotary_positional_embeddings": True},
}


@pytest.mark.parametrize(
    ("pipeline_class", "frame_step", "size_multiple", "fps", "num_inference_steps"),
    [
        ("CogVideoXPipeline", 8, 16, 8, 50),
        ("WanPipeline", 4, 16, 16, 50),
        ("LTXPipeline", 8, 32, 24, 50),
        ("HunyuanVideoPipeline", 4, 16, 24, 50),
        ("MochiPipeline", 6, 16, 30, 64),
        ("UnheardOfPipeline", 1, 1, 16, 50),
    ],
)
def test_published_sizes_follow_from_default_configs(
    pipeline_class, frame_step, size_multiple, fps, num_inference_steps
):
    family = family_of(pipeline_class, {})
    assert (family.num_frames.step, family.height.step, family.width) == (frame_step, size_multiple, None)
    assert (family.fps, family.num_inference_steps) == (fps, num_inference_steps)


def test_tiles_side_by_side_make_a_grid_of_sizes():
    family = family_of("AllegroPipeline", {})
    assert complaints(family, GeneratorConfig(num_frames=88, height=720, width=1280)) == ()
    assert complaints(family, GeneratorConfig(num_frames=20, height=700, width=1300)) == (
        "generator.num_frames: Allegro makes 16k+24 frames, not 20; the nearest is 24",
        "generator.height: Allegro needs 200k+320, not 700; the nearest are 520 and 720",
        "generator.width: Allegro needs 240k+320, not 1300; the nearest are 1280 and 1520",
    )


def test_the_longest_video_of_a_cogvideox_is_what_it_was_trained_on():
    def longest(**transformer):
        return family_of("CogVideoXPipeline", {"transformer": transformer}).num_frames.largest

    assert (longest(), longest(patch_size_t=2)) == (49, 161)
    assert (longest(sample_frames=25), longest(sample_frames=81, patch_size_t=2)) == (25, 161)
    (line,) = complaints(family_of("CogVideoXPipeline", COGVIDEOX_5B), GeneratorConfig(num_frames=81))
    assert line == ("generator.num_frames: CogVideoX makes 8k+1 up to 49 frames, not 81; the nearest is 49")


@pytest.mark.parametrize(
    ("vae", "transformer", "frames", "pixels"),
    [
        ({"temperal_downsample": [False, True, True], "dim_mult": [1, 2, 4, 4]}, [1, 2, 2], 4, 16),
        ({"scale_factor_temporal": 4, "scale_factor_spatial": 16}, [1, 2, 2], 4, 32),
        ({"temporal_compression_ratio": 8, "spatial_compression_ratio": 8}, 2, 8, 16),
        (
            {
                "temporal_compression_ratio": None,
                "spatio_temporal_scaling": [True, True, True, False],
                "patch_size": 4,
            },
            1,
            8,
            32,
        ),
        ({"block_out_channels": [128, 256, 512, 512]}, None, None, 8),
        ({}, None, None, 1),
    ],
)
def test_a_class_that_is_not_listed_is_divided_as_its_components_say(vae, transformer, frames, pixels):
    family = family_of("UnheardOfPipeline", {"vae": vae, "transformer": {"patch_size": transformer}})
    assert family.height.step == pixels
    assert (family.num_frames.step, family.num_frames.start) == ((frames, 1) if frames else (1, 0))


def test_cogvideox_generations_differ():
    family = family_of("CogVideoXPipeline", COGVIDEOX_5B)
    assert (family.half_dtypes, family.fps) == ({"default": "bfloat16"}, 8)
    two_b = {"transformer": {"use_rotary_positional_embeddings": False}}
    assert family_of("CogVideoXPipeline", two_b).half_dtypes == {"default": "float16"}
    one_five = {"transformer": {"use_rotary_positional_embeddings": True, "patch_size_t": 2}}
    assert family_of("CogVideoXPipeline", one_five).fps == 16


def test_wan_2_2_5b_compresses_more():
    family = family_of(
        "WanPipeline", {"vae": {"scale_factor_spatial": 16}, "transformer": {"patch_size": [1, 2, 2]}}
    )
    assert (family.height.step, family.fps) == (32, 24)


@pytest.mark.parametrize("num_frames", [1, 9, 25, 49])
def test_right_values_raise_no_complaint(num_frames):
    family = family_of("CogVideoXPipeline", COGVIDEOX_5B)
    assert complaints(family, GeneratorConfig(num_frames=num_frames, height=480, width=720)) == ()


def test_nothing_asked_nothing_to_complain_about():
    assert (
        complaints(family_of("WanPipeline", {}), GeneratorConfig(num_frames=None, height=None, width=None))
        == ()
    )


def test_wrong_values_name_the_nearest_right_ones():
    family = family_of("CogVideoXPipeline", COGVIDEOX_5B)
    assert complaints(family, GeneratorConfig(num_frames=48, height=488, width=24)) == (
        "generator.num_frames: CogVideoX makes 8k+1 up to 49 frames, not 48; the nearest are 41 and 49",
        "generator.height: CogVideoX needs a multiple of 16, not 488; the nearest are 480 and 496",
        "generator.width: CogVideoX needs a multiple of 16, not 24; the nearest are 16 and 32",
    )


def test_some_families_have_a_longest_video():
    (line,) = complaints(family_of("LattePipeline", {}), GeneratorConfig(num_frames=17))
    assert line == "generator.num_frames: Latte makes exactly 16 frames, not 17; the nearest is 16"
    (line,) = complaints(family_of("AnimateDiffPipeline", {}), GeneratorConfig(num_frames=40))
    assert line.endswith("AnimateDiff makes 1 to 32 frames, not 40; the nearest is 32")


def test_options_of_other_families_are_refused():
    two = family_of("WanPipeline", {"transformer_2": {}})
    assert complaints(two, GeneratorConfig(guidance_scale_2=3)) == ()
    one = family_of("WanPipeline", {})
    assert complaints(one, GeneratorConfig(guidance_scale_2=3, true_cfg_scale=2)) == (
        "generator.guidance_scale_2: Wan does not take it; leave it out",
        "generator.true_cfg_scale: Wan does not take it; leave it out",
    )
    unknown = family_of("UnheardOfPipeline", {})
    assert complaints(unknown, GeneratorConfig(guidance_scale_2=3)) == ()  # its signature decides


def test_a_negative_prompt_without_effect_is_refused():
    family = family_of("HunyuanVideoPipeline", {})
    (line,) = complaints(family, GeneratorConfig(negative_prompt="smear"))
    assert line.startswith("generator.negative_prompt: without generator.true_cfg_scale above 1")
    assert complaints(family, GeneratorConfig(negative_prompt="smear", true_cfg_scale=4)) == ()


WAN_5B = {"vae": {"scale_factor_spatial": 16}, "transformer": {"patch_size": [1, 2, 2]}}
WAN_A14B = {"transformer": {}, "transformer_2": {}}
FLOW = {"scheduler": {"use_flow_sigmas": True}}
PUBLISHED = {
    "cogvideox-2b": ("CogVideoXPipeline", {}),
    "cogvideox-5b": ("CogVideoXPipeline", COGVIDEOX_5B),
    "cogvideox-1.5-5b": ("CogVideoXPipeline", {"transformer": {"patch_size": 2, "patch_size_t": 2}}),
    "wan2.1-1.3b": ("WanPipeline", FLOW),
    "wan2.1-14b": ("WanPipeline", FLOW),
    "wan2.2-5b": ("WanPipeline", {**WAN_5B, **FLOW}),
    "wan2.2-a14b": ("WanPipeline", {**WAN_A14B, **FLOW}),
    "ltx-video": ("LTXPipeline", {}),
    "ltx-2": ("LTX2Pipeline", {}),
    "ltx-2.3": ("LTX2Pipeline", {"transformer": {"cross_attn_mod": True}}),
    "kandinsky-5-lite": ("Kandinsky5T2VPipeline", {}),
    "skyreels-v2-df-1.3b": ("SkyReelsV2DiffusionForcingPipeline", FLOW),
    "cosmos-predict-2.5-2b": ("Cosmos2_5_PredictBasePipeline", {}),
    "hunyuanvideo": ("HunyuanVideoPipeline", {}),
    "hunyuanvideo-1.5": ("HunyuanVideo15Pipeline", {}),
    "anyflow-14b": ("AnyFlowPipeline", {}),
    "skyreels-v2-14b": ("SkyReelsV2Pipeline", FLOW),
    "sana-video": ("SanaVideoPipeline", {}),
    "mochi": ("MochiPipeline", {}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_preset_fits_its_family(name):
    config = load_config(preset=name, environment={}).config
    family = replace(family_of(*PUBLISHED[name]), needs_packages=())  # which this machine may lack
    assert complaints(family, config.generator) == ()
    assert config.generator.fps == family.fps
    if name != "wan2.2-a14b":  # published with fewer than the others of its class
        assert config.schedule.max_steps == family.num_inference_steps


def test_a_solver_that_does_not_fit_is_refused_with_those_that_do():
    shifted = {"_class_name": "CogVideoXDDIMScheduler", "snr_shift_scale": 3.0}
    family = family_of("CogVideoXPipeline", {"scheduler": shifted})
    assert complaints(family, GeneratorConfig(solver="ddim")) == ()
    assert complaints(family, GeneratorConfig(solver="dpm++", flow_shift=3)) == (
        "generator.solver: dpm++ does not walk the noise schedule of this CogVideoX; use auto, own, ddim",
        "generator.flow_shift: the noise schedule of this CogVideoX has none to set; leave it out",
    )


@pytest.mark.parametrize(
    ("cache", "strength", "said"),
    [
        ("pab", 0.5, "pab takes whole numbers from 2, not 0.5"),
        ("taylor", 2.5, "taylor takes whole numbers from 2, not 2.5"),
        ("off", 3.0, "no cache is on; set generator.draft_cache, or leave it out"),
        ("auto", 3.0, "no cache is on; set generator.draft_cache, or leave it out"),
    ],
)
def test_a_strength_that_means_nothing_is_refused(cache: str, strength: float, said: str) -> None:
    family = family_of("CogVideoXPipeline", COGVIDEOX_5B)
    config = GeneratorConfig.model_validate({"draft_cache": cache, "draft_cache_strength": strength})
    assert complaints(family, config) == (f"generator.draft_cache_strength: {said}",)


def test_strengths_that_mean_something_are_taken() -> None:
    family = family_of("CogVideoXPipeline", COGVIDEOX_5B)
    for cache, strength in (("pab", 8.0), ("taylor", 3.0), ("first-block", 0.05)):
        config = GeneratorConfig.model_validate({"draft_cache": cache, "draft_cache_strength": strength})
        assert complaints(family, config) == ()
