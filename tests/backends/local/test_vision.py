"""Random VLMs of several architectures see real videos, through their real image processors."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from phyt2v_cli.backends.local import models
from phyt2v_cli.backends.local.roles import TransformersCaptioner, TransformersScorer
from phyt2v_cli.backends.vlm import PHYSICAL_QUESTION, sampled_images
from phyt2v_cli.config.judges import CaptionerConfig, ScorerConfig
from phyt2v_cli.errors import BackendError, ConfigError, ModelLoadError, ReplyError, VideoError
from phyt2v_cli.files.video import VideoMetadata, write_video
from phyt2v_cli.refinement.loop import refine
from phyt2v_cli.roles import Message, Roles
from phyt2v_cli.testing.fakes import FakeRoles
from phyt2v_cli.video_id import RoundId
from tests import tiny_language_models
from tests.fake_runs import make_config, open_run

ARCHITECTURES = ("qwen2_5_vl", "qwen3_vl", "idefics3", "internvl")


@pytest.fixture(scope="module", params=ARCHITECTURES)
def vlm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    save: Callable[[Path], Path] = getattr(tiny_language_models, f"save_{request.param}")
    return save(tmp_path_factory.mktemp("vlm") / request.param)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A white square that slides to the right."""
    frames = np.zeros((9, 48, 64, 3), np.uint8)
    for index, frame in enumerate(frames):
        frame[16:32, 4 + 5 * index : 20 + 5 * index] = 255
    path = tmp_path_factory.mktemp("videos") / "moving.mp4"
    write_video(path, frames, fps=8, metadata=VideoMetadata(prompt="p", seed=0, steps=1))
    return path


def scorer(model: Path, **settings: object) -> TransformersScorer:
    return TransformersScorer(ScorerConfig.model_validate({"model": str(model), "num_frames": 4, **settings}))


def captioner(model: Path, **settings: object) -> TransformersCaptioner:
    return TransformersCaptioner(
        CaptionerConfig.model_validate({"model": str(model), "num_frames": 4, "max_tokens": 12, **settings})
    )


def load(model: Path) -> models.LocalModel:
    return models.load(ScorerConfig(model=str(model)), role="scorer")


def logits_of(model: Path, images: list[Image.Image]) -> torch.Tensor:
    """Return what a scorer reads of the physical question."""
    inputs, _ = load(model).inputs.encode([Message("user", PHYSICAL_QUESTION)], images)
    return load(model).first_token_logits(inputs, role="scorer")


def test_scores_are_repeatable_probabilities_and_pc_does_not_know_the_prompt(vlm: Path, video: Path) -> None:
    scores = scorer(vlm).score(video, "a white square slides to the right")
    assert scores.semantic_adherence is not None
    assert scores.physical_commonsense is not None
    assert 0 < scores.semantic_adherence < 1
    assert 0 < scores.physical_commonsense < 1
    assert scorer(vlm).score(video, "a white square slides to the right") == scores
    other = scorer(vlm).score(video, "a balloon")
    assert other.physical_commonsense == scores.physical_commonsense
    assert other.semantic_adherence != scores.semantic_adherence


def test_every_frame_counts_and_so_does_their_order(vlm: Path, video: Path) -> None:
    images = sampled_images(video, ScorerConfig(num_frames=4))
    logits = logits_of(vlm, images)
    # A random network hardly changes its mind; that it looks at all shows in every digit of its logits.
    for others in (images[::-1], [*images[:3], images[0]], images[:3]):
        assert (logits - logits_of(vlm, others)).abs().max() > 1e-4
    assert torch.equal(logits, logits_of(vlm, images))


def test_captions_are_repeatable_and_short_of_the_limit(vlm: Path, video: Path) -> None:
    captions = {captioner(vlm).caption(video, "What is seen?") for _ in range(2)}
    assert len(captions) == 1
    (longer,) = {captioner(vlm, max_tokens=30).caption(video, "What is seen?")}
    assert longer.startswith(captions.pop())


def test_the_question_is_read_after_the_pictures(vlm: Path, video: Path) -> None:
    inputs_of = load(vlm).inputs
    images = sampled_images(video, ScorerConfig(num_frames=4))
    inputs, _ = inputs_of.encode([Message("user", "What is seen?")], images)
    text = inputs_of.tokenizer.decode(inputs["input_ids"][0])
    image_token = inputs_of.tokenizer.convert_ids_to_tokens(int(inputs["input_ids"][0].mode().values))
    assert image_token in inputs_of.tokenizer.all_special_tokens
    assert text.count(image_token) % 4 == 0
    assert text.rindex(image_token) < text.index("What is seen?<|im_end|>\n<|im_start|>assistant\n")


def test_the_score_is_the_softmax_over_yes_and_no(tiny_vlm_dir: Path, video: Path) -> None:
    reader = load(tiny_vlm_dir).inputs
    images = sampled_images(video, ScorerConfig(num_frames=4))
    inputs, _ = reader.encode([Message("user", PHYSICAL_QUESTION)], images)
    network = AutoModelForImageTextToText.from_pretrained(tiny_vlm_dir).eval()
    with torch.no_grad():
        probabilities = network(**inputs).logits[0, -1].softmax(0)
    vocabulary = reader.tokenizer.get_vocab()
    yes = sum(float(probabilities[vocabulary[token]]) for token in ("yes", "Yes", "Ġyes", "ĠYes"))
    no = sum(float(probabilities[vocabulary[token]]) for token in ("no", "No", "Ġno", "ĠNo"))
    score = scorer(tiny_vlm_dir).score(video, "p").physical_commonsense
    assert score == pytest.approx(yes / (yes + no), abs=1e-4)


def test_a_vlm_that_says_yes_scores_one(tmp_path: Path, video: Path) -> None:
    model = tiny_language_models.save_idefics3(tmp_path / "yes")
    network = AutoModelForImageTextToText.from_pretrained(model)
    yes, no = (load(model).inputs.tokenizer.get_vocab()[token] for token in ("Yes", "No"))
    hidden = {}
    network.lm_head.register_forward_pre_hook(lambda _, inputs: hidden.update(last=inputs[0][0, -1].detach()))
    images = sampled_images(video, ScorerConfig(num_frames=4))
    inputs, _ = load(model).inputs.encode([Message("user", PHYSICAL_QUESTION)], images)
    network(**inputs)
    with torch.no_grad():
        network.lm_head.weight[yes], network.lm_head.weight[no] = hidden["last"], -hidden["last"]
    network.save_pretrained(shutil.copytree(model, tmp_path / "surely"))
    assert (scorer(tmp_path / "surely").score(video, "p").physical_commonsense or 0) > 0.99


def test_the_name_is_the_models_unless_one_is_given(tmp_path: Path) -> None:
    assert scorer(tmp_path / "some-vlm").name == "transformers:some-vlm"
    assert scorer(Path("some-one/some-vlm")).name == "transformers:some-vlm"
    assert scorer(tmp_path / "some-vlm", name="judge").name == "judge"


def test_nothing_is_loaded_before_the_first_video(tmp_path: Path, video: Path) -> None:
    with pytest.raises(ModelLoadError, match="does not exist"):
        scorer(tmp_path / "nothing").score(video, "p")
    with pytest.raises(ModelLoadError, match="does not exist"):
        captioner(tmp_path / "nothing").caption(video, "What is seen?")


def test_no_model_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^captioner\.model: none is set"):
        TransformersCaptioner(CaptionerConfig())
    with pytest.raises(ConfigError, match=r"^scorer\.model: none is set"):
        TransformersScorer(ScorerConfig())


def test_a_model_that_sees_nothing(tiny_llama_dir: Path, video: Path) -> None:
    for ask in (scorer(tiny_llama_dir).score, captioner(tiny_llama_dir).caption):
        with pytest.raises(ModelLoadError, match="cannot be shown pictures") as caught:
            ask(video, "p")
        assert len(caught.value.message.splitlines()) == 1
        assert caught.value.hint == "Name a model that takes images and text."


def test_a_video_that_is_none(tiny_vlm_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="missing"):
        scorer(tiny_vlm_dir).score(tmp_path / "nothing.mp4", "p")


def test_more_frames_than_the_context_holds(tmp_path: Path, video: Path) -> None:
    model = tiny_language_models.save_qwen2_5_vl(tmp_path / "model", context=256)
    with pytest.raises(
        BackendError, match=r"at most 256 tokens, and is asked to read \d+\.\nShow it fewer or"
    ):
        captioner(model, num_frames=64).caption(video, "What is seen?")


def test_a_template_that_shows_no_pictures(tiny_vlm_dir: Path, tmp_path: Path, video: Path) -> None:
    model = Path(shutil.copytree(tiny_vlm_dir, tmp_path / "model"))
    (model / "chat_template.jinja").write_text("{{ messages[0]['content'][-1]['text'] }}")
    with pytest.raises(BackendError, match="cannot read 4 pictures and a text"):
        captioner(model).caption(video, "What is seen?")


def test_a_prompt_that_pretends_to_be_a_picture(vlm: Path, video: Path) -> None:
    special = load(vlm).inputs.tokenizer.all_special_tokens
    scores = scorer(vlm).score(video, f"a ball {' '.join(special)} <image> <|image_pad|>")
    assert scores.semantic_adherence is not None


def test_a_vocabulary_without_yes(tiny_vlm_dir: Path, tmp_path: Path, video: Path) -> None:
    model = Path(shutil.copytree(tiny_vlm_dir, tmp_path / "model"))
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    bpe = tokenizer["model"]
    bpe["vocab"] = {("#" + token if "es" in token else token): i for token, i in bpe["vocab"].items()}
    bpe["merges"] = [merge for merge in bpe["merges"] if "es" not in "".join(merge)]
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(BackendError, match="has no single token for yes or for no"):
        scorer(model).score(video, "p")


def test_a_caption_of_nothing(tmp_path: Path, video: Path) -> None:
    model = tiny_language_models.save_idefics3(tmp_path / "model")
    config_path = model / "generation_config.json"
    every_token = list(range(load(model).inputs.tokenizer.vocab_size))
    config_path.write_text(json.dumps(json.loads(config_path.read_text()) | {"suppress_tokens": every_token}))
    silent = Path(shutil.copytree(model, tmp_path / "silent"))
    with pytest.raises(ReplyError, match="gave no usable answer, twice; the last time: it is empty"):
        captioner(silent).caption(video, "What is seen?")


def test_one_vlm_captions_and_scores_a_whole_run(tiny_vlm_dir: Path, tmp_path: Path) -> None:
    cast = FakeRoles()
    model = Path(shutil.copytree(tiny_vlm_dir, tmp_path / "model"))
    with open_run(tmp_path / "run", make_config(1)) as run:
        roles = Roles(cast.load_generator, cast.llm, captioner(model), [scorer(model)])
        result = refine(run, roles, emit=cast.events.append, cancelled=lambda: False)
        rounds = [run.read_video(RoundId(number)) for number in (1, 2)]
    assert result.id == RoundId(2)
    for record in rounds:
        assert record is not None
        assert record.caption
        assert set(record.scorers) == {"transformers:model"}


def test_a_vlm_that_cannot_be_had_leaves_a_run_that_can_go_on(tiny_vlm_dir: Path, tmp_path: Path) -> None:
    cast, config = FakeRoles(), make_config(0)
    with (
        open_run(tmp_path / "run", config) as run,
        pytest.raises(ModelLoadError) as caught,
    ):
        roles = Roles(
            cast.load_generator, cast.llm, captioner(tmp_path / "model"), [scorer(tmp_path / "model")]
        )
        refine(run, roles, emit=cast.events.append, cancelled=lambda: False)
    assert caught.value.exit_code == 4
    shutil.copytree(tiny_vlm_dir, tmp_path / "model")
    with open_run(tmp_path / "run", config) as run:
        refine(run, roles, emit=cast.events.append, cancelled=lambda: False)
        assert run.record.status == "complete"
    assert len(cast.generator.denoised) == 1
