"""The index of a folder of runs and sets: what it lists, in which order, and where its links lead."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from phyt2v_cli.errors import FilesError
from phyt2v_cli.sets.index import MAX_SHOWN, has_runs, write_index
from tests.fake_runs import make_config, run_through
from tests.fake_sets import make_set
from tests.report.conftest import change
from tests.terminals import foreign_controls


def make_run(path: Path, started: str, *, seed: int = 0, prompt: str = "a red ball drops") -> None:
    run_through(path, make_config(1, seed=seed), prompt=prompt)
    change(path / "run.json", attempts=[{"started": started, "finished": None}])


def index_of(folder: Path) -> str:
    return write_index(folder).read_text(encoding="utf-8")


def entries_of(page: str) -> list[str]:
    return re.findall("<article.*?</article>", page, re.DOTALL)


def test_runs_are_listed_newest_first_with_their_results_and_pages(tmp_path: Path) -> None:
    make_run(tmp_path / "old", "2026-01-01T00:00:00Z", seed=1)
    make_run(tmp_path / "with blank #1", "2026-03-01T10:20:30Z", seed=2)
    make_run(tmp_path / "deep" / "er", "2026-02-01T00:00:00Z", prompt="a blue <ball>")
    page = index_of(tmp_path)
    entries = entries_of(page)
    assert [re.findall('foreign">(.*?)</span>', entry)[-1] for entry in entries] == [
        *("with blank #1", "deep/er", "old")
    ]
    for text in (">complete<", "2 of 2 rounds", "6 steps, final", "SA 0.5", "PC 0.5", "2026-03-01 10:20 UTC"):
        assert text in entries[0], text
    assert "seed=2" in entries[0] and "seed=" not in entries[1], "what tells runs of one prompt apart"
    assert "a blue &lt;ball&gt;" in entries[1]
    assert page.count("data:image/jpeg;base64,") == 3
    links = re.findall('href="(.*?)"', page)
    assert links == ["./with%20blank%20%231/report.html", "./deep/er/report.html", "./old/report.html"]
    for link in links:
        assert (tmp_path / unquote(link)).is_file()
    assert "<script" not in page
    assert "3 runs" in page


def test_pages_that_are_current_are_left_alone(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "2026-01-01T00:00:00Z")
    write_index(tmp_path)
    made = (tmp_path / "run" / "report.html").stat().st_mtime_ns
    write_index(tmp_path)
    assert (tmp_path / "run" / "report.html").stat().st_mtime_ns == made


def test_a_set_is_one_entry(tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    make_set(tmp_path / "sets" / "physics", [[(0.5, 0.5), (0.2, 0.4)]] * 2)
    make_run(tmp_path / "runs" / "ball", "2999-01-01T00:00:00Z")
    page = index_of(tmp_path)
    run, of_set = entries_of(page)
    assert "runs/ball" in run
    assert "2 prompts" in of_set and "2 complete" in of_set
    assert 'href="./sets/physics/report.html"' in of_set
    assert "data:image/jpeg;base64," in of_set, "frames of its first run"
    assert (tmp_path / "sets" / "physics" / "report.html").is_file()


def test_what_cannot_be_read_is_said_and_is_text(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "2026-01-01T00:00:00Z")
    change(tmp_path / "run" / "run.json", prompt="</h2><script>alert(1)</script>\x1b[2J\u202e")
    (tmp_path / "<b>broken").mkdir()
    (tmp_path / "<b>broken" / "run.json").write_text("{")
    page = index_of(tmp_path)
    assert ">unreadable<" in entries_of(page)[1]
    assert "&lt;b&gt;broken" in page
    assert "<script" not in page and "<b>" not in page
    assert foreign_controls(page) == []


def test_a_run_without_a_video_is_shown(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "2026-01-01T00:00:00Z")
    for number in (1, 2):
        change(tmp_path / "run" / f"round{number}.json", sha256=None)
    (entry,) = entries_of(index_of(tmp_path))
    assert "no video" in entry


def test_only_the_newest_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_SHOWN >= 100
    monkeypatch.setattr("phyt2v_cli.sets.index.MAX_SHOWN", 1)
    make_run(tmp_path / "a", "2026-02-01T00:00:00Z")
    make_run(tmp_path / "b", "2026-01-01T00:00:00Z")
    page = index_of(tmp_path)
    assert len(entries_of(page)) == 1
    assert "./a/report.html" in page
    assert "1 older entry left out." in page


def test_somebody_elses_index_is_not_replaced(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "2026-01-01T00:00:00Z")
    (tmp_path / "index.html").write_text("<h1>My site</h1>")
    with pytest.raises(FilesError, match="is no page of phyt2v"):
        write_index(tmp_path)
    assert (tmp_path / "index.html").read_text() == "<h1>My site</h1>"


def test_a_folder_has_runs_or_is_one(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "ball", "2026-01-01T00:00:00Z")
    assert has_runs(tmp_path) and has_runs(tmp_path / "runs")
    assert not has_runs(tmp_path / "runs" / "ball")
    assert not has_runs(tmp_path / "nowhere")
