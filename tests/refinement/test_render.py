"""Latents of real pipelines outlive whatever happens to their video."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from phyt2v_cli.backends.diffusion.generator import load
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.events import Stage
from phyt2v_cli.files.sound import read_sound
from phyt2v_cli.refinement.render import Target, render_video
from phyt2v_cli.roles import VideoGenerator, never_cancelled
from phyt2v_cli.runs.identity import Recipe
from tests.tiny_pipelines import save_cogvideox, save_ltx, save_mochi, save_wan
from tests.tiny_sound import save_ltx_2

SAVERS = {
    "cogvideox": save_cogvideox,
    "wan": save_wan,
    "ltx": save_ltx,
    "mochi": save_mochi,
    "ltx-2": save_ltx_2,  # with sound
}


class Stopped(Exception):  # noqa: N818 - no error: what a signal does
    pass


def render(generator: VideoGenerator, path: Path, *, stop_at: Stage | None = None) -> list[Stage]:
    """Render to `path` and return the stages that were done."""
    stages: list[Stage] = []

    @contextmanager
    def stage(name: Stage) -> Iterator[None]:
        if name == stop_at:
            raise Stopped
        stages.append(name)
        yield

    recipe = Recipe("a ball drops", 0, 3, "final", GeneratorConfig())
    render_video(
        generator,
        recipe,
        Target(
            path,
            path.with_suffix(".safetensors"),
            on_step=lambda *_: None,
            cancelled=never_cancelled,
            stage=stage,
        ),
    )
    return stages


@pytest.mark.parametrize("save", SAVERS.values(), ids=SAVERS)
def test_stopped_after_the_denoising_it_goes_on_from_there_to_the_same_video(
    save: Callable[[Path], Path], tmp_path: Path
) -> None:
    size = 32 if save in (save_ltx, save_ltx_2) else 16
    num_frames = 7 if save is save_mochi else 9
    folder = save(tmp_path / "model")
    generator = load(
        GeneratorConfig(model=str(folder), num_frames=num_frames, height=size, width=size, device="cpu")
    )
    stopped, whole = tmp_path / "stopped.mp4", tmp_path / "whole.mp4"
    with pytest.raises(Stopped):
        render(generator, stopped, stop_at="decode")
    assert render(generator, stopped) == ["decode", "encode"]
    assert render(generator, whole) == ["denoise", "decode", "encode"]
    assert stopped.read_bytes() == whole.read_bytes()
    assert (read_sound(whole) is not None) == (save is save_ltx_2)
