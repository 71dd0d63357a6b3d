"""Results of a run or of a single rendering, as plain values for scripts and notebooks.

Made from records alone; knows no loop, no model and no terminal.
"""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli.errors import RunDirError
from phyt2v_cli.events import Purpose
from phyt2v_cli.files.atomic import describe_os_error
from phyt2v_cli.quantities import score
from phyt2v_cli.roles import HowItRan, Scores
from phyt2v_cli.runs.outcome.arms import arms_of_run
from phyt2v_cli.runs.outcome.candidates import chosen_rounds
from phyt2v_cli.runs.reader import ShownRun, read_run
from phyt2v_cli.runs.records import VideoRecord
from phyt2v_cli.video_id import CONTROL, RerenderId, RoundId, VideoId

if TYPE_CHECKING:
    from phyt2v_cli.files.video import Frames


@dataclass(frozen=True)
class RoundResult:
    """One video of a run (of a round, rendered again, or a control) with its caption, scores and mismatch."""

    id: VideoId
    video: Path
    prompt: str
    steps: int
    purpose: Purpose
    seed: int
    caption: str | None = None
    scores: Scores = field(default_factory=lambda: Scores(None, None))
    """Scores and reasons of the deciding scorer."""
    scorers: Mapping[str, Scores] = field(default_factory=dict)
    """Scores by the name of the scorer."""
    mismatch: str | None = None
    """What departs from the prompt or from physics; None if nothing was found, or if it was not asked."""
    refined_prompt: str | None = None
    """Prompt of the next round."""
    flags: tuple[str, ...] = ()
    how: HowItRan = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Duration of each stage, in s."""

    def frames(self) -> "Frames":
        """Decode the video to RGB frames, uint8 (num_frames, height, width, 3).

        Raises VideoError if the file is missing or broken.
        """
        return _frames(self.video)

    def _repr_html_(self) -> str:
        return _player(self.video, f"{self.id.label}, {self.steps} steps, {self.purpose}: {self.prompt}")


@dataclass(frozen=True)
class RunResult:
    """Result of a finished run."""

    run_dir: Path
    original_prompt: str
    id: VideoId
    """Id of the video that the run returns."""
    video: Path
    prompt: str
    """Prompt that the video was made from."""
    scores: Scores
    """Scores of the video by the deciding scorer."""
    rounds: tuple[RoundResult, ...]
    """Video of each round; of several candidates the chosen one."""
    control: RoundResult | None
    """Original prompt at full steps; None if it was not rendered."""
    selected_by: str
    """``last``; ``best``; or ``last_unscored`` if `best` was asked for and a scorer abstained."""
    stop_reason: str | None
    """Why the run ended before its last planned round; None if it did not."""
    controls: Mapping[str, RoundResult] = field(default_factory=dict)
    """Video of each control that was rendered: ``original``, ``blind``, ``best-of-n``."""
    candidates: tuple[RoundResult, ...] = ()
    """Videos of the rounds that were not chosen."""
    rerenders: tuple[RoundResult, ...] = ()
    """Videos of rounds that were rendered again."""

    def frames(self) -> "Frames":
        """Decode the video to RGB frames, uint8 (num_frames, height, width, 3).

        Raises VideoError if the file is missing or broken.
        """
        return _frames(self.video)

    def _repr_html_(self) -> str:
        controls = {video.id: video for video in self.controls.values()}
        videos = [*self.rounds, *controls.values()]
        return _player(self.video, self.prompt) + _table(videos, self.id)


@dataclass(frozen=True)
class VideoResult:
    """Result of rendering a single video, without judges."""

    video: Path
    prompt: str
    steps: int
    seed: int
    sha256: str
    seconds: Mapping[str, float]
    """Duration of each stage, in s."""

    def frames(self) -> "Frames":
        """Decode the video to RGB frames, uint8 (num_frames, height, width, 3).

        Raises VideoError if the file is missing or broken.
        """
        return _frames(self.video)

    def _repr_html_(self) -> str:
        return _player(self.video, self.prompt)


def load_run(run_dir: str | Path) -> RunResult:
    """Read the result of a finished run; raise RunDirError if there is no run, or if it is not complete."""
    return result_of(read_run(Path(run_dir)))


def result_of(run: ShownRun) -> RunResult:
    """Result of a run that was read; raise RunDirError if the run is not complete."""
    videos = {video.id: round_result_of(run.path, video) for video in run.videos}
    chosen_ids = [video.id for video in chosen_rounds(run.videos)]
    chosen = videos.get(run.record.result.id) if run.record.result is not None else None
    if run.record.result is None or chosen is None or run.record.status != "complete":
        raise RunDirError(f"{run.path} is not complete: its status is {run.record.status}")
    return RunResult(
        run_dir=run.path,
        original_prompt=run.record.prompt,
        id=chosen.id,
        video=chosen.video,
        prompt=chosen.prompt,
        scores=chosen.scores,
        rounds=tuple(videos[id] for id in chosen_ids),
        control=videos.get(CONTROL),
        selected_by=run.record.result.selected_by,
        stop_reason=run.record.stop_reason,
        controls={arm.name: videos[arm.video.id] for arm in arms_of_run(run)},
        candidates=tuple(
            video for id, video in videos.items() if isinstance(id, RoundId) and id not in chosen_ids
        ),
        rerenders=tuple(video for id, video in videos.items() if isinstance(id, RerenderId)),
    )


def round_result_of(run_dir: Path, record: VideoRecord) -> RoundResult:
    """Result of one video of a run, from its record."""
    found = record.mismatch is not None and record.mismatch.found
    return RoundResult(
        id=record.id,
        video=run_dir / record.video,
        prompt=record.prompt,
        steps=record.steps,
        purpose=record.purpose,
        seed=record.seed,
        caption=record.caption,
        scores=record.all_scores(),
        scorers=record.scores_by_scorer(),
        mismatch=record.mismatch.text if record.mismatch is not None and found else None,
        refined_prompt=record.refined_prompt,
        flags=tuple(record.flags),
        how=record.generator,
        seconds=record.seconds,
    )


def _frames(path: Path) -> "Frames":
    from phyt2v_cli.files.video import read_frames

    return read_frames(path)


def _player(video: Path, caption: str) -> str:
    """HTML video player with the video embedded, so that a notebook sent to somebody still shows it."""
    try:
        content = base64.b64encode(video.read_bytes()).decode("ascii")
    except OSError as error:
        raise describe_os_error(error, f"{video} could not be read") from error
    return (
        '<figure style="margin:0"><video controls loop muted playsinline style="max-width:100%" '
        f'src="data:video/mp4;base64,{content}"></video>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _table(videos: Sequence[RoundResult], chosen: VideoId) -> str:
    rows = []
    for video in videos:
        cells = [
            video.id.label,
            f"{video.steps} ({video.purpose})",
            score(video.scores.semantic_adherence),
            score(video.scores.physical_commonsense),
            video.prompt,
        ]
        style = ' style="font-weight:bold"' if video.id == chosen else ""
        rows.append(f"<tr{style}>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("video", "steps", "SA", "PC", "prompt"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
