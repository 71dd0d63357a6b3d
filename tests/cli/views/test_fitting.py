"""Tables on narrow terminals: whole columns go, the least useful first, and no cell is cut."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from phyt2v_cli.cli.views.fitting import FittingTable

HEADERS = ["#", "video", "steps", "prompt"]


def lines(width: int) -> list[str]:
    table = FittingTable(dropped_first=("#", "prompt"))
    table.add_column("#")
    table.add_column("video")
    table.add_column("steps", justify="right")
    table.add_column("prompt", min_width=8, overflow="ellipsis", no_wrap=True)
    table.add_row("1", "output1.mp4", "20", Text("a red ball drops on the floor"))
    stream = io.StringIO()
    Console(file=stream, width=width).print(table.fit(width))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("width", "kept"),
    [(80, HEADERS), (28, HEADERS), (27, HEADERS[1:]), (26, HEADERS[1:]), (25, HEADERS[1:3])],
)
def test_columns_go_in_their_order_and_no_more_than_must(width: int, kept: list[str]) -> None:
    header, _, row = lines(width)
    assert header.split() == kept
    assert "output1.mp4" in row
    assert "20" in row
    assert max(map(len, (header, row))) <= width
    assert ("…" in row) == ("prompt" in kept and width < 80)
