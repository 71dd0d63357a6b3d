"""Out of memory on a real pipeline: the levels it falls down, and what is left when there is none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phyt2v_cli.backends.diffusion.generator import DiffusersGenerator
from phyt2v_cli.backends.memory import offloading
from phyt2v_cli.backends.memory.offloading import OFFLOAD_LEVELS, Placement
from phyt2v_cli.backends.memory.residency import Accelerator
from phyt2v_cli.errors import BackendError
from phyt2v_cli.files.video import Frames
from phyt2v_cli.roles import Latents
from tests.faults.processes import Doubled, read_record
from tests.tiny_generators import denoise, failing, give_all_levels, run_out_of_memory


@pytest.mark.parametrize("num_falls", [1, 2, 3])
def test_fault_23_out_of_memory_while_denoising_falls_rung_by_rung(
    num_falls: int, tiny_generator: DiffusersGenerator, tiny_result: tuple[Latents, Frames]
) -> None:
    give_all_levels(tiny_generator)
    run_out_of_memory(tiny_generator.pipeline.scheduler, "step", range(1, num_falls + 1))
    np.testing.assert_array_equal(denoise(tiny_generator), tiny_result[0])
    assert tiny_generator.settings["offload"] == OFFLOAD_LEVELS[num_falls]
    assert tiny_generator.settings["offload_reason"] == f"out of memory with {OFFLOAD_LEVELS[num_falls - 1]}"


def test_fault_23_on_the_last_rung_is_a_clear_error_and_the_generator_goes_on(
    tiny_generator: DiffusersGenerator, tiny_result: tuple[Latents, Frames]
) -> None:
    give_all_levels(tiny_generator)
    run_out_of_memory(tiny_generator.pipeline.scheduler, "step", range(1, len(OFFLOAD_LEVELS) + 1))
    with pytest.raises(BackendError, match=r"^Out of memory while denoising: .*\nUse fewer frames") as caught:
        denoise(tiny_generator)
    assert caught.value.exit_code == 4
    assert tiny_generator.settings["offload"] == "sequential"
    np.testing.assert_array_equal(denoise(tiny_generator), tiny_result[0])


@pytest.mark.slow
def test_fault_23_every_fall_is_recorded_and_the_fourth_ends_the_run(
    tiny_cogvideox_dir: Path, tmp_path: Path, doubled: Doubled
) -> None:
    path = tmp_path / "run"
    settings = {
        "generator.num_frames": 9,
        "generator.height": 16,
        "generator.width": 16,
        "llm.backend": "rulebook",
        "captioner.backend": "tracker",
        "scorer.backend": "tracker",
    }
    chosen = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    model = ("--model", tiny_cogvideox_dir, *chosen)
    refine = ("refine", "--prompt", "a ball", *model, "--steps", "2,2,2,2", "--rounds", "3", "--out", path)

    # In the second of the two steps of each round, which a fall begins anew.
    failed = doubled.run(*refine, script={"out_of_memory": [2, 6, 10, 14]})
    assert (failed.code, failed.out) == (4, "")
    assert "error: Out of memory while denoising: CUDA out of memory." in failed.err
    assert "hint: Use fewer frames, a smaller size, or a smaller model.\n" in failed.err
    made_by = [read_record(path, f"round{number}.json")["generator"] for number in (1, 2, 3)]
    assert [generator["offload"] for generator in made_by] == ["model", "group", "sequential"]
    assert [generator["offload_reason"] for generator in made_by] == [
        f"out of memory with {level}" for level in ("none", "model", "group")
    ]
    assert read_record(path, "run.json")["status"] == "failed"
    assert read_record(path, "round4.json")["sha256"] is None
    assert not (path / "output4.mp4").exists()

    videos = {video: video.read_bytes() for video in path.glob("*.mp4")}
    done = doubled.run(*refine, script={"out_of_memory": []})  # on a larger GPU
    assert (done.code, done.out) == (0, f"{path}/output4.mp4\n")
    assert read_record(path, "round4.json")["generator"]["offload"] == "none"
    assert len(videos) == 3
    assert all(video.read_bytes() == content for video, content in videos.items())
    assert doubled.count("caption") == 4  # none was judged again


@pytest.mark.parametrize(("num_falls", "level"), [(1, "model"), (2, "group")])
def test_fault_23_out_of_memory_while_placing_falls_rung_by_rung(
    num_falls: int,
    level: str,
    tiny_generator: DiffusersGenerator,
    tiny_result: tuple[Latents, Frames],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    placed = tiny_generator.placed
    give_all_levels(tiny_generator)
    monkeypatch.setattr(offloading, "place", failing(offloading.place, range(1, num_falls + 1)))
    with Accelerator(lambda: 2**40, lambda: None).on_device(placed, spare_bytes=0):
        np.testing.assert_array_equal(denoise(tiny_generator), tiny_result[0])
    assert tiny_generator.settings["offload"] == level
    assert "out of memory" in tiny_generator.settings["offload_reason"]


def test_fault_23_no_room_on_any_rung_is_raised_and_leaves_the_device(
    tiny_generator: DiffusersGenerator, tiny_result: tuple[Latents, Frames], monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = tiny_generator.placed
    give_all_levels(tiny_generator)
    accelerator = Accelerator(lambda: 2**40, lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(offloading, "place", failing(offloading.place, range(1, len(OFFLOAD_LEVELS) + 1)))
        with pytest.raises(torch.OutOfMemoryError), accelerator.on_device(placed, spare_bytes=0):
            raise AssertionError("it cannot have been entered")
    placed.move_to(Placement("none", "a test"))
    np.testing.assert_array_equal(denoise(tiny_generator), tiny_result[0])


def test_fault_23_out_of_memory_while_falling_falls_further(
    tiny_generator: DiffusersGenerator, tiny_result: tuple[Latents, Frames], monkeypatch: pytest.MonkeyPatch
) -> None:
    give_all_levels(tiny_generator)
    run_out_of_memory(tiny_generator.pipeline.scheduler, "step", [1])
    monkeypatch.setattr(offloading, "place", failing(offloading.place, [1]))
    np.testing.assert_array_equal(denoise(tiny_generator), tiny_result[0])
    assert tiny_generator.settings["offload"] == "group"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_fault_23_libraries_run_out_of_memory_in_words_of_their_own(
    error: Exception, tiny_generator: DiffusersGenerator, tiny_result: tuple[Latents, Frames]
) -> None:
    give_all_levels(tiny_generator)
    scheduler = tiny_generator.pipeline.scheduler
    scheduler.step = failing(scheduler.step, [1], error)
    np.testing.assert_array_equal(denoise(tiny_generator), tiny_result[0])
    assert tiny_generator.settings["offload"] == "model"


def test_fault_24_a_decode_that_moved_the_weights_away_does_not_slow_the_next_video(
    tiny_generator: DiffusersGenerator, tiny_result: tuple[Latents, Frames], monkeypatch: pytest.MonkeyPatch
) -> None:
    give_all_levels(tiny_generator)
    levels: list[str] = []
    place = offloading.place

    def place_and_tell(pipeline: Any, level: Any, device: torch.device) -> None:
        levels.append(level)
        place(pipeline, level, device)

    monkeypatch.setattr(offloading, "place", place_and_tell)
    latents = denoise(tiny_generator)
    run_out_of_memory(tiny_generator.pipeline.vae, "_decode", [1, 2])  # whole, and in tiles
    frames = tiny_generator.decode(latents).frames
    assert frames.shape == tiny_result[1].shape
    settings = tiny_generator.settings
    assert (settings["offload"], settings["decode_offload"]) == ("none", "model")
    np.testing.assert_array_equal(denoise(tiny_generator), tiny_result[0])
    np.testing.assert_array_equal(tiny_generator.decode(latents).frames, frames)
    assert levels == ["none", "model", "none", "model"]


def test_fault_23_a_run_moves_up_again_once_there_is_more_memory(
    tiny_generator: DiffusersGenerator, tiny_result: tuple[Latents, Frames]
) -> None:
    placed = tiny_generator.placed
    give_all_levels(tiny_generator)
    needed = placed.need.at("none")
    free = needed // 2
    placed.free_bytes = lambda: free
    run_out_of_memory(tiny_generator.pipeline.scheduler, "step", [1])
    np.testing.assert_array_equal(denoise(tiny_generator), tiny_result[0])
    assert tiny_generator.settings["offload"] == "model"
    free -= placed.need.weights_at("model")  # its weights are on the device now, and nothing else changed
    np.testing.assert_array_equal(denoise(tiny_generator), tiny_result[0])
    assert tiny_generator.settings["offload"] == "model"
    free = 2 * needed  # as if another process had ended
    np.testing.assert_array_equal(denoise(tiny_generator), tiny_result[0])
    assert tiny_generator.settings["offload"] == "none"
    assert "are free" in tiny_generator.settings["offload_reason"]


def test_fault_24_out_of_memory_in_decoding_tiles_from_the_kept_latents(
    tiny_generator: DiffusersGenerator, tiny_result: tuple[Latents, Frames]
) -> None:
    steps: list[int] = []
    latents = denoise(tiny_generator, lambda step: steps.append(step.number))
    run_out_of_memory(tiny_generator.pipeline.vae, "_decode", [1])
    frames = tiny_generator.decode(latents).frames
    assert frames.shape == tiny_result[1].shape
    assert tiny_generator.pipeline.vae.use_tiling
    assert (tiny_generator.settings["offload"], tiny_generator.settings["tiled_decode"]) == ("none", "on")
    assert steps == [1, 2, 3, 4]
