"""Contact sheet of a run, made from its folder alone. Knows no model, no loop and no terminal."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli.errors import VideoError, message_of
from phyt2v_cli.events import Notice
from phyt2v_cli.files.atomic import replace_file
from phyt2v_cli.files.video import sample_frames
from phyt2v_cli.quantities import count, score
from phyt2v_cli.report import fonts
from phyt2v_cli.report.staleness import is_current
from phyt2v_cli.runs.reader import read_videos
from phyt2v_cli.runs.records import VideoRecord

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

NAME = "contact.png"
NUM_FRAMES = 8
_FRAME_HEIGHT = 144
_LABEL_WIDTH = 190
_GAP = 6
_MARGIN = 20
_MAX_LINES = 3
_TITLE_SIZE, _TEXT_SIZE = 20, 14
_PAPER, _INK, _SOFT, _FINAL, _DRAFT = "#fbfaf7", "#1d1d1f", "#6b6b70", "#0b6e4f", "#9a6700"


def draw_if_possible(run_path: Path, tell: Callable[[Notice], None]) -> Path | None:
    """Write the contact sheet of a complete run unless it is up to date.

    If that fails, only `tell` why, and return None.
    """
    try:
        return update_sheet(run_path)
    except Exception as error:
        tell(Notice(f"no contact sheet: {message_of(error)}", getattr(error, "hint", "")))
        return None


def update_sheet(run_path: Path) -> Path:
    """Write the contact sheet unless it is up to date; return its path. Raises as `contact_sheet` does."""
    path = run_path / NAME
    return path if is_current(path) else contact_sheet(run_path)


def contact_sheet(run_path: Path) -> Path:
    """Write `contact.png`: evenly sampled frames of each round and the control, one row each.

    Returns its path. Raises VideoError if the run has no finished video or one is broken, FilesError if the
    disk refuses.
    """
    from PIL import Image, ImageDraw, ImageFont

    records = [record for record in read_videos(run_path)[0] if record.sha256 is not None]
    if not records:
        raise VideoError(f"{run_path} has no finished video to show")
    videos = [sample_frames(run_path / record.video, NUM_FRAMES) for record in records]
    widths = [round(_FRAME_HEIGHT * video.shape[2] / video.shape[1]) for video in videos]
    text_font = ImageFont.load_default(_TEXT_SIZE)
    title_font = ImageFont.load_default(_TITLE_SIZE)
    strip_width = max(widths) * NUM_FRAMES + _GAP * (NUM_FRAMES - 1)
    shown = [fonts.readable(record.prompt, _TEXT_SIZE) for record in records]
    prompts = [fonts.wrap(text, font, strip_width, max_lines=_MAX_LINES) for text, font in shown]
    line_height = round(_TEXT_SIZE * 1.35)
    row_heights = [len(lines) * line_height + _GAP + _FRAME_HEIGHT + 2 * _GAP for lines in prompts]
    width = 2 * _MARGIN + _LABEL_WIDTH + strip_width
    sheet = Image.new("RGB", (width, 2 * _MARGIN + sum(row_heights) + (len(records) - 1) * _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)

    top = _MARGIN
    for record, video, frame_width, lines, (_, font), row_height in zip(
        records, videos, widths, prompts, shown, row_heights, strict=True
    ):
        left = _MARGIN + _LABEL_WIDTH
        for number, line in enumerate(lines):
            draw.text((left, top + number * line_height), line, fill=_INK, font=font)
        frames_top = top + len(lines) * line_height + _GAP
        _draw_label(draw, record, frames_top, title_font, text_font)
        for number, frame in enumerate(video):
            picture = Image.fromarray(frame).resize((frame_width, _FRAME_HEIGHT), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left + number * (max(widths) + _GAP), frames_top))
        top += row_height + _MARGIN

    path = run_path / NAME
    drawn = io.BytesIO()
    sheet.save(drawn, format="PNG")
    with replace_file(path) as temporary:
        temporary.write_bytes(drawn.getvalue())
    return path


def _draw_label(
    draw: "ImageDraw", record: VideoRecord, top: int, title_font: object, text_font: object
) -> None:
    title, _, which = record.id.label.partition(", ")
    draw.text((_MARGIN, top), title, fill=_INK, font=title_font)  # type: ignore[arg-type]
    scores = record.all_scores()
    lines = [
        *([(which + ", chosen" * record.is_chosen, _INK)] if which else []),
        (f"{count(record.steps, 'step')}, {record.purpose}", _FINAL if record.purpose == "final" else _DRAFT),
        (f"SA {score(scores.semantic_adherence)}", _SOFT),
        (f"PC {score(scores.physical_commonsense)}", _SOFT),
    ]
    for number, (text, colour) in enumerate(lines):
        place = (_MARGIN, top + _TITLE_SIZE + 12 + number * round(_TEXT_SIZE * 1.5))
        draw.text(place, text, fill=colour, font=text_font)  # type: ignore[arg-type]
