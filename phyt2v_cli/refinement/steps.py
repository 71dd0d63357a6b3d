"""Denoising steps as events, and their previews as a picture. Knows no run and no loop."""

from contextlib import suppress
from pathlib import Path

from phyt2v_cli.errors import FilesError
from phyt2v_cli.events import Emit, Notice, PreviewMade, StepDone
from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.files.film_strip import film_strip
from phyt2v_cli.files.video import Frames
from phyt2v_cli.roles import DenoisingStep
from phyt2v_cli.video_id import VideoId

_PREVIEW_HEIGHT = 160


def tell_step(step: DenoisingStep, emit: Emit, video: VideoId, preview_path: Path) -> None:
    """Emit a step of a video, and write its preview if it has one; a disk that refuses that ends nothing."""
    emit(StepDone(video, step.number, step.total))
    if step.note:
        emit(Notice(step.note))
    if step.preview is not None:
        with suppress(FilesError):
            _write(step.preview, preview_path)
            emit(PreviewMade(video, step.number, step.total, preview_path))


def drop_preview(path: Path) -> None:
    """Delete a preview whose video is there."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _write(frames: Frames, path: Path) -> None:
    with replace_file(path) as temporary:
        film_strip(frames, height=_PREVIEW_HEIGHT).save(temporary, format="PNG")
