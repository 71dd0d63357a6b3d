"""Listening to libraries: as long as any run goes on, each record once, for the log of its own run."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from phyt2v_cli.runs.journal.appending import open_in_run
from phyt2v_cli.runs.journal.listening import listening
from phyt2v_cli.runs.journal.log import Log


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[list[Log]]:
    made = [
        Log(tmp_path / name, open_in_run, level=logging.INFO, on_failure=pytest.fail)
        for name in ("first", "second")
    ]
    yield made
    for log in made:
        log.close()


def test_a_record_that_two_loggers_hand_over_is_written_once(logs: list[Log], tmp_path: Path) -> None:
    library = logging.getLogger("a_library_that_changes_its_mind")
    library.propagate = False
    with listening(logs[0]):
        library.propagate = True
        library.warning("once")
        library.warning("once")
    assert (tmp_path / "first").read_text().count("once\n") == 2


def test_the_end_of_one_run_does_not_end_the_listening_of_another(logs: list[Log], tmp_path: Path) -> None:
    before = [*logging.root.handlers]
    library = logging.getLogger("a_library_for_two")
    with listening(logs[0]):
        with listening(logs[1]):
            library.warning("inner")
            assert len(logging.root.handlers) == len(before) + 1
        library.warning("outer")
    library.warning("after")
    assert logging.root.handlers == before
    assert [line.rpartition(" ")[2] for line in (tmp_path / "first").read_text().splitlines()] == ["outer"]
    assert [line.rpartition(" ")[2] for line in (tmp_path / "second").read_text().splitlines()] == ["inner"]


def test_a_library_that_is_imported_meanwhile_is_heard_once_it_is_looked_for(
    logs: list[Log], tmp_path: Path
) -> None:
    with listening(logs[0]) as listener:
        late = logging.getLogger("a_library_imported_meanwhile")
        late.propagate = False
        listener.attach()
        late.error("late")
    assert late.handlers == []
    assert "late\n" in (tmp_path / "first").read_text()
