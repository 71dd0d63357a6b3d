"""Plot of a calibration as a PNG: what each draft setting costs, and what it keeps. Knows figures only."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli.calibration.record import CalibrationRecord, DraftRecord
from phyt2v_cli.files.atomic import replace_file

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

_WIDTH, _HEIGHT = 960, 560
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 930, 90, 490
_RADIUS = 6
_PAPER, _INK, _SOFT, _LINE = "#fbfaf7", "#1d1d1f", "#6b6b70", "#d8d5cc"
_OVER, _WITHIN, _ORDER = "#6b6b70", "#0b6e4f", "#9a6700"
_TITLE_SIZE, _TEXT_SIZE = 20, 14


def draw_plot(record: CalibrationRecord, path: Path) -> None:
    """Write the plot to `path`; raise FilesError if the disk refuses."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (_WIDTH, _HEIGHT), _PAPER)
    draw = ImageDraw.Draw(picture)
    text, title = ImageFont.load_default(_TEXT_SIZE), ImageFont.load_default(_TITLE_SIZE)
    shown = [draft for draft in record.drafts if draft.cost is not None and draft.num_pairs]
    most = max([1.0, *(draft.cost or 0.0 for draft in shown)])
    values = [value for draft in shown for value, _ in _marks(draft)]
    least = -1.0 if any(value < 0 for value in values) else 0.0

    def x_of(cost: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * cost / most

    def y_of(value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (value - least) / (1 - least)

    draw.text((_LEFT, 14), f"What drafts keep, judged by {record.judge}"[:80], fill=_INK, font=title)
    legend = ((_WITHIN, "rank within one request"), (_OVER, "rank over prompts"), (_ORDER, "order kept"))
    for number, (colour, what) in enumerate(legend):
        left = _LEFT + number * 220
        _dot(draw, left + _RADIUS, 62, colour)
        draw.text((left + 20, 53), what, fill=_SOFT, font=text)
    for tenth in range(0, 11, 2):
        y = y_of(least + (1 - least) * tenth / 10)
        draw.line((_LEFT, y, _RIGHT, y), fill=_LINE)
        draw.text((_LEFT - 40, y - 9), f"{least + (1 - least) * tenth / 10:.1f}", fill=_SOFT, font=text)
        x = x_of(most * tenth / 10)
        draw.text((x - 10, _BOTTOM + 8), f"{most * tenth / 10:.2f}", fill=_SOFT, font=text)
    draw.text((_LEFT, _BOTTOM + 32), "cost: denoising as a share of the final's", fill=_SOFT, font=text)
    for number, draft in enumerate(sorted(shown, key=lambda draft: draft.cost or 0.0)):
        x = x_of(draft.cost or 0.0)
        marks = _marks(draft)
        heights = [y_of(value) for value, _ in marks]
        if heights:
            draw.line((x, min(heights), x, max(heights)), fill=_LINE, width=2)
        for (_, colour), y in zip(marks, heights, strict=True):
            _dot(draw, x, y, colour)
        # In turns at three heights, so that settings of about the same cost do not hide each other's names.
        place = _BOTTOM - 20 - 18 * (number % 3)
        width = text.getlength(draft.name)
        draw.text((min(x + 8, _RIGHT - width), place), draft.name, fill=_INK, font=text)
    if not shown:
        draw.text((_LEFT + 20, _TOP + 20), "no draft has been compared with its final", fill=_SOFT, font=text)
    drawn = io.BytesIO()
    picture.save(drawn, format="PNG")
    with replace_file(path) as temporary:
        temporary.write_bytes(drawn.getvalue())


def _marks(draft: DraftRecord) -> list[tuple[float, str]]:
    values = (
        (draft.rank_over_prompts, _OVER),
        (draft.order_kept, _ORDER),
        (draft.rank_within_requests, _WITHIN),
    )
    return [(value, colour) for value, colour in values if value is not None]


def _dot(draw: "ImageDraw", x: float, y: float, colour: str) -> None:
    draw.ellipse((x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS), fill=colour)
