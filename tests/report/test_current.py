"""A page and a contact sheet that are there while a run goes on are never behind it."""

from pathlib import Path

import pytest

from phyt2v_cli import __version__
from phyt2v_cli.errors import BackendError
from phyt2v_cli.events import Event, Notice, RoundDone
from phyt2v_cli.refinement.loop import refine
from phyt2v_cli.report.contact_sheet import contact_sheet
from phyt2v_cli.report.current import kept_current
from phyt2v_cli.report.page import update_report, write_report
from phyt2v_cli.testing.fakes import FakeRoles
from tests.fake_runs import make_config, open_run, run_through


def test_the_page_shows_each_round_as_it_ends_and_the_end(tmp_path: Path) -> None:
    path = tmp_path / "run"
    pages: list[str] = []

    def emit(event: Event) -> None:
        if isinstance(event, RoundDone):
            if event.video.number == 1:
                write_report(path)  # somebody looks
                contact_sheet(path)
            pages.append((path / "report.html").read_text())

    with open_run(path, make_config(rounds=2)) as run, kept_current(path, emit) as hear:
        sheet = b""
        refine(run, FakeRoles().roles(), emit=hear, cancelled=lambda: False)
        sheet = (path / "contact.png").read_bytes()
    assert [page.count("<article") for page in pages] == [1, 1, 2], "of the rounds before"
    last = (path / "report.html").read_text()
    assert last.count("<article") == 3
    assert ">complete<" in last
    assert "load it again" in pages[0]
    assert "load it again" not in last
    contact_sheet(path)
    assert (path / "contact.png").read_bytes() == sheet


def test_a_run_that_fails_is_shown_as_failed(tmp_path: Path) -> None:
    path = tmp_path / "run"

    def emit(event: Event) -> None:
        if isinstance(event, RoundDone):
            write_report(path)
            raise BackendError("the server is gone")

    with (
        open_run(path, make_config(rounds=2)) as run,
        pytest.raises(BackendError),
        kept_current(path, emit) as hear,
    ):
        refine(run, FakeRoles().roles(), emit=hear, cancelled=lambda: False)
    assert ">failed<" in (path / "report.html").read_text()


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with open_run(path, make_config(rounds=1)) as run, kept_current(path, lambda _: None) as hear:
        refine(run, FakeRoles().roles(), emit=hear, cancelled=lambda: False)
    assert not (path / "report.html").exists()
    assert not (path / "contact.png").exists()


def test_what_cannot_be_made_is_a_note(tmp_path: Path) -> None:
    path, told = tmp_path / "run", list[Event]()
    with open_run(path, make_config(rounds=1)) as run:
        (path / "contact.png").write_bytes(b"")
        with kept_current(path, told.append):
            run.save()
    (note,) = [event for event in told if isinstance(event, Notice)]
    assert note.text.startswith("contact.png could not be brought up to date: ")


def test_a_page_with_its_videos_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1))
    write_report(path, embed=True)
    with open_run(path, make_config(rounds=1)) as run, kept_current(path, lambda _: None):
        run.save()
    page = (path / "report.html").read_text()
    assert page.count('<video src="data:video/mp4;base64,') == page.count("<video") > 0
    write_report(path)
    with open_run(path, make_config(rounds=1)) as run, kept_current(path, lambda _: None):
        run.save()
    assert "data:video/mp4" not in (path / "report.html").read_text()


def test_a_page_is_as_young_as_its_videos_and_clips(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1))
    page = update_report(path)
    first = page.stat().st_mtime_ns
    assert update_report(path).stat().st_mtime_ns == first
    for made in (path / "output1.mp4", path / "rounds.mp4"):
        made.touch()
        before = page.stat().st_mtime_ns
        assert update_report(path).stat().st_mtime_ns > before
    assert "rounds.mp4 (all rounds, in step)" in page.read_text()
    page.write_text(page.read_text().replace(f'"phyt2v {__version__}"', '"phyt2v 0.0.1"', 1))
    update_report(path)
    assert f'"phyt2v {__version__}"' in page.read_text(), "that of another version is not current"
    (path / "output2.mp4").unlink()
    update_report(path)
    assert "no longer beside this page: output2.mp4" in page.read_text()
