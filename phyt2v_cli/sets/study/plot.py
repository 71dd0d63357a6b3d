"""Plot of a calibration as a PNG: a row for each draft setting, the cheapest first. Knows figures only."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli.calibration.record import CalibrationRecord, DraftRecord
from phyt2v_cli.files.atomic import replace_file

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

MAX_ROWS = 60
_WIDTH, _LEFT, _RIGHT, _TOP = 960, 300, 920, 110
_ROW, _RADIUS, _SHIFT = 56, 6, 14
_PAPER, _INK, _SOFT, _LINE = "#fbfaf7", "#1d1d1f", "#6b6b70", "#d8d5cc"
_TITLE_SIZE, _TEXT_SIZE = 20, 14
_MARKS = (
    ("rank within one request", "#0b6e4f", "rank_within_requests"),
    ("rank over prompts", "#5a6ea8", "rank_over_prompts"),
    ("order kept", "#9a6700", "order_kept"),
)


def draw_plot(record: CalibrationRecord, path: Path) -> None:
    """Write the plot to `path`; raise FilesError if the disk refuses."""
    from PIL import Image, ImageDraw, ImageFont

    shown = sorted((draft for draft in record.drafts if draft.num_pairs), key=_cost)[:MAX_ROWS]
    bottom = _TOP + _ROW * max(len(shown), 1)
    picture = Image.new("RGB", (_WIDTH, bottom + 60), _PAPER)
    draw = ImageDraw.Draw(picture)
    text, title = ImageFont.load_default(_TEXT_SIZE), ImageFont.load_default(_TITLE_SIZE)
    values = [value for draft in shown for *_, key in _MARKS if (value := getattr(draft, key)) is not None]
    least = -1.0 if any(value < 0 for value in values) else 0.0

    def x_of(value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (value - least) / (1 - least)

    judge = "".join(char if char.isprintable() and char.isascii() else "?" for char in record.judge[:60])
    draw.text((30, 16), f"What drafts keep of their finals, judged by {judge}", fill=_INK, font=title)
    for number, (name, colour, _) in enumerate(_MARKS):
        _dot(draw, _LEFT + 210 * number, 69, colour)
        draw.text((_LEFT + 210 * number + 14, 60), name, fill=_SOFT, font=text)
    for fifth in range(6):
        value = least + (1 - least) * fifth / 5
        draw.line((x_of(value), _TOP - 10, x_of(value), bottom), fill=_LINE)
        draw.text((x_of(value) - 10, bottom + 8), f"{value:.1f}", fill=_SOFT, font=text)
    for number, draft in enumerate(shown):
        middle = _TOP + _ROW * number + _ROW / 2
        draw.line((30, middle + _ROW / 2, _RIGHT, middle + _ROW / 2), fill=_LINE)
        draw.text((30, middle - 18), draft.name[:30], fill=_INK, font=text)
        cost = "cost not known" if draft.cost is None else f"{draft.cost:.2f} of the final's time"
        draw.text((30, middle), cost, fill=_SOFT, font=text)
        known = [getattr(draft, key) for *_, key in _MARKS]
        for place, (value, (_, colour, _)) in enumerate(zip(known, _MARKS, strict=True)):
            if value is not None:
                _dot(draw, x_of(value), middle + (place - 1) * _SHIFT, colour)
        if known == [None] * len(_MARKS):
            draw.text((_LEFT + 10, middle - 9), "no two videos with different scores", fill=_SOFT, font=text)
    if not shown:
        draw.text((30, _TOP + 10), "no draft has been compared with its final", fill=_SOFT, font=text)
    drawn = io.BytesIO()
    picture.save(drawn, format="PNG")
    with replace_file(path) as temporary:
        temporary.write_bytes(drawn.getvalue())


def _cost(draft: DraftRecord) -> float:
    return float("inf") if draft.cost is None else draft.cost


def _dot(draw: "ImageDraw", x: float, y: float, colour: str) -> None:
    draw.ellipse((x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS), fill=colour)
