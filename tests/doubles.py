"""The four roles without a model: fast, deterministic, and different for every prompt, seed and step count.

Run as a program it refines in DIR and, at a given point, kills itself with SIGKILL or hangs to be killed:

    python -m tests.doubles DIR ROUNDS KILL_AT

KILL_AT is a stage's beginning (`caption:1`), the inside of a stage (`inside-caption:1`: it prints "inside"
and hangs), the second scorer (`scorer:1`), or the moment before a file gets its name (`rename:round2.json`).
"""

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from phyt2v_cli.events import Event, RoundStarted, StageStarted
from phyt2v_cli.interfaces import ChatReply, ChatRequest, Frames, Latents, OnStep, Roles, Scores
from phyt2v_cli.refinement import RunResult, refine
from phyt2v_cli.run_dir import RunDir
from phyt2v_cli.schedule import plan
from phyt2v_cli.settings import Config, RefinementConfig, ScheduleConfig

PROMPT = "a red ball drops"


@dataclass
class NumpyGenerator:
    """Blurred noise, less of it the more steps there are."""

    fps: int = 8
    max_tokens: int = 60
    settings: Mapping[str, str] = field(default_factory=lambda: {"offload": "none"})
    denoised: list[tuple[str, int, int]] = field(default_factory=list)
    drafts: list[bool] = field(default_factory=list)

    def count_excess_tokens(self, prompt: str) -> int:
        return max(len(prompt.split()) - self.max_tokens, 0)

    def denoise(
        self, prompt: str, *, seed: int, num_inference_steps: int, on_step: OnStep, draft: bool = False
    ) -> Latents:
        self.denoised.append((prompt, seed, num_inference_steps))
        self.drafts.append(draft)
        digest = hashlib.sha256(f"{seed} {prompt}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8]))
        latents = rng.normal(size=(3, 5, 8, 8)).astype(np.float32)
        for step in range(1, num_inference_steps + 1):
            latents *= np.float32(0.98)
            on_step(step, num_inference_steps)
        return latents

    def decode(self, latents: Latents) -> Frames:
        pixels = np.clip(128 + 60 * latents, 0, 255).astype(np.uint8)
        return np.repeat(np.repeat(pixels, 4, axis=2), 4, axis=3).transpose(1, 2, 3, 0)


def answer(request: ChatRequest) -> str:
    """Return a usable reply that depends on everything asked."""
    digest = hashlib.sha256(json.dumps(dict(request.data), sort_keys=True).encode()).hexdigest()[:6]
    match request.task:
        case "analysis":
            return json.dumps(
                {"reasoning": "r", "main_object": "the ball", "physical_law": f"gravity {digest}"}
            )
        case "mismatch":
            return json.dumps({"reasoning": "r", "found": True, "text": f"it hovers {digest}"})
        case "refinement":
            return json.dumps(
                {"step_back": "s", "prompt": f"{request.data['original_prompt']}, version {digest}"}
            )


@dataclass
class ScriptedChat:
    """Answers usably, unless the script for the task still has a reply (or an error) left."""

    script: dict[str, list[str | Exception]] = field(default_factory=dict)
    requests: list[ChatRequest] = field(default_factory=list)

    def reply(self, request: ChatRequest) -> ChatReply:
        self.requests.append(request)
        left = self.script.get(request.task)
        scripted = left.pop(0) if left else answer(request)
        if isinstance(scripted, Exception):
            raise scripted
        return ChatReply(scripted, prompt_tokens=10, completion_tokens=2)

    def tasks(self) -> list[str]:
        return [request.task for request in self.requests]


@dataclass
class DigestCaptioner:
    """Names the bytes of the video, which stand for what is seen in it."""

    calls: int = 0

    def caption(self, video_path: Path, instruction: str) -> str:
        self.calls += 1
        assert instruction
        return f"I see {hashlib.sha256(video_path.read_bytes()).hexdigest()[:8]}"


@dataclass
class ScriptedScorer:
    """Scores 0.5, unless told otherwise by video name."""

    name: str = "double"
    by_video: dict[str, Scores] = field(default_factory=dict)
    error: Exception | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)

    def score(self, video_path: Path, prompt: str) -> Scores:
        self.calls.append((video_path.name, prompt))
        if self.error is not None:
            raise self.error
        return self.by_video.get(video_path.name, Scores(0.5, 0.5, ("half of it is missing",)))


@dataclass
class KillingScorer(ScriptedScorer):
    """Ends the process when it is asked about `video`."""

    kill: Callable[[], None] = lambda: None
    video: str = ""

    def score(self, video_path: Path, prompt: str) -> Scores:
        if video_path.name == self.video:
            self.kill()
        return super().score(video_path, prompt)


@dataclass
class Cast:
    """All roles, and what they saw."""

    generator: NumpyGenerator = field(default_factory=NumpyGenerator)
    llm: ScriptedChat = field(default_factory=ScriptedChat)
    captioner: DigestCaptioner = field(default_factory=DigestCaptioner)
    scorer: ScriptedScorer = field(default_factory=ScriptedScorer)
    other_scorers: list[ScriptedScorer] = field(default_factory=list)
    loads: int = 0
    events: list[Event] = field(default_factory=list)

    def roles(self) -> Roles:
        return Roles(self.load_generator, self.llm, self.captioner, [self.scorer, *self.other_scorers])

    def load_generator(self) -> NumpyGenerator:
        self.loads += 1
        return self.generator

    def worked(self) -> bool:
        return bool(self.loads or self.llm.requests or self.captioner.calls or self.scorer.calls)


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
    rounds = plan(config.schedule, config.refinement.rounds)
    return RunDir.open(path, prompt=prompt, config=config, plan=rounds, force=force)


def run_through(
    path: Path,
    config: Config | None = None,
    cast: Cast | None = None,
    *,
    prompt: str = PROMPT,
    cancelled: Callable[[], bool] = lambda: False,
    emit: Callable[[Event], None] | None = None,
) -> RunResult:
    cast = cast or Cast()
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
            current_round = event.round
        if isinstance(event, StageStarted) and where == event.stage and event.round == int(number):
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

    cast = Cast()
    hanging(cast.generator, "decode", "decode")
    hanging(cast.captioner, "caption", "caption")
    hanging(cast.scorer, "score", "score")
    hanging(cast.llm, "reply")
    if where == "scorer":
        cast.other_scorers.append(KillingScorer("second", kill=die, video=f"output{number}.mp4"))
    if where == "rename":
        patch_path("replace", lambda _, target: die() if target.name == number else None)
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

        def denoise_and_hang(prompt: str, *, on_step: OnStep, **kwargs: Any) -> Latents:
            def on_step_and_hang(step: int, steps: int) -> None:
                on_step(step, steps)
                if step == 2:
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
