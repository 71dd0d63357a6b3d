"""What the page of a set shows, and what it must not do with hostile texts."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from phyt2v_cli.errors import FilesError, UsageError
from phyt2v_cli.report.plot import Point, plot_of
from phyt2v_cli.sets.manifest import write_manifest
from phyt2v_cli.sets.shard import Shard
from phyt2v_cli.sets.summary.report import write_set_report
from tests.fake_sets import entry_of, make_set, render
from tests.terminals import foreign_controls

ELEMENTS = re.compile(
    "html|head|meta|title|style|body|header|main|section|article|footer|div|h1|h2|h3|p|span|dl|dt|dd|strong|br|"
    "a|table|thead|tbody|tr|th|td|img|svg|line|text|polyline|circle|rect"
)
SCORES = [
    [(0.5, 0.5), (0.2, 0.4), (0.3, 0.3), (0.8, 0.6)],
    [(0.5, 0.5), (0.6, 0.4), (0.3, None), (0.5, 0.4)],
]


class Page(HTMLParser):
    """Elements and texts of a page, as a browser makes them of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(" ".join(data.split()))

    def links(self) -> list[str]:
        return [attributes["href"] for tag, attributes in self.tags if tag == "a"]


def page_of(batch_dir: Path, **options: bool) -> Page:
    return Page(write_set_report(batch_dir, **options).page.read_text(encoding="utf-8"))


def test_it_shows_rounds_gains_categories_and_changes(tmp_path: Path) -> None:
    make_set(tmp_path, SCORES, [{"category": "Optics"}, {"category": "Force"}])
    page = page_of(tmp_path)
    shown = [text for text in page.texts if text]
    for text in (
        "Round 1",
        "Round 3",
        "Original prompt",
        "Result",
        "By category",
        "Optics",
        "+0.60",
        "-0.10",
    ):
        assert any(text in part for part in shown), text
    assert any(text.startswith("SA, semantic adherence: the video shows") for text in shown)
    assert "2 prompts" in shown and "2 complete" in shown
    assert any("Result (final, 6 steps) minus the first round (draft, 3 steps)" in part for part in shown)
    assert shown.count("Not like with like:") == 1
    assert shown.index("Best change") < shown.index("Worst change")
    assert sum(tag == "img" for tag, _ in page.tags) == 4
    assert (
        sum("interval" in attributes.get("class", "") for tag, attributes in page.tags if tag == "line") == 7
    )


def test_the_runs_with_the_largest_changes_get_a_page(tmp_path: Path) -> None:
    make_set(tmp_path, [*SCORES, [(0.5, 0.5), (0.5, 0.5), (0.5, 0.5), (0.5, 0.5)]])
    assert set(page_of(tmp_path).links()) == {"./run-0/report.html", "./run-1/report.html"}
    assert (tmp_path / "run-0" / "report.html").is_file()
    assert page_of(tmp_path, each=True).links()[-1] == "./run-2/report.html"


def test_shards_are_one_page(tmp_path: Path) -> None:
    for index in (1, 2):
        entry = entry_of(index)
        write_manifest(tmp_path, [entry], source="p", shard=Shard(index, 2))
        render(tmp_path, entry, (0.1, 0.1), (0.2, 0.2))
    assert "2 complete" in page_of(tmp_path).texts
    assert (tmp_path / "summary.csv").read_text().count("\n") == 1 + 4


def test_a_set_that_has_not_begun_has_a_page(tmp_path: Path) -> None:
    write_manifest(tmp_path, [entry_of(0)], source="p", shard=None)
    page = page_of(tmp_path)
    assert "1 not begun" in page.texts
    assert page.links() == []


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    hostile = '</script><script>alert(1)</script>"\x1b[2J\u202e<img src=x onerror=alert(1)>'
    entry = entry_of(0, hostile, folder='"><b>&', columns={"category": hostile, "domain": "a"})
    other = entry_of(1, columns={"category": "plain", hostile: "b", "domain": "b"})
    write_manifest(tmp_path, [entry, other], source=hostile, shard=None)
    render(tmp_path, entry, (0.1, 0.1), (0.2, 0.2))
    render(tmp_path, other, (0.3, 0.1), (0.2, 0.2))
    text = write_set_report(tmp_path).page.read_text(encoding="utf-8")
    assert foreign_controls(text) == []
    page = Page(text)
    assert [tag for tag, _ in page.tags if not ELEMENTS.fullmatch(tag)] == []
    assert [name for _, attributes in page.tags for name in attributes if name.startswith("on")] == []
    assert all(link.startswith("./") and ":" not in link for link in page.links())
    assert "./%22%3E%3Cb%3E%26/report.html" in page.links()
    assert "default-src 'none'" in text
    assert all(
        attributes["src"].startswith("data:image/jpeg;base64,")
        for tag, attributes in page.tags
        if tag == "img"
    )


def test_a_broken_video_is_said(tmp_path: Path) -> None:
    make_set(tmp_path, SCORES[:1])
    (tmp_path / "run-0" / "output1.mp4").write_bytes(b"cut")
    assert "the video is missing or broken" in page_of(tmp_path).texts


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match="is not the folder of a prompt set"):
        write_set_report(tmp_path)
    make_set(tmp_path, SCORES[:1], [{"law": "gravity"}])
    with pytest.raises(UsageError, match="no column 'laws'") as refused:
        write_set_report(tmp_path, category_columns=["laws"])
    assert refused.value.hint == "It has: law."


def test_a_plot_places_dots_and_intervals() -> None:
    plot = plot_of(
        [
            Point("1\n20", "draft", 0.0, 1.0, sa_interval=(0.0, 0.5)),
            Point("2\n50", "final", None, 0.5, is_joined=False),
        ],
        ("round", "steps"),
    )
    assert plot is not None
    (sa,) = plot.sa
    assert (sa.y, sa.low, sa.high, sa.purpose) == (plot.bottom, plot.bottom, plot.levels[1][1], "draft")
    first, second = plot.pc
    assert (first.y, second.y) == (plot.levels[0][1], plot.levels[1][1])
    assert (first.is_joined, second.is_joined, second.low) == (True, False, None)
    assert [lines for _, lines in plot.labels] == [["1", "20"], ["2", "50"]]
    assert plot_of([]) is None
