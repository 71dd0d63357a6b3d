"""The scorer by surprise, on a tiny random model of the real class."""

from pathlib import Path

import numpy as np
import pytest
import torch

from phyt2v_cli import backends
from phyt2v_cli.backends.local.surprise import SurpriseScorer, load, prepared
from phyt2v_cli.config.judges import ScorerConfig
from phyt2v_cli.errors import ConfigError, ModelLoadError
from phyt2v_cli.files.video import Frames, VideoMetadata, write_video
from tests.files.test_video import moving_square
from tests.tiny_video_models import save_vjepa2


@pytest.fixture(scope="module")
def vjepa_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random V-JEPA 2 of 2 x 2 patches a frame. Do not write into it."""
    return save_vjepa2(tmp_path_factory.mktemp("models") / "vjepa2-tiny")


def scorer_of(path: Path, **settings: object) -> SurpriseScorer:
    config = {"backend": "surprise", "model": str(path), "device": "cpu", "num_frames": 8, **settings}
    made = backends.make_scorer(ScorerConfig.model_validate(config))
    assert isinstance(made, SurpriseScorer)
    return made


def surprise_in(reason: str) -> float:
    return float(reason.removeprefix("PC: surprise ").partition(";")[0].partition(",")[0])


def test_without_a_scale_the_surprise_is_told_and_nothing_is_scored(
    vjepa_dir: Path, video_path: Path
) -> None:
    scorer = scorer_of(vjepa_dir)
    assert scorer.name == "surprise:vjepa2-tiny"
    scores = scorer.score(video_path, "a ball")
    assert (scores.semantic_adherence, scores.physical_commonsense, scores.problem) == (None, None, None)
    blind, told = scores.reasons
    assert blind == "SA: this judge does not see the prompt"
    assert told.endswith("without scorer.scale it is no score")
    assert 0 < surprise_in(told) < 2
    assert scorer.score(video_path, "something else") == scores
    scorer.close()
    scorer.close()


def test_a_scale_makes_it_a_score(vjepa_dir: Path, video_path: Path) -> None:
    surprise = surprise_in(scorer_of(vjepa_dir).score(video_path, "").reasons[1])
    for scale, score in [
        ((surprise - 0.1, surprise + 0.1), 0.5),
        ((surprise + 0.1, surprise - 0.1), 0.5),  # a kind of video where the good ones surprise more
        ((surprise + 0.1, surprise + 0.2), 1.0),
        ((surprise - 0.2, surprise - 0.1), 0.0),
    ]:
        found = scorer_of(vjepa_dir, scale=scale).score(video_path, "")
        assert found.semantic_adherence is None
        assert found.physical_commonsense == pytest.approx(score, abs=1e-3)


def test_it_is_the_distance_of_what_is_predicted_from_what_comes(vjepa_dir: Path) -> None:
    """The same by hand, with one call of the whole model for each pair that is predicted."""
    frames = moving_square()[:8]
    model = load(ScorerConfig(backend="surprise", model=str(vjepa_dir), device="cpu"))
    network, shown = model.network, prepared(frames, 32)[None]
    tokens = torch.arange(16).view(1, 16)
    distances = []
    with torch.inference_mode():
        seen = network(shown, skip_predictor=True).last_hidden_state
        seen = torch.nn.functional.layer_norm(seen, seen.shape[-1:])
        for pair in (2, 3):
            past = network.encoder(shown[:, : 2 * pair]).last_hidden_state
            predicted = network.predictor(
                past, [tokens[:, : 4 * pair]], [tokens[:, 4 * pair : 4 * pair + 4]]
            ).last_hidden_state
            actual = seen[:, 4 * pair : 4 * pair + 4]
            cosine = (predicted * actual).sum(-1) / predicted.norm(dim=-1) / actual.norm(dim=-1)
            distances.append(1 - cosine.mean())
    assert model.surprise(frames) == pytest.approx(float(sum(distances) / 2), abs=1e-5)


def test_the_past_is_seen_without_what_is_to_be_predicted(vjepa_dir: Path) -> None:
    model = load(ScorerConfig(backend="surprise", model=str(vjepa_dir), device="cpu"))
    asked: list[torch.Tensor] = []
    model.network.predictor.register_forward_pre_hook(
        lambda _, __, given: asked.append(given["encoder_hidden_states"].clone()), with_kwargs=True
    )
    frames = moving_square()[:8]
    other = frames.copy()
    other[6:] = 255 - other[6:]  # another end of the same beginning
    model.surprise(frames)
    model.surprise(other)
    assert [states.shape[1] for states in asked] == [8, 12, 8, 12]
    assert torch.equal(asked[0], asked[2])
    assert torch.equal(asked[1], asked[3])


def test_frames_are_scaled_cropped_and_normalized() -> None:
    wide: Frames = np.full((2, 32, 96, 3), 255, np.uint8)
    wide[:, :, :20] = 0  # is cropped
    pixels = prepared(wide, 28)
    assert pixels.shape == (2, 3, 28, 28)
    white = torch.tensor([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])
    assert torch.allclose(pixels, white.view(1, 3, 1, 1).expand_as(pixels), atol=1e-5)


def test_a_video_of_one_frame_is_judged_too(vjepa_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.mp4"
    write_video(path, moving_square()[:1], fps=8, metadata=VideoMetadata("p", seed=0, steps=1))
    assert surprise_in(scorer_of(vjepa_dir, num_frames=1).score(path, "").reasons[1]) > 0


def test_a_model_of_another_kind_is_one_line(tiny_llama_dir: Path, video_path: Path) -> None:
    with pytest.raises(
        ModelLoadError, match=r"\(llama\) does not predict frames\.\nName a model of the type"
    ):
        scorer_of(tiny_llama_dir).score(video_path, "")
    with pytest.raises(ConfigError, match=r"scorer\.model: none is set"):
        backends.make_scorer(ScorerConfig(backend="surprise"))


def test_a_model_without_all_of_its_weights_is_one_line(
    vjepa_dir: Path, video_path: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    for file in vjepa_dir.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(vjepa_dir / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("predictor.proj")}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelLoadError, match=r"lacks 2 of its weights, predictor\.proj\.bias for one"):
        scorer_of(tmp_path).score(video_path, "")
