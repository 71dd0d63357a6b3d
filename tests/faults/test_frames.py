"""NaN, black and constant frames: flagged, tried once with another seed, then an error."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import FaultyFramesError
from phyt2v_cli.files.video import read_video
from phyt2v_cli.refinement.render import another_seed
from tests.faults.processes import QUICK, Doubled, read_record

OTHER = another_seed(0)


@pytest.mark.parametrize(
    ("fault", "said"),
    [("nan", "latents hold NaN"), ("black", "colour (red, green, blue: 0"), ("grey", "127")],
)
def test_fault_25_another_seed_is_tried_once(fault: str, said: str, tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "run"
    ended = doubled.run(*QUICK, "--out", path, script={"frames": {"0": fault}})
    assert ended.code == 0
    assert said in ended.err
    assert f"trying once with another seed, {OTHER}" in ended.err
    for number in (1, 2):  # every round begins with the run's own seed
        record = read_record(path, f"round{number}.json")
        assert (record["flags"], record["seed"]) == (["reseeded"], OTHER)
        metadata = read_video(path / f"output{number}.mp4")[1]
        assert metadata is not None
        assert metadata.seed == OTHER
    assert doubled.count("denoise") == 4
    assert doubled.run(*QUICK, "--out", path).code == 0
    assert doubled.count("denoise") == 4
    (path / "output1.mp4").unlink()
    assert doubled.run(*QUICK, "--out", path).code == 0
    assert doubled.count("denoise") == 5  # the seed that worked is known


def test_fault_25_then_it_is_an_error(tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "run"
    for attempts in (2, 3):  # the same command tries the second seed again, and no third
        ended = doubled.run(*QUICK, "--out", path, script={"frames": {"any": "black"}})
        assert (ended.code, ended.out) == (4, "")
        error, hint = ended.err.splitlines()[-2:]
        assert error.endswith("with another seed too.")
        assert hint.endswith("or compute in float32 with --set generator.dtype=float32.")
        assert doubled.count("denoise") == attempts
    assert read_record(path, "run.json")["status"] == "failed"
    assert read_record(path, "round1.json")["sha256"] is None
    assert not list(path.glob("*.mp4"))
    assert not list(path.glob("latents*"))


def test_fault_25_a_single_video_too(tmp_path: Path, doubled: Doubled) -> None:
    arguments = ("generate", "--prompt", "a ball", "--steps", "3", "--out", tmp_path / "a.mp4", "--json")
    ended = doubled.run(*arguments, script={"frames": {"0": "grey"}})
    assert ended.code == 0
    assert json.loads(ended.out)["seed"] == OTHER
    ended = doubled.run(*arguments, "--force", script={"frames": {"any": "nan"}})
    assert ended.code == 4


def test_fault_25_nan_inside_a_real_autoencoder(tiny_cogvideox_dir: Path) -> None:
    generator = load(GeneratorConfig(model=str(tiny_cogvideox_dir), device="cpu"))
    latents = generator.denoise("a", seed=0, num_inference_steps=1, on_step=lambda *_: None).latents
    assert generator.decode(latents).frames.any()
    with torch.no_grad():
        next(generator.pipeline.vae.decoder.parameters()).fill_(float("nan"))
    with pytest.raises(FaultyFramesError, match="autoencoder"):
        generator.decode(latents)


def test_the_other_seed_is_always_the_same_and_fits() -> None:
    seeds = [another_seed(seed) for seed in range(1000)]
    assert seeds == [another_seed(seed) for seed in range(1000)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert np.all(np.array(seeds) > 1000)
