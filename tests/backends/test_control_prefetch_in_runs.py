"""Runs whose control is prefetched leave the files of runs without, also after a stop and a failure."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phyt2v_cli.backends import prefetch
from phyt2v_cli.backends.guard import GeneratorWrapper
from phyt2v_cli.backends.prefetch import PrefetchingGenerator
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import BackendError, RunInterruptedError
from phyt2v_cli.events import Event, Notice, StepDone
from phyt2v_cli.refinement.loop import refine
from phyt2v_cli.roles import (
    Decoded,
    Denoised,
    HowItRan,
    Latents,
    Roles,
    VideoGenerator,
)
from phyt2v_cli.testing.fakes import FakeChat, FakeRoles
from phyt2v_cli.video_id import CONTROL
from tests.fake_runs import PROMPT, make_config, open_run, run_through
from tests.faults.processes import outcome
from tests.held_up_pipeline import WAIT_S, Pipeline, end_once_unwanted
from tests.tiny_generators import make_generator


class OnGpu(GeneratorWrapper):
    """Says that it runs where it would idle."""

    @property
    def settings(self) -> HowItRan:
        return {**super().settings, "device": "cuda"}

    def denoise(self, *args: Any, **kwargs: Any) -> Denoised:
        return self._wrapped.denoise(*args, **kwargs)

    def decode(self, latents: Latents) -> Decoded:
        return self._wrapped.decode(latents)


ELSEWHERE = {
    "captioner": {"backend": "tracker"},
    "scorer": {"backend": "tracker"},
}


def run(path: Path, cast: FakeRoles, generator: VideoGenerator, emit: Callable[[Event], None]) -> None:
    config = make_config(rounds=1, control=True)
    roles = Roles(lambda: generator, cast.llm, cast.captioner, [cast.scorer])
    with open_run(path, config) as opened:
        elsewhere = Config.model_validate(config.model_dump(exclude_defaults=True) | ELSEWHERE)
        roles = prefetch.overlap(elsewhere, roles, PROMPT)
        refine(opened, roles, emit=emit, cancelled=lambda: any(e == "stop" for e in cast.events))


def control_steps(events: list[Event]) -> list[int]:
    return [event.step for event in events if isinstance(event, StepDone) and event.video == CONTROL]


@pytest.mark.parametrize(
    "settings",
    [{}, pytest.param({"device": "cuda", "compile": "on", "offload": "none"}, marks=pytest.mark.gpu)],
)
def test_a_run_leaves_the_same_files(
    settings: dict[str, str], tmp_path: Path, tiny_cogvideox_dir: Path
) -> None:
    def short_refined() -> FakeRoles:  # the tiny text encoder reads 31 letters
        return FakeRoles(llm=FakeChat({"refinement": [json.dumps({"prompt": "a ball falls and bounces"})]}))

    plain, beside = short_refined(), short_refined()
    run(tmp_path / "plain", plain, make_generator(tiny_cogvideox_dir, **settings), plain.events.append)

    class SlowCaptioner:
        """Looks at the final until the control is denoised."""

        def caption(self, video_path: Path, instruction: str) -> str:
            for thread in threading.enumerate():
                if thread.name == "denoise the control":
                    thread.join(WAIT_S)
            return plain.captioner.caption(video_path, instruction)

    beside.captioner = SlowCaptioner()  # type: ignore[assignment]
    generator = PrefetchingGenerator(OnGpu(make_generator(tiny_cogvideox_dir, **settings)))
    run(tmp_path / "beside", beside, generator, beside.events.append)
    assert control_steps(plain.events) == [1, 2, 3, 4, 5, 6]
    assert control_steps(beside.events) == [6]
    assert outcome(tmp_path / "beside") == outcome(tmp_path / "plain")


class ImpatientCaptioner:
    """Fails at the final, or lets two steps of the control be done beside it."""

    def __init__(self, cast: FakeRoles, pipeline: Pipeline, *, fails: bool = False) -> None:
        self.caption_at_last, self.pipeline, self.fails = cast.captioner.caption, pipeline, fails

    def caption(self, video_path: Path, instruction: str) -> str:
        if video_path.name == "output2.mp4":
            self.pipeline.allow(2)
            if self.fails:
                raise BackendError("no answer")
        return self.caption_at_last(video_path, instruction)


def test_a_run_that_was_stopped_in_the_control_goes_on(tmp_path: Path) -> None:
    run_through(tmp_path / "whole", make_config(rounds=1, control=True))
    cast, pipeline, events = FakeRoles(), Pipeline(), list[Event]()
    cast.captioner = ImpatientCaptioner(cast, pipeline)  # type: ignore[assignment]

    def emit(event: Event) -> None:
        events.append(event)
        if control_steps(events):
            cast.events.append("stop")  # type: ignore[arg-type]

    generator = PrefetchingGenerator(OnGpu(pipeline))
    with pytest.raises(RunInterruptedError):
        run(tmp_path / "run", cast, generator, emit)
    assert control_steps(events) == [2]
    end_once_unwanted(pipeline)

    again = FakeRoles()
    run(tmp_path / "run", again, generator, again.events.append)
    assert control_steps(again.events) == [1, 2, 3, 4, 5, 6], "denoised where the loop asked for it"
    assert len(pipeline.denoised) == 4, "and the control alone"
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_run_that_failed_is_not_in_the_way_of_the_next_one(tmp_path: Path) -> None:
    run_through(tmp_path / "whole", make_config(rounds=1, control=True))
    pipeline = Pipeline()
    generator = PrefetchingGenerator(OnGpu(pipeline))
    failing, passing = FakeRoles(), FakeRoles()
    failing.captioner = ImpatientCaptioner(failing, pipeline, fails=True)  # type: ignore[assignment]
    passing.captioner = ImpatientCaptioner(passing, pipeline)  # type: ignore[assignment]
    with pytest.raises(BackendError):
        run(tmp_path / "failed", failing, generator, failing.events.append)
    assert pipeline.at_work.locked()
    end_once_unwanted(pipeline)

    def emit(event: Event) -> None:
        passing.events.append(event)
        if control_steps(passing.events):
            pipeline.allowed.release()

    run(tmp_path / "run", passing, generator, emit)
    assert control_steps(passing.events) == [2, 3, 4, 5, 6]
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_final_without_a_picture_is_rendered_again_before_the_control(tmp_path: Path) -> None:
    @dataclass
    class Blind(Pipeline):
        def decode(self, latents: Latents) -> Decoded:
            decoded = super().decode(latents)
            self.decoded = getattr(self, "decoded", 0) + 1
            return replace(decoded, frames=decoded.frames * np.uint8(self.decoded != 2))

    plain, beside, pipeline = FakeRoles(generator=Blind()), FakeRoles(), Blind()
    run(tmp_path / "plain", plain, plain.generator, plain.events.append)
    beside.captioner = ImpatientCaptioner(beside, pipeline)  # type: ignore[assignment]
    generator = PrefetchingGenerator(OnGpu(pipeline))

    def emit(event: Event) -> None:
        beside.events.append(event)
        if isinstance(event, Notice):
            end_once_unwanted(pipeline)
        if control_steps(beside.events):
            pipeline.allowed.release()

    run(tmp_path / "beside", beside, generator, emit)
    assert [steps for _, _, steps in pipeline.denoised] == [3, 6, 6, 6, 6], "two controls were begun"
    assert control_steps(beside.events) == [2, 3, 4, 5, 6]
    assert outcome(tmp_path / "beside") == outcome(tmp_path / "plain")
