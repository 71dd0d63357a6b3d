"""Clips of a run, made from its folder alone: its original beside its result, and all of its rounds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from phyt2v_cli.errors import FilesError, message_of
from phyt2v_cli.events import Notice
from phyt2v_cli.quantities import count, score
from phyt2v_cli.report.clips.drawing import Labelled, write_clip
from phyt2v_cli.report.clips.layout import MAX_VIDEOS
from phyt2v_cli.report.staleness import is_current
from phyt2v_cli.runs.outcome.arms import Arm, arms_of_run
from phyt2v_cli.runs.outcome.candidates import chosen_rounds
from phyt2v_cli.runs.reader import ShownRun, read_run
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.video_id import ControlId, RoundId, VideoId

COMPARE, ROUNDS = "compare.mp4", "rounds.mp4"


@dataclass(frozen=True)
class Clips:
    """Paths of the clips of a run; None if there is nothing to compare, or if it could not be drawn."""

    compare: Path | None = None
    rounds: Path | None = None

    def as_json(self) -> dict[str, str | None]:
        """Paths by the name of the clip, as JSON."""
        return {
            "compare": None if self.compare is None else str(self.compare),
            "rounds": None if self.rounds is None else str(self.rounds),
        }


@dataclass(frozen=True)
class Compared:
    """Video at full steps that is compared with others, and its name for people."""

    label: str
    record: VideoRecord
    is_result: bool


def draw_if_possible(
    run_path: Path, tell: Callable[[Notice], None], *, only_comparison: bool = False
) -> Clips:
    """Write the clips of a run unless they are up to date; if one fails, only `tell` why."""
    try:
        run = read_run(run_path)
    except FilesError as error:
        tell(Notice(f"no clips: {error.message}", error.hint))
        return Clips()
    columns = compared(run)
    all_rounds = [] if only_comparison else chosen_rounds(run.videos)
    rounds = _thinned([record for record in all_rounds if record.sha256 is not None])
    result = run.record.result
    return Clips(
        compare=_draw(
            run_path / COMPARE,
            [
                Labelled(run_path / one.record.video, _label(one), _scores(one.record), one.is_result)
                for one in columns
            ],
            tell,
            columns=len(columns) if len(columns) < 4 else None,
        ),
        rounds=_draw(
            run_path / ROUNDS,
            [
                Labelled(
                    run_path / record.video,
                    _round_label(record),
                    is_marked=result is not None and record.id == result.id,
                )
                for record in rounds
            ],
            tell,
        ),
    )


def compared(run: ShownRun) -> tuple[Compared, ...]:
    """Finals of a run side by side: those of the controls, then its result; none without a control.

    If a control is the result, the last round stands beside it. None of both is a draft.
    """
    arms: dict[VideoId, Arm] = {}
    for arm in arms_of_run(run):
        if arm.video.sha256 is not None:
            arms.setdefault(arm.video.id, arm)  # the best of several seeds may be the original
    result = run.record.result
    own = [record for record in run.videos if result is not None and record.id == result.id]
    if not own or isinstance(own[0].id, ControlId):
        own = chosen_rounds(run.videos)[-1:]
    own = [record for record in own if record.purpose == "final" and record.sha256 is not None]
    if not arms or not own or all(_are_same(arm.video, own[0]) for arm in arms.values()):
        return ()
    short = {"original": "original", "blind": "blind rewrite"}
    columns = [(short.get(arm.name, arm.label), arm.video) for arm in arms.values()]
    is_own = result is not None and own[0].id == result.id
    columns.append(("result" if is_own else own[0].id.label.lower(), own[0]))
    return tuple(
        Compared(label, record, result is not None and record.id == result.id) for label, record in columns
    )


def _are_same(one: VideoRecord, other: VideoRecord) -> bool:
    return bool(one.pixels_key) and one.pixels_key == other.pixels_key


def _label(one: Compared) -> str:
    suffix = " (the result)" if one.is_result and one.label != "result" else ""
    return f"{one.label}{suffix}, {count(one.record.steps, 'step')}"


def _round_label(record: VideoRecord) -> str:
    assert isinstance(record.id, RoundId)
    return f"{record.id.number}: {count(record.steps, 'step')}"


def _scores(record: VideoRecord) -> str:
    scores = record.all_scores()
    return f"SA {score(scores.semantic_adherence)}, PC {score(scores.physical_commonsense)}"


def _thinned(rounds: Sequence[VideoRecord]) -> list[VideoRecord]:
    """Evenly spaced rounds, with the first and the last, if there are too many for one clip."""
    if len(rounds) <= MAX_VIDEOS:
        return list(rounds)
    return [rounds[round(n * (len(rounds) - 1) / (MAX_VIDEOS - 1))] for n in range(MAX_VIDEOS)]


def _draw(
    path: Path, videos: Sequence[Labelled], tell: Callable[[Notice], None], *, columns: int | None = None
) -> Path | None:
    """Write a clip unless it is there and younger than its sources; None if it could not be, or of less than
    two videos."""
    if len(videos) < 2:
        return None
    try:
        if not is_current(path, [one.video for one in videos]):
            write_clip(path, videos, columns=columns)
    except Exception as error:
        tell(Notice(f"no {path.name}: {message_of(error)}", getattr(error, "hint", "")))
        return None
    return path
