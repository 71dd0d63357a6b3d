"""Running of a study: what is missing of its videos is rendered and judged, one after the other.

Each is recorded before the next begins. What is slow to change comes last: first all videos without a cache,
prompt by prompt, then those of one cache after the other, each of which loads the model with that cache.
Knows the roles; knows no backend and no figures.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

from phyt2v_cli.calibration.figures import Judged, Setting
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.prompts import read_instructions
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError, FaultyFramesError, PromptError, RunInterruptedError
from phyt2v_cli.events import Purpose, Stage
from phyt2v_cli.refinement.render import Target, check_prompt_length, render_video
from phyt2v_cli.roles import Cancelled, ChatModel, VideoGenerator, VideoScorer
from phyt2v_cli.runs.identity import Recipe
from phyt2v_cli.runs.latents import drop_latents
from phyt2v_cli.runs.records import ScorerRecord
from phyt2v_cli.sets.prompt_set import PromptEntry
from phyt2v_cli.sets.study.design import Design
from phyt2v_cli.sets.study.folder import PromptsRecord, StudyDir, StudyVideo
from phyt2v_cli.sets.study.rewrites import further_rewrites
from phyt2v_cli.turns import waited_s

OpenGenerator = Callable[[GeneratorConfig], AbstractContextManager[VideoGenerator]]
"""Context manager with a generator that is loaded for a config, and closed at its end."""


@dataclass(frozen=True)
class Judges:
    """Roles of a study besides the generator."""

    llm: ChatModel
    scorers: Sequence[VideoScorer]
    """The first one decides."""


@dataclass(frozen=True)
class VideoDone:
    """Video that was rendered and judged just now."""

    request: str
    video: StudyVideo
    number: int
    """Videos that are done, this one and those of earlier starts included."""
    total: int
    """Videos that are planned."""


@dataclass
class Study:
    """Study in progress."""

    folder: StudyDir
    config: Config
    design: Design
    judges: Judges
    open_generator: OpenGenerator
    cancelled: Cancelled
    is_over: Callable[[], bool]
    """Whether the time is over: then nothing more is begun."""
    tell: Callable[[VideoDone | str], None]
    """Callback for each video, and for notes."""
    videos: dict[tuple[str, str], StudyVideo] = field(default_factory=dict)
    """Recorded videos, by prompt and pixels."""
    num_planned: int = 0
    num_missing: int = 0
    """Videos that the time was too short for."""
    no_looks: bool = False
    """Whether the model was found to predict no video half-way."""

    def complete(self, entries: Sequence[PromptEntry]) -> list[Judged]:
        """Render and judge what is missing, and return all that is judged.

        Raises RunInterruptedError once `cancelled()` is true, PromptError if a prompt is longer than the text
        encoder reads, BackendError if a role fails and FilesError if something cannot be written.
        """
        self.num_planned = len(entries) * self.design.num_videos
        uncached = self.config.generator.model_copy(
            update={"draft_cache": "off", "draft_cache_strength": None}
        )
        prompts: dict[str, list[str]] = {}
        with self._generator(uncached) as generator:
            for entry in entries:
                prompts[entry.folder] = self._prompts(entry, generator, entries)
                for rewrite, prompt in enumerate(prompts[entry.folder]):
                    for setting, seed in self.design.uncached():
                        if setting.is_look and self.no_looks:
                            self.num_planned -= 1
                            continue
                        recipe = Recipe(
                            prompt,
                            seed,
                            setting.steps,
                            _purpose(setting),
                            uncached,
                            trajectory_steps=self.design.final.steps if setting.is_look else None,
                        )
                        self._complete_video(entry, rewrite, setting, recipe, generator)
        for setting in self.design.cached:
            cached = uncached.model_copy(update={"draft_cache": setting.cache})
            with self._generator(cached) as generator:
                for entry in entries:
                    for rewrite, prompt in enumerate(prompts[entry.folder]):
                        recipe = Recipe(prompt, self.design.seeds[0], setting.steps, "draft", cached)
                        self._complete_video(entry, rewrite, setting, recipe, generator)
        self._tell_notices()
        return [
            video.judged(request)
            for (request, _), video in self.videos.items()
            if video.fault is None and video.scorers
        ]

    @property
    def num_faulty(self) -> int:
        """Number of videos without a picture."""
        return sum(video.fault is not None for video in self.videos.values())

    @contextmanager
    def _generator(self, config: GeneratorConfig) -> Iterator[Callable[[], VideoGenerator]]:
        """Function that loads a generator when it is called first."""
        with ExitStack() as stack:
            opened: list[VideoGenerator] = []

            def load() -> VideoGenerator:
                if not opened:
                    opened.append(stack.enter_context(self.open_generator(config)))
                return opened[0]

            yield load

    def _prompts(
        self, entry: PromptEntry, generator: Callable[[], VideoGenerator], entries: Sequence[PromptEntry]
    ) -> list[str]:
        """Prompt and its rewrites; without the missing ones if the time is over."""
        record = self.folder.read_prompts(entry.folder, entry.prompt)
        number = self.design.num_rewrites - len(record.rewrites)
        if number > 0 and not record.is_exhausted and not self.is_over():
            self._check_cancelled()
            self._check_lengths(generator(), entries)
            rewrites, error = further_rewrites(
                self.judges.llm,
                entry.prompt,
                record.rewrites,
                number,
                max_words=self.config.refinement.max_prompt_words,
                excess_tokens=generator().count_excess_tokens,
                instructions=read_instructions(self.config.prompts),
            )
            if error is not None:
                told = f"{len(record.rewrites) + len(rewrites)} of {self.design.num_rewrites} rewrites"
                self.tell(f"{entry.folder}: {told}: {error.message}")
            record = PromptsRecord(
                prompt=entry.prompt,
                rewrites=[*record.rewrites, *rewrites],
                is_exhausted=error is not None,
            )
            self.folder.save_prompts(entry.folder, record)
        known = record.rewrites[: self.design.num_rewrites]
        if record.is_exhausted:
            self.num_planned -= (
                self.design.num_videos
                * (self.design.num_rewrites - len(known))
                // (1 + self.design.num_rewrites)
            )
        return [entry.prompt, *known]

    def _check_lengths(self, generator: VideoGenerator, entries: Sequence[PromptEntry]) -> None:
        """Check all prompts before time is spent on one of them."""
        for entry in entries:
            try:
                check_prompt_length(
                    generator, entry.prompt, allow_truncation=self.config.generator.allow_truncation
                )
            except PromptError as error:
                raise PromptError(f"{entry.folder}: {error.message}", error.hint) from error

    def _complete_video(
        self,
        entry: PromptEntry,
        rewrite: int,
        setting: Setting,
        recipe: Recipe,
        generator: Callable[[], VideoGenerator],
    ) -> None:
        request, key = entry.folder, recipe.pixels_key
        video = self.folder.read_video(request, key)
        if video is not None and video.fault is None:
            is_judged = not any(self._missing_judgings(video, scorer) for scorer in self.judges.scorers)
            if not is_judged and not self.folder.has_video(request, video):
                video = None
        if video is None or (video.fault is None and not is_judged):
            if self.is_over():
                self.num_missing += 1
                return
            self._check_cancelled()
            self._tell_notices()
            if video is None:
                try:
                    video = self._render(entry, rewrite, setting, recipe, generator())
                except ConfigError as error:
                    if not setting.is_look:
                        raise
                    self.no_looks = True
                    self.num_planned -= 1
                    self.tell(f"looks are left out: {error.message}")
                    return
            self._judge(entry, video)
            self.videos[request, key] = video
            self.tell(VideoDone(request, video, len(self.videos), self.num_planned))
        self.videos[request, key] = video

    def _render(
        self, entry: PromptEntry, rewrite: int, setting: Setting, recipe: Recipe, generator: VideoGenerator
    ) -> StudyVideo:
        request, key = entry.folder, recipe.pixels_key
        video = StudyVideo(
            rewrite=rewrite,
            seed=recipe.seed,
            steps=setting.steps,
            cache=setting.cache,
            is_final=setting.is_final,
            is_look=setting.is_look,
            pixels_key=key,
        )

        ran: dict[str, str] = {}

        @contextmanager
        def stage(name: Stage) -> Iterator[None]:
            self._check_cancelled()
            start, start_of_work = time.monotonic() - waited_s(), time.process_time()
            yield
            if name == "denoise":
                taken = time.monotonic() - waited_s() - start
                if ran.get("device") == "cpu":  # where other processes would count too
                    taken = time.process_time() - start_of_work
                video.seconds = round(taken, 3)

        target = Target(
            self.folder.video_path(request, key),
            self.folder.latents_path(request, key),
            on_step=lambda _: None,
            cancelled=self.cancelled,
            stage=stage,
            on_how=ran.update,
        )
        try:
            video.sha256 = render_video(generator, recipe, target).sha256
        except FaultyFramesError as error:
            video.fault = error.message
            self.tell(f"{request}, {setting.name}: {error.message}; the video is left out")
        self.folder.save_video(request, video)
        drop_latents(target.latents_path)
        return video

    def _judge(self, entry: PromptEntry, video: StudyVideo) -> None:
        for scorer in self.judges.scorers:
            for _ in range(self._missing_judgings(video, scorer)):
                self._check_cancelled()
                path = self.folder.video_path(entry.folder, video.pixels_key)
                scores = scorer.score(path, entry.prompt)
                judging = ScorerRecord.of(scores, scorer.name)
                video.scorers.setdefault(scorer.name, []).append(judging)
                if scores.problem is not None:
                    self.tell(f"{entry.folder}: {scores.problem.message}; a score is missing")
                self.folder.save_video(entry.folder, video)

    def _missing_judgings(self, video: StudyVideo, scorer: VideoScorer) -> int:
        """Number of missing judgings: two are wanted of finals with the first seed, to compare them."""
        if video.fault is not None:
            return 0
        wanted = 2 if video.is_final and video.seed == self.design.seeds[0] else 1
        return max(wanted - len(video.scorers.get(scorer.name, [])), 0)

    def _check_cancelled(self) -> None:
        if self.cancelled():
            raise RunInterruptedError("The calibration was stopped.", "The same call resumes it.")

    def _tell_notices(self) -> None:
        while self.folder.notices:
            self.tell(self.folder.notices.pop(0))


def _purpose(setting: Setting) -> Purpose:
    return "final" if setting.is_final else "draft"
