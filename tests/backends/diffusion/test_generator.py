"""The generator on tiny random pipelines of the real classes, loaded from disk."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from diffusers import CogVideoXPipeline, DiffusionPipeline

from phyt2v_cli.backends.acceleration.convolutions import prefer_onednn
from phyt2v_cli.backends.diffusion.call.prompt_cache import NUM_CACHED_PROMPTS
from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.backends.diffusion.solvers import choose_solver
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import BackendError, ConfigError, RunInterruptedError
from tests.tiny_families import save_hunyuan_15
from tests.tiny_pipelines import TEXT_LENGTH, save_cogvideox, save_ltx, save_mochi, save_wan

PROMPT = "a ball falls."


def ignore(_step):
    pass


def denoise(generator, prompt=PROMPT, *, seed=1, steps=4, on_step=ignore):
    return generator.denoise(prompt, seed=seed, num_inference_steps=steps, on_step=on_step).latents


@pytest.fixture
def config(tiny_cogvideox_dir):
    return GeneratorConfig(model=str(tiny_cogvideox_dir))


@pytest.fixture
def generator(config):
    return load(config)


@dataclass(frozen=True)
class Case:
    name: str
    save: object
    size: dict[str, int]
    fps: int


CASES = [
    Case("cogvideox-2b", lambda path: save_cogvideox(path, "2b"), {}, 8),
    Case("cogvideox-5b", lambda path: save_cogvideox(path, "5b", sample_frames=17), {"num_frames": 17}, 8),
    Case("cogvideox-1.5", lambda path: save_cogvideox(path, "1.5"), {"num_frames": 17}, 16),
    Case("cogvideox-dpm", lambda path: save_cogvideox(path, dpm=True), {}, 8),
    Case("wan", save_wan, {"num_frames": 9, "height": 16, "width": 32}, 16),
    Case("ltx", save_ltx, {"num_frames": 9, "height": 32, "width": 64}, 24),
    Case(
        "ltx-timestep",
        lambda path: save_ltx(path, timestep_conditioning=True),
        {"num_frames": 9, "height": 32, "width": 32},
        24,
    ),
    Case("mochi", save_mochi, {"num_frames": 7, "height": 16, "width": 16}, 30),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_denoise_then_decode_equals_the_direct_call(case, tmp_path):
    path = case.save(tmp_path)
    generator = load(GeneratorConfig(model=str(path), guidance_scale=3, **case.size))
    latents = denoise(generator)
    frames = generator.decode(latents).frames

    pipeline = DiffusionPipeline.from_pretrained(path)
    pipeline.scheduler = choose_solver(pipeline.scheduler, "auto", None)
    prefer_onednn(
        pipeline.vae
    )  # which rounds differently, so one value in a thousand becomes another integer
    arguments = dict(case.size)
    if max_length := pipeline.transformer.config.get("max_text_seq_length"):
        arguments["max_sequence_length"] = max_length
    if case.name.startswith("ltx"):
        arguments["frame_rate"] = case.fps
    direct = pipeline(
        PROMPT,
        guidance_scale=3,
        num_inference_steps=4,
        generator=torch.Generator().manual_seed(1),
        output_type="np",
        **arguments,
    ).frames[0]

    assert latents.dtype == np.float32
    assert frames.dtype == np.uint8
    assert frames.flags.c_contiguous
    np.testing.assert_array_equal(frames, (direct * 255).round().astype(np.uint8))
    assert generator.fps == case.fps


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_video_stopped_half_way_leaves_nothing_behind(case, tmp_path):
    generator = load(GeneratorConfig(model=str(case.save(tmp_path)), **case.size))
    before = denoise(generator)

    def stop_at_2(step):
        if step.number == 2:
            raise RunInterruptedError("stop")

    with pytest.raises(RunInterruptedError):
        denoise(generator, "another prompt", seed=5, on_step=stop_at_2)
    np.testing.assert_array_equal(denoise(generator), before)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_report_for_each_step(case, tmp_path):
    generator = load(GeneratorConfig(model=str(case.save(tmp_path)), **case.size))
    for steps in (2, 3, 7):
        reports: list[tuple[int, int]] = []
        denoise(
            generator, steps=steps, on_step=lambda step, into=reports: into.append((step.number, step.total))
        )
        assert reports == [(step, steps) for step in range(1, steps + 1)]


def test_a_pipeline_may_close_its_progress_bar_as_those_of_ltx_2_do(config, monkeypatch):
    def close(pipeline, *_args, **_kwargs):
        pipeline.progress_bar(total=1).close()

    monkeypatch.setattr(CogVideoXPipeline, "check_inputs", close)
    assert np.isfinite(denoise(load(config))).all()


def test_latents_depend_on_prompt_seed_and_steps_only(config):
    generator, other_process = load(config), load(config)
    latents = denoise(generator)
    np.testing.assert_array_equal(denoise(generator), latents)
    np.testing.assert_array_equal(denoise(other_process), latents)
    assert not np.array_equal(denoise(generator, "a cube"), latents)
    assert not np.array_equal(denoise(generator, seed=2), latents)
    assert not np.array_equal(denoise(generator, steps=5), latents)
    np.testing.assert_array_equal(other_process.decode(latents).frames, generator.decode(latents).frames)


def test_a_prompt_is_encoded_once(generator):
    calls = []
    generator.pipeline.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    first = denoise(generator)
    assert len(calls) == 2  # the prompt and the negative prompt
    np.testing.assert_array_equal(denoise(generator), first)
    denoise(generator, steps=3)
    assert len(calls) == 2
    denoise(generator, "a cube")
    assert len(calls) == 4


def test_remembered_prompts_are_few(generator):
    calls = []
    generator.pipeline.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    others = [f"c{number}" for number in range(NUM_CACHED_PROMPTS - 1)]
    for prompt in ("a", "b", "a", *others, "a"):
        denoise(generator, prompt, steps=1)
    assert len(calls) == 2 * (2 + len(others))
    denoise(generator, "b", steps=1)
    assert len(calls) == 2 * (3 + len(others))


def test_guidance_and_negative_prompt_are_respected(config):
    latents = denoise(load(config))
    assert not np.array_equal(denoise(load(config.model_copy(update={"guidance_scale": 1.5}))), latents)
    assert not np.array_equal(denoise(load(config.model_copy(update={"negative_prompt": "smear"}))), latents)
    unguided = config.model_copy(update={"guidance_scale": 1.0})
    unguided_negative = config.model_copy(update={"guidance_scale": 1.0, "negative_prompt": "smear"})
    np.testing.assert_array_equal(denoise(load(unguided)), denoise(load(unguided_negative)))


def test_the_solver_changes_the_video_and_is_recorded(config, tmp_path):
    auto = load(config)
    multistep = load(config.model_copy(update={"solver": "unipc"}))
    assert multistep.settings["solver"] == "ExactUniPCMultistepScheduler"
    assert not np.array_equal(denoise(multistep), denoise(auto))
    same = load(config.model_copy(update={"solver": "ddim"}))
    np.testing.assert_array_equal(denoise(same), denoise(auto))
    with pytest.raises(
        ConfigError, match=r"generator\.solver: flow-euler .* use auto, own, ddim, unipc, dpm"
    ):
        load(config.model_copy(update={"solver": "flow-euler"}))
    shifted = save_cogvideox(tmp_path, "2b")
    with pytest.raises(ConfigError, match=r"use auto, own, ddim$"):
        load(GeneratorConfig(model=str(shifted), solver="unipc"))


def test_the_flow_shift_changes_the_video(tmp_path):
    path = str(save_wan(tmp_path))
    size = {"num_frames": 5, "height": 16, "width": 16}
    published = denoise(load(GeneratorConfig(model=path, **size)))
    shifted = denoise(load(GeneratorConfig(model=path, flow_shift=5.0, **size)))
    assert not np.array_equal(published, shifted)


@pytest.mark.slow
def test_a_guider_takes_the_guidance_scale(tmp_path):
    path = str(save_hunyuan_15(tmp_path))
    size = {"num_frames": 5, "height": 16, "width": 16}
    published = denoise(load(GeneratorConfig(model=path, **size)), steps=2)
    same = denoise(load(GeneratorConfig(model=path, guidance_scale=6.0, **size)), steps=2)
    stronger = denoise(load(GeneratorConfig(model=path, guidance_scale=9.0, **size)), steps=2)
    np.testing.assert_array_equal(published, same)
    assert not np.array_equal(published, stronger)


def test_size_and_frames_are_as_configured(config, tmp_path):
    config = config.model_copy(update={"model": str(save_cogvideox(tmp_path, sample_frames=17))})
    small = load(config.model_copy(update={"num_frames": 9}))
    assert small.decode(denoise(small, steps=1)).frames.shape == (9, 16, 16, 3)
    large = load(config.model_copy(update={"num_frames": 17, "height": 32, "width": 48, "fps": 12}))
    assert large.decode(denoise(large, steps=1)).frames.shape == (17, 32, 48, 3)
    assert large.fps == 12


def test_excess_tokens_are_those_beyond_what_the_transformer_reads(generator):
    end_token = 1
    fits = "a" * (TEXT_LENGTH - 1 - end_token)  # the word's leading piece is a token too
    assert generator.count_excess_tokens(fits) == 0
    assert generator.count_excess_tokens(fits + "bcd") == 3
    assert generator.count_excess_tokens("") == 0


def test_excess_tokens_by_the_calls_default_where_the_transformer_has_no_limit(tmp_path):
    generator = load(GeneratorConfig(model=str(save_ltx(tmp_path))))
    assert generator.count_excess_tokens("a" * 126) == 0
    assert generator.count_excess_tokens("a" * 130) == 4


def test_a_prompt_that_is_too_long_is_cut_without_a_word(generator, capfd):
    np.testing.assert_array_equal(denoise(generator, "a" * 40), denoise(generator, "a" * 60))
    assert capfd.readouterr() == ("", "")


def test_libraries_print_nothing(config, capfd):
    generator = load(config)
    generator.decode(denoise(generator))
    assert capfd.readouterr() == ("", "")


def test_weights_in_half_precision_on_disk_run_in_float32_on_a_cpu(tmp_path):
    generator = load(GeneratorConfig(model=str(save_cogvideox(tmp_path, dtype=torch.float16)), device="cpu"))
    models = [part for part in generator.pipeline.components.values() if isinstance(part, torch.nn.Module)]
    assert {model.dtype for model in models} == {torch.float32}
    assert generator.settings["dtype"] == "float32"
    assert np.isfinite(denoise(generator)).all()


def test_a_dtype_can_be_chosen_and_latents_survive_the_way_through_float32(config):
    generator = load(config.model_copy(update={"dtype": "bfloat16", "device": "cpu"}))
    latents = denoise(generator)
    assert latents.dtype == np.float32
    assert generator.decode(latents).frames.shape == (9, 16, 16, 3)
    assert generator.settings["dtype"] == "bfloat16"


def test_the_record_says_how_the_model_runs(config):
    assert load(config.model_copy(update={"device": "cpu"})).settings == {
        "offload": "none",
        "offload_reason": "no GPU to offload from",
        "tiled_decode": "off",
        "compile": "off",
        "attention": "flash",
        "device": "cpu",
        "dtype": "float32",
        "solver": "ExactCogVideoXDDIMScheduler",
    }


def test_wrong_sizes_are_refused_before_anything_is_loaded(config, monkeypatch):
    monkeypatch.setattr(DiffusionPipeline, "from_pretrained", None)
    with pytest.raises(ConfigError) as caught:
        load(config.model_copy(update={"num_frames": 12, "height": 20}))
    assert str(caught.value).splitlines() == [
        "generator.num_frames: CogVideoX makes 8k+1 up to 9 frames, not 12; the nearest is 9",
        "generator.height: CogVideoX needs a multiple of 16, not 20; the nearest are 16 and 32",
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_missing_gpu_is_a_config_error(config):
    with pytest.raises(ConfigError, match=r"generator\.device"):
        load(config.model_copy(update={"device": "cuda"}))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 34 GiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."),
    ],
)
@pytest.mark.parametrize("part", ["transformer", "vae.decoder"])
def test_out_of_memory_is_a_backend_error_and_not_the_end(generator, error, part):
    latents = denoise(generator)

    def run_out(*_):
        raise error

    hook = (
        generator.pipeline.components[part.split(".")[0]]
        .get_submodule(part.partition(".")[2])
        .register_forward_pre_hook(run_out)
    )
    with pytest.raises(BackendError, match="Out of memory"):
        generator.decode(denoise(generator))
    hook.remove()
    np.testing.assert_array_equal(denoise(generator), latents)


def test_what_fails_inside_the_model_is_a_backend_error(tmp_path):
    generator = load(GeneratorConfig(model=str(save_mochi(tmp_path)), num_frames=7, height=16, width=16))
    with pytest.raises(BackendError, match="failed while denoising: ") as caught:
        denoise(generator, steps=1)  # Mochi's own schedule divides by zero
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_whatever_on_step_raises_comes_out_as_it_is(generator):
    def fail(_step):
        raise MemoryError("mine")

    with pytest.raises(MemoryError, match="mine"):
        denoise(generator, on_step=fail)


def test_our_call_computes_what_the_pipelines_own_does_and_nothing_else(config):
    def computed(pipeline, call):
        calls = Counter()
        parts = (pipeline.text_encoder, pipeline.transformer, pipeline.vae.decoder, pipeline.vae.encoder)
        hooks = [
            part.register_forward_hook(lambda part, *_: calls.update([type(part).__name__])) for part in parts
        ]
        call()
        for hook in hooks:
            hook.remove()
        return calls

    generator, pipeline = load(config), DiffusionPipeline.from_pretrained(config.model)
    ours = computed(generator.pipeline, lambda: denoise(generator, steps=5))
    theirs = computed(pipeline, lambda: pipeline(PROMPT, num_inference_steps=5, output_type="latent"))
    assert ours == theirs == {"T5EncoderModel": 2, "CogVideoXTransformer3DModel": 5}
