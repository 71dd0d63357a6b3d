"""Running of a calibration: its roles, its signals, and a line for each video. Knows no option."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli.cli import console, signals
from phyt2v_cli.cli.running import host
from phyt2v_cli.quantities import count

if TYPE_CHECKING:
    from phyt2v_cli.calibration.record import CalibrationRecord
    from phyt2v_cli.config.generator import GeneratorConfig
    from phyt2v_cli.config.schema import Config
    from phyt2v_cli.roles import VideoGenerator
    from phyt2v_cli.sets.prompt_set import PromptEntry
    from phyt2v_cli.sets.study.design import Design
    from phyt2v_cli.sets.study.folder import StudyDir
    from phyt2v_cli.sets.study.running import VideoDone


def measure(
    study_dir: "StudyDir",
    entries: "tuple[PromptEntry, ...]",
    settings: "Config",
    design: "Design",
    max_seconds: float | None,
) -> "tuple[CalibrationRecord, Path]":
    """Measure what is missing, and return the calibration and its file; the plot is beside it.

    Nothing more is begun once `max_seconds` are over. Raises as `Study.complete` does, and Phyt2vError if
    there is too little to compare.
    """
    from phyt2v_cli.sets.study.folder import PICTURE
    from phyt2v_cli.sets.study.plot import draw_plot
    from phyt2v_cli.sets.study.result import calibration_of
    from phyt2v_cli.sets.study.running import Judges, Study

    begin = time.monotonic()
    stop = signals.stop_request("The calibration was stopped.", "The same command resumes it.")
    with stop, console.stdout_kept_for_data():
        host.prepare_for_models()
        from phyt2v_cli.backends import background
        from phyt2v_cli.checks.probe import probed
        from phyt2v_cli.shared_roles import SharedRoles

        roles = SharedRoles(settings, {}, on_span=background.no_span).roles(0)
        given = {"llm": roles.llm, "captioner": roles.captioner, "scorer": roles.scorers}

        @contextmanager
        def open_generator(generator: "GeneratorConfig") -> "Iterator[VideoGenerator]":
            config = settings.model_copy(update={"generator": generator})
            shared = SharedRoles(config, given, on_span=background.no_span, prefetches_control=False)
            yield probed(config, shared.roles(len(entries) * design.num_steps)).load_generator()
            shared.close()  # not after an error: the process ends, and closing would delay that

        study = Study(
            study_dir,
            settings,
            design,
            Judges(roles.llm, roles.scorers),
            open_generator,
            stop.cancelled,
            is_over=lambda: max_seconds is not None and time.monotonic() - begin >= max_seconds,
            tell=lambda told: _tell(told, begin),
        )
        videos = study.complete(entries)
    if study.num_missing and max_seconds is not None:
        console.warn(
            f"{max_seconds:g} s were over before {count(study.num_missing, 'video')} of "
            f"{study.num_planned:,}; the same command resumes it"
        )
    record = calibration_of(
        videos,
        settings,
        design,
        [scorer.name for scorer in roles.scorers],
        num_prompts=len(entries),
        num_planned=study.num_planned,
        num_faulty=study.num_faulty,
    )
    path = study_dir.save_result(record)
    draw_plot(record, study_dir.path / PICTURE)
    return record, path


def _tell(told: "VideoDone | str", begin: float) -> None:
    from phyt2v_cli.cli.views.calibration import line_of_video

    if isinstance(told, str):
        console.warn(told)
    else:
        console.say(line_of_video(told, time.monotonic() - begin))
