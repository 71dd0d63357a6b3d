"""The embedded model is an ordinary diffusers pipeline: it loads, it is small, it reads people's words."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import CogVideoXPipeline, DiffusionPipeline

from phyt2v_cli.tiny import MODEL_DIR, world


@pytest.fixture(scope="module")
def pipeline() -> CogVideoXPipeline:
    """The pipeline as anybody would load it: from_pretrained and nothing else."""
    loaded = DiffusionPipeline.from_pretrained(MODEL_DIR)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_its_files_are_at_most_20_mib_and_safetensors() -> None:
    files = [p for p in MODEL_DIR.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) <= 20 * 2**20
    assert {p.suffix for p in files} == {".json", ".safetensors"}


def test_it_loads_in_one_precision_and_renders_its_native_size(pipeline: CogVideoXPipeline) -> None:
    parts = (pipeline.transformer, pipeline.text_encoder, pipeline.vae)
    assert {p.dtype for part in parts for p in part.parameters()} == {torch.float32}
    frames = pipeline(
        "a red ball drops",
        num_inference_steps=2,
        max_sequence_length=pipeline.transformer.config.max_text_seq_length,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).frames
    assert frames.shape == (1, world.NUM_FRAMES, world.SIZE, world.SIZE, 3)
    assert np.isfinite(frames).all()


def test_its_tokenizer_reads_case_accents_and_unknown_words(pipeline: CogVideoXPipeline) -> None:
    tokenizer = pipeline.tokenizer
    assert tokenizer("A Red BALL, falls.").input_ids == tokenizer("a red ball, falls.").input_ids
    assert tokenizer("bälls").input_ids == tokenizer("balls").input_ids
    assert tokenizer.unk_token_id not in tokenizer("a zyzzyva").input_ids


def test_its_scheduler_is_deterministic_and_ends_without_signal() -> None:
    config = json.loads((Path(MODEL_DIR) / "scheduler" / "scheduler_config.json").read_text())
    assert config["_class_name"] == "CogVideoXDDIMScheduler"
    assert config["prediction_type"] == "v_prediction"
    assert config["rescale_betas_zero_snr"] is True
