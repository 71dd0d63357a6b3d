"""Python API: refine and render prompts with models that are loaded once.

`Studio` makes the roles from a config and owns them. Knows the config, the checks, the loop and the backends;
knows no terminal and no flag.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, Unpack, get_args

from phyt2v_cli.backends import background, prefetch
from phyt2v_cli.calibration.use import apply_calibration
from phyt2v_cli.checks.given import name_objects
from phyt2v_cli.checks.preflight import (
    PreparedVideo,
    complete,
    complete_judges,
    prepare_run,
    prepare_video,
)
from phyt2v_cli.checks.probe import probed
from phyt2v_cli.config.files import Setting
from phyt2v_cli.config.layers import LoadedConfig, layer_of_keywords, load_config
from phyt2v_cli.config.schema import Config, Control
from phyt2v_cli.config.scorer_presets import scorer_layer
from phyt2v_cli.errors import RunPausedError, UsageError
from phyt2v_cli.events import Emit, Event, Notice
from phyt2v_cli.refinement import loop
from phyt2v_cli.refinement.loop import StopAfter
from phyt2v_cli.refinement.single import render_single
from phyt2v_cli.refinement.steering.rerender import rerender
from phyt2v_cli.refinement.steering.review import Review
from phyt2v_cli.report.as_json.result import pause_as_json, rerender_as_json, result_as_json
from phyt2v_cli.report.current import kept_current
from phyt2v_cli.roles import (
    Cancelled,
    ChatModel,
    VideoCaptioner,
    VideoGenerator,
    VideoScorer,
    never_cancelled,
)
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.runs.journal.run import RunJournal, of_call
from phyt2v_cli.runs.outcome.result import RunResult, VideoResult
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.schedule import planned_ids
from phyt2v_cli.sets.prompt_file import read_prompt
from phyt2v_cli.shared_roles import OnNotice, SharedRoles
from phyt2v_cli.turns import Turns

ConfigSource = str | Path | Mapping[str, object] | Config
"""Config: the path of a TOML file, a mapping like such a file, or a `Config`, which is taken as it is: no
preset and no environment variable is added to it."""

OnEvent = Callable[[Event], object]
"""Callback for each event of a run as it happens; see `phyt2v_cli.events`. What it returns is ignored."""


class RunSettings(TypedDict, total=False):
    """Settings of one run, named like the options of ``phyt2v refine``."""

    rounds: int
    min_steps: int
    max_steps: int
    schedule: Literal["linear", "constant", "cosine", "geometric", "final-only"]
    steps: Sequence[int] | str
    seed: int
    select: Literal["last", "best"]
    control: bool
    controls: Sequence[Control] | str
    candidates: int
    early_stop: bool
    max_seconds: float
    max_cost: float
    probe: bool


class Studio:
    """Models that are loaded once, for any number of runs. Use it in a ``with`` statement.

    Nothing is loaded before the first run needs it. Threads may share a studio: their renders wait for each
    other, everything else runs in parallel. Its calls block, inside a running event loop (a notebook) too.
    """

    def __init__(
        self,
        *,
        preset: str | None = None,
        config: ConfigSource | None = None,
        model: str | None = None,
        generator: VideoGenerator | None = None,
        llm: ChatModel | None = None,
        captioner: VideoCaptioner | None = None,
        scorer: VideoScorer | str | Sequence[VideoScorer] | Sequence[str] | None = None,
        on_span: background.Span | None = None,
        on_notice: OnNotice = lambda _: None,
        prefetches_control: bool = True,
        **settings: Any,
    ) -> None:
        """Read and check the settings; no model is loaded and no server is asked yet.

        `settings` are options of ``phyt2v refine`` by name (`rounds`, `seed`, `solver`, `image`, …), for
        every run of this studio. A role that is given as an object needs no section in the config. A scorer
        may be given by the name of its preset, or the path of its TOML file. Of several scorers the first
        decides. `on_span(name)` makes a context manager that is entered around work outside the loop, for
        example to draw it in a timeline; `on_notice(text)` hears of lost workers of a cluster.
        Without `prefetches_control` no control is denoised before its turn, which pays only if no other run
        wants the generator; all renders then work in one thread of their own.

        Raises UsageError (ConfigError included) if a setting is wrong, and BackendError if a cluster does not
        answer.
        """
        self._source = Path(config) if isinstance(config, str) else config
        self._preset = preset
        self._settings = {"model": model, **settings}
        scorers = [scorer] if isinstance(scorer, str) or not isinstance(scorer, Sequence | None) else scorer
        names = [one for one in scorers or () if isinstance(one, str)]
        self._scorers = scorer_layer(names, "argument scorer") if names else None
        self._given: dict[str, Any] = {
            name: role
            for name, role in (
                ("generator", generator),
                ("llm", llm),
                ("captioner", captioner),
                ("scorer", list(scorers) if scorers is not None and not names else None),
            )
            if role is not None
        }
        self._on_span = on_span or background.no_span
        self._chosen: dict[str, Setting] = {}
        self._notices: tuple[str, ...] = ()
        self._loaded = self._layer({})
        if self._loaded.config.search.calibration is not None and not isinstance(self._source, Config):
            self._choose_draft_cache()
        self._roles = SharedRoles(
            self.config,
            self._given,
            on_span=self._on_span,
            on_notice=on_notice,
            prefetches_control=prefetches_control,
        )

    @property
    def config(self) -> Config:
        """Config that runs start from."""
        return self._loaded.config

    def refine(
        self,
        prompt: str,
        *,
        out: str | Path | None = None,
        force: bool = False,
        on_event: OnEvent | None = None,
        cancelled: Cancelled = never_cancelled,
        review: Review | None = None,
        stop_after: StopAfter | None = None,
        **settings: Unpack[RunSettings],
    ) -> RunResult:
        """Refine a prompt: render it, judge the video, rewrite it, repeat. The last video is the result.

        `review(proposal)` decides on each rewritten prompt (`Proposal`, `Decision`). With
        ``stop_after="rewrite"`` the call raises RunPausedError after the next rewrite; `next_prompt` of the
        error is the prompt that waits, and the same call resumes.

        `out` is the run directory; the default is ``runs/<prompt>-<hash>`` in the working folder. The same
        call resumes an interrupted run, and returns the result of a complete one. With `force` a run that is
        in the way is moved aside. The run directory gets the events too, and a log of each attempt. Raises
        RunInterruptedError once `cancelled()` is true; the run can resume later. Raises UsageError for a
        wrong prompt or setting, FilesError for files and folders, and BackendError for models, servers and
        programs.
        """
        prepared = prepare_run(
            read_prompt(None, prompt),
            self._layer(settings),
            out=Path(out) if out is not None else None,
            force=force,
            given=self._given,
            chooses_cache=False,  # one generator makes the drafts of all runs
        )
        emit = emit_to(on_event)
        with prepared.open() as run:
            run.notices[:0] = [*self._notices, *prepared.notices]
            return self.complete(run, emit=emit, cancelled=cancelled, review=review, stop_after=stop_after)

    def generate(
        self,
        prompt: str,
        *,
        out: str | Path = "output.mp4",
        steps: int | None = None,
        seed: int | None = None,
        force: bool = False,
        on_event: OnEvent | None = None,
        cancelled: Cancelled = never_cancelled,
    ) -> VideoResult:
        """Render one mp4, without judges and rounds; raises as `refine` does.

        The default of `steps` is that of the schedule's final. With `force` a file at `out` is replaced.
        """
        loaded = self._layer({"seed": seed}, max_steps=steps)
        prepared = prepare_video(
            read_prompt(None, prompt), loaded, out=Path(out), steps=steps, force=force, given=self._given
        )
        return self.render(prepared, emit=emit_to(on_event, prepared.notices), cancelled=cancelled)

    def complete(
        self,
        run: RunDir,
        *,
        emit: Emit,
        cancelled: Cancelled,
        num_planned_steps: int | None = None,
        review: Review | None = None,
        stop_after: StopAfter | None = None,
        journal: RunJournal | None = None,
    ) -> RunResult:
        """Do what is left of an open run; `num_planned_steps` is as in `prefetch`, by default the plan's.

        `review` and `stop_after` are as in `refine`. The events, and what comes of them, are written to the
        run's `journal`, which is opened here if the caller has not opened it.
        """
        if stop_after not in (None, *get_args(StopAfter)):
            raise UsageError(f"stop_after: {stop_after!r} does not fit: it should be 'rewrite'")
        with of_call(journal, run, emit) as journal:
            record = run.record
            steps = num_planned_steps or sum(planned.total_steps for planned in record.planned_rounds)
            # A run that has all of its videos may only have to be judged.
            ids = planned_ids(run.config.refinement, record.planned_rounds)
            if record.status != "complete" and any(not (run.path / id.video_name).exists() for id in ids):
                self.prefetch(steps)
            roles = probed(run.config, self._roles.roles(steps))
            roles = prefetch.overlap(run.config, roles, record.prompt, span=self._on_span)
            try:
                with kept_current(run.path, journal.before(emit)) as updating:
                    result = loop.refine(
                        run, roles, emit=updating, cancelled=cancelled, review=review, stop_after=stop_after
                    )
            except RunPausedError as pause:
                journal.data = pause_as_json(run, pause)
                raise
            journal.data = result_as_json(run, result)
            return result

    def rerender(
        self,
        run: RunDir,
        record: VideoRecord,
        *,
        emit: Emit,
        cancelled: Cancelled,
        journal: RunJournal | None = None,
    ) -> VideoRecord:
        """Render and judge what is missing of a record by `rerender_of` of an open run.

        `journal` is as in `complete`.
        """
        with of_call(journal, run, emit, has_work=record.scores is None) as journal:
            roles = self._roles.roles(record.steps)
            with kept_current(run.path, journal.before(emit)) as updating:
                record = rerender(run, roles, record, emit=updating, cancelled=cancelled)
            journal.data = rerender_as_json(run, record)
            return record

    def render(self, prepared: PreparedVideo, *, emit: Emit, cancelled: Cancelled) -> VideoResult:
        """Render a single video that `prepare_video` has checked."""
        return render_single(
            lambda: self._roles.load_generator(prepared.steps),
            prepared.prompt,
            prepared.config,
            steps=prepared.steps,
            out=prepared.out,
            may_replace=prepared.force,
            emit=emit,
            cancelled=cancelled,
        )

    def prefetch(self, num_planned_steps: int) -> None:
        """Prefetch the generator: load it in a thread, while a run does what comes before.

        About `num_planned_steps` denoising steps will follow; preparations such as compiling must pay off in
        them.
        """
        self._roles.prefetch(num_planned_steps)

    @property
    def turns(self) -> Turns:
        """Turns at the generator, which runs of this studio take."""
        return self._roles.turns

    def close(self) -> None:
        """Free the GPU and CPU memory of the models, and end the programs that were started.

        Roles that were given as objects are left open. No run may be in progress; a later one raises
        RuntimeError. Closing twice does nothing.
        """
        self._roles.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _choose_draft_cache(self) -> None:
        """Choose the draft cache of all runs by the calibration, if it is `auto`."""
        key, loaded = "generator.draft_cache", self._loaded
        if loaded.config.generator.draft_cache != "auto" or "generator" in self._given:
            return
        chosen = apply_calibration(complete(complete_judges(loaded)))
        self._notices = tuple(notice for notice in chosen.notices if key in notice)
        self._chosen[key] = Setting(chosen.config.generator.draft_cache, chosen.origins[key])
        if chosen.config.generator.draft_cache != "auto":
            sha256 = chosen.config.search.calibration_sha256
            self._chosen["search.calibration_sha256"] = Setting(sha256, chosen.origins[key])
        self._loaded = self._layer({})

    def _layer(self, settings: Mapping[str, object], *, max_steps: int | None = None) -> LoadedConfig:
        given = {name: value for name, value in settings.items() if value is not None}
        # A schedule given to one call replaces the studio's, whichever of the two forms that has.
        of_schedule = {"steps"} if given.keys() & {"schedule", "min_steps", "max_steps"} else set()
        if "steps" in given:
            of_schedule = {"schedule", "min_steps", "max_steps", "rounds"}
        kept = {name: value for name, value in self._settings.items() if name not in of_schedule}
        given = kept | given
        flags = dict(layer_of_keywords(given, lambda name: f"argument {name}"))
        if max_steps is not None:
            flags["schedule.max_steps"] = Setting(max_steps, "argument steps")
        flags |= self._chosen
        loaded = load_config(preset=self._preset, config=self._source, scorers=self._scorers, flags=flags)
        return name_objects(loaded, self._given)


def emit_to(on_event: OnEvent | None, notices: Sequence[str] = ()) -> Emit:
    """Emit that passes events to a callback, the notices first."""

    def emit(event: Event) -> None:
        if on_event is not None:
            on_event(event)

    for notice in notices:
        emit(Notice(notice))
    return emit
