"""Studies made with the fakes of the roles, whose judge scores by prompt, seed and steps.

Run as a program it works in DIR, prints "inside" within the denoising of the Nth video and hangs there, to be
killed:

    python -m tests.fake_studies DIR N
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phyt2v_cli.calibration.figures import Judged
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.schema import Config
from phyt2v_cli.files.video import read_video
from phyt2v_cli.roles import Denoised, Scores, VideoScorer
from phyt2v_cli.sets.prompt_set import PromptEntry
from phyt2v_cli.sets.study.design import Design, design_of
from phyt2v_cli.sets.study.folder import StudyDir
from phyt2v_cli.sets.study.running import Judges, Study, VideoDone
from phyt2v_cli.testing.fakes import FakeChat, FakeGenerator
from tests.fake_runs import make_config

ENTRIES = (
    PromptEntry(None, "a red ball drops", None, 1, "ball"),
    PromptEntry(None, "a blue cube slides", None, 2, "cube"),
)


@dataclass
class StepsScorer:
    """Scorer whose PC is 0.1 for each step, and whose SA depends on the seed; it counts its calls."""

    name: str = "steps"
    abstains_below: int = 0
    """Steps below which it gives no score."""
    calls: list[str] = field(default_factory=list)

    def score(self, video_path: Path, prompt: str) -> Scores:
        self.calls.append(video_path.name)
        made = read_video(video_path)[1]
        assert made is not None
        assert prompt in made.prompt
        if made.steps < self.abstains_below:
            return Scores(None, None, ("too few steps",))
        return Scores(0.5 if made.seed else 0.9, made.steps / 10)


@dataclass
class FakeStudy:
    """Parts of a study, and what they saw."""

    path: Path
    config: Config = field(default_factory=make_config)
    generator: FakeGenerator = field(default_factory=FakeGenerator)
    llm: FakeChat = field(default_factory=FakeChat)
    scorers: list[VideoScorer] = field(default_factory=lambda: [StepsScorer()])
    loads: list[str] = field(default_factory=list)
    """Draft cache of each generator that was loaded."""
    told: list[VideoDone | str] = field(default_factory=list)
    is_over: Callable[[], bool] = lambda: False
    cancelled: Callable[[], bool] = lambda: False
    num_missing: int = 0
    num_planned: int = 0

    def design(self, **changes: Any) -> Design:
        given = {"num_rewrites": 2, "num_seeds": 2, "draft_steps": [3], "caches": ["pab"], **changes}
        return design_of(self.config, **given)

    def complete(self, entries: tuple[PromptEntry, ...] = ENTRIES, **changes: Any) -> list[Judged]:
        """Complete the study of this folder, as a new process would."""

        @contextmanager
        def open_generator(config: GeneratorConfig) -> Iterator[FakeGenerator]:
            self.loads.append(config.draft_cache)
            yield self.generator

        with StudyDir.open(self.path, self.config) as folder:
            study = Study(
                folder,
                self.config,
                self.design(**changes),
                Judges(self.llm, self.scorers),
                open_generator,
                self.cancelled,
                self.is_over,
                self.told.append,
            )
            videos = study.complete(entries)
        self.num_missing, self.num_planned = study.num_missing, study.num_planned
        return videos


def main() -> None:
    path, number = Path(sys.argv[1]), int(sys.argv[2])
    study = FakeStudy(path)
    denoise, begun = study.generator.denoise, 0

    def denoise_or_hang(*args: Any, **kwargs: Any) -> Denoised:
        nonlocal begun
        begun += 1
        if begun == number:
            print("inside", flush=True)
            time.sleep(60)
        return denoise(*args, **kwargs)

    study.generator.denoise = denoise_or_hang  # type: ignore[method-assign]
    study.complete()


if __name__ == "__main__":
    main()
