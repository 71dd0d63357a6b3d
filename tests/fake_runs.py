"""Runs made with the fakes of the four roles.

Run as a program it refines in DIR and, at a given point, kills itself with SIGKILL or hangs to be killed:

    python -m tests.fake_runs DIR ROUNDS KILL_AT

KILL_AT is a stage's beginning (`caption:1`), the inside of a stage (`inside-caption:1`: it prints "inside"
and hangs), the second scorer (`scorer:1`), or the moment before a file gets its name, for the first time
(`rename:round2.json`) or a later one (`rename:round2.json:3`).
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from phyt2v_cli.config.schema import Config, RefinementConfig, ScheduleConfig
from phyt2v_cli.events import Event, RoundStarted, StageStarted
from phyt2v_cli.files.video import VideoMetadata, read_video
from phyt2v_cli.refinement.loop import refine
from phyt2v_cli.roles import Denoised, DenoisingStep, OnStep, Scores
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.outcome.result import RunResult
from phyt2v_cli.schedule import plan_run
from phyt2v_cli.testing.fakes import FakeRoles, FakeScorer
from phyt2v_cli.video_id import RoundId

PROMPT = "a red ball drops"


@dataclass
class KillingScorer(FakeScorer):
    """Ends the process when it is asked about `video`."""

    kill: Callable[[], None] = lambda: None
    video: str = ""

    def score(self, video_path: Path, prompt: str) -> Scores:
        if video_path.name == self.video:
            self.kill()
        return super().score(video_path, prompt)


def make_config(rounds: int = 2, *, seed: int = 0, **refinement: object) -> Config:
    return Config.model_validate(
        {
            "schedule": ScheduleConfig(min_steps=3, max_steps=6),
            "refinement": RefinementConfig.model_validate({"rounds": rounds, **refinement}),
            "run": {"seed": seed},
        }
    )


def open_run(
    path: Path, config: Config | None = None, *, prompt: str = PROMPT, force: bool = False
) -> RunDir:
    config = config or make_config()
    rounds = plan_run(config)
    return RunDir.open(path, prompt=prompt, config=config, plan=rounds, force=force)


def made_from(video: Path) -> VideoMetadata | None:
    """Return how a video says that it was made, but for the digest of it."""
    metadata = read_video(video)[1]
    return metadata and replace(metadata, pixels_key="")


def run_through(
    path: Path,
    config: Config | None = None,
    cast: FakeRoles | None = None,
    *,
    prompt: str = PROMPT,
    cancelled: Callable[[], bool] = lambda: False,
    emit: Callable[[Event], None] | None = None,
) -> RunResult:
    cast = cast or FakeRoles()
    with open_run(path, config, prompt=prompt) as run:
        return refine(run, cast.roles(), emit=emit or cast.events.append, cancelled=cancelled)


def main() -> None:
    directory, rounds, kill_at = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    where, _, number = kill_at.partition(":")
    current_round = 0

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def emit(event: Event) -> None:
        nonlocal current_round
        if isinstance(event, RoundStarted):
            current_round = event.video.number
        if isinstance(event, StageStarted) and where == event.stage and event.video == RoundId(int(number)):
            die()

    def hang(stage: str) -> None:
        if where == f"inside-{stage}" and current_round == int(number):
            print("inside", flush=True)
            time.sleep(60)

    def hanging(role: object, method: str, stage: str | None = None) -> None:
        call = getattr(role, method)

        def call_and_hang(*args: Any, **kwargs: Any) -> Any:
            result = call(*args, **kwargs)
            hang(stage or {"refinement": "refine"}.get(args[0].task, args[0].task))
            return result

        setattr(role, method, call_and_hang)

    cast = FakeRoles()
    hanging(cast.generator, "decode", "decode")
    hanging(cast.captioner, "caption", "caption")
    hanging(cast.scorer, "score", "score")
    hanging(cast.llm, "reply")
    if where == "scorer":
        cast.other_scorers.append(KillingScorer("second", kill=die, video=f"output{number}.mp4"))
    if where == "rename":
        name, _, nth = number.partition(":")
        left = int(nth or 1)

        def die_before_the_nth(_: Path, target: Path) -> None:
            nonlocal left
            left -= target.name == name
            if not left:
                die()

        patch_path("replace", die_before_the_nth)
    if where == "inside-encode":
        # Half of the video is in the temporary file when the kill comes.
        def write_half(self: Path, data: bytes, *_: object) -> None:
            if self.name.startswith(f".output{number}.mp4."):
                with self.open("wb") as file:
                    file.write(data[: len(data) // 2])
                hang("encode")

        patch_path("write_bytes", write_half)
    if where == "inside-denoise":
        denoise = cast.generator.denoise

        def denoise_and_hang(prompt: str, *, on_step: OnStep, **kwargs: Any) -> Denoised:
            def on_step_and_hang(step: DenoisingStep) -> None:
                on_step(step)
                if step.number == 2:
                    hang("denoise")

            return denoise(prompt, on_step=on_step_and_hang, **kwargs)

        cast.generator.denoise = denoise_and_hang  # type: ignore[method-assign, assignment]
    run_through(directory, make_config(rounds), cast, emit=emit)


def patch_path(name: str, before: Callable[..., None]) -> None:
    """Have `before` called with the arguments of a method of Path."""
    original = getattr(Path, name)

    def patched(self: Path, *args: Any, **kwargs: Any) -> Any:
        before(self, *args, **kwargs)
        return original(self, *args, **kwargs)

    setattr(Path, name, patched)


if __name__ == "__main__":
    main()
