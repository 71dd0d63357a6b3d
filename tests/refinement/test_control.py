"""A control that would be the video of a round again is neither denoised nor judged a second time."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phyt2v_cli.config.schema import Config
from phyt2v_cli.files.video import VideoMetadata, read_video
from phyt2v_cli.refinement.render import another_seed
from phyt2v_cli.roles import Denoised
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.testing.fakes import FakeChat, FakeGenerator, FakeRoles
from tests.fake_runs import PROMPT, made_from, make_config, run_through
from tests.faults.processes import outcome

NO_MISMATCH = json.dumps({"found": False, "text": ""})
CONTROL = {"control": True, "select": "best"}
STOPPED = make_config(3, early_stop=True, **CONTROL)


def finals_only(rounds: int) -> Config:
    config = make_config(rounds, **CONTROL)
    return config.model_copy(update={"schedule": config.schedule.model_copy(update={"kind": "constant"})})


def content(path: Path) -> VideoRecord:
    return VideoRecord.model_validate_json(path.read_bytes())


@pytest.mark.parametrize(
    ("config", "script", "number", "num_videos"),
    [
        (make_config(0, **CONTROL), {}, 1, 1),
        (STOPPED, {"mismatch": [NO_MISMATCH]}, 2, 2),
        (make_config(1, **CONTROL), {"refinement": ["no", "never"]}, 2, 2),
        (finals_only(2), {}, 1, 3),
    ],
    ids=["no rounds", "early stop", "unusable reply", "finals only"],
)
def test_the_control_is_a_rounds_video_and_judgement(
    config: Config, script: dict[str, list[str | Exception]], number: int, num_videos: int, tmp_path: Path
) -> None:
    path, cast = tmp_path / "run", FakeRoles(llm=FakeChat(script))
    result = run_through(path, config, cast)
    assert len(cast.generator.denoised) == cast.captioner.calls == len(cast.scorer.calls) == num_videos
    assert not any(path.glob("latents*"))
    assert result.selected_by == "best"
    same, control = content(path / f"round{number}.json"), content(path / "control.json")
    assert (control.prompt, control.steps, control.purpose) == (PROMPT, 6, "final")
    assert (control.caption, control.scores, control.scorers) == (same.caption, same.scores, same.scorers)
    frames, metadata = read_video(path / "control.mp4")
    assert metadata == VideoMetadata(PROMPT, 0, 6, None, control.pixels_key)
    np.testing.assert_array_equal(frames, read_video(path / f"output{number}.mp4")[0])
    again = FakeRoles()
    run_through(path, config, again)
    assert not again.worked()


class Killed(BaseException):
    """The process has ended."""


@dataclass
class Death:
    """Ends everything from one call of some functions on."""

    num_left: int

    def before(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.num_left -= 1
            if self.num_left < 0:
                raise Killed
            return original(*args, **kwargs)

        return call


def end_of(path: Path) -> dict[str, Any]:
    """Return what the run came to; a reply that was lost is asked for, and counted, once more."""
    files = outcome(path)
    files["run.json"].pop("usage")
    return files


@pytest.mark.slow
def test_killed_before_any_file_is_renamed_or_deleted_the_run_ends_the_same(tmp_path: Path) -> None:
    def cast() -> FakeRoles:
        return FakeRoles(llm=FakeChat({"mismatch": [NO_MISMATCH]}))

    run_through(tmp_path / "whole", STOPPED, cast())
    num_alive = 0
    while True:
        path, death, first, second = tmp_path / str(num_alive), Death(num_alive), cast(), cast()
        with pytest.MonkeyPatch.context() as patch:
            for name in ("replace", "unlink"):
                patch.setattr(Path, name, death.before(getattr(Path, name)))
            try:
                run_through(path, STOPPED, first)
            except Killed:
                pass
            else:
                break
        run_through(path, STOPPED, second)
        assert end_of(path) == end_of(tmp_path / "whole")
        assert not any(path.glob("latents*"))
        denoised = first.generator.denoised + second.generator.denoised
        # What is denoised and not yet kept when the end comes is denoised once more.
        assert len(denoised) <= 3, num_alive
        num_alive += 1
    assert num_alive > 30


class FlatAtFirst(FakeGenerator):
    """Has no picture for the run's own seed."""

    def denoise(self, prompt: str, *, seed: int, **kwargs: Any) -> Denoised:
        denoised = super().denoise(prompt, seed=seed, **kwargs)
        return replace(denoised, latents=denoised.latents * (seed != 0))


def test_a_round_with_another_seed_is_not_the_control(tmp_path: Path) -> None:
    path, cast = tmp_path / "run", FakeRoles(generator=FlatAtFirst())
    run_through(path, make_config(0, **CONTROL), cast)
    assert [seed for _, seed, _ in cast.generator.denoised] == [0, another_seed(0)] * 2
    assert cast.captioner.calls == 2
    assert content(path / "control.json").flags == ["reseeded"]
    assert not any(path.glob("latents*"))


def test_a_draft_is_not_the_control(tmp_path: Path) -> None:
    cast = FakeRoles()
    run_through(tmp_path / "run", make_config(1, **CONTROL), cast)
    assert [steps for _, _, steps in cast.generator.denoised] == [3, 6, 6]
    assert cast.captioner.calls == 3


def test_latents_that_are_damaged_meanwhile_are_denoised_again(tmp_path: Path) -> None:
    path, cast = tmp_path / "run", FakeRoles()

    def damage(_: object) -> None:
        for latents in path.glob("latents-control*"):
            latents.write_bytes(b"x")

    run_through(path, make_config(0, **CONTROL), cast, emit=damage)
    assert len(cast.generator.denoised) == 2
    assert made_from(path / "control.mp4") == VideoMetadata(PROMPT, 0, 6, None)
    assert not any(path.glob("latents*"))
