"""`phyt2v export` on the command line."""

import json
import typing
from pathlib import Path

from phyt2v_cli.cli.commands.results.export import export
from phyt2v_cli.sets.export.names import TARGETS
from phyt2v_cli.sets.export.plan import WHICH
from phyt2v_cli.sets.manifest import write_manifest
from tests.command_line import CommandLine
from tests.fake_sets import entry_of, make_set

SET = [[(0.5, 0.5), (0.2, 0.4), (0.8, 0.6)]]


def test_the_choices_are_those_of_the_library() -> None:
    hints = typing.get_type_hints(export)
    assert typing.get_args(hints["target"]) == TARGETS
    assert typing.get_args(hints["videos"]) == WHICH


def test_the_folder_is_printed(tmp_path: Path, phyt2v: CommandLine) -> None:
    make_set(tmp_path / "set", SET)
    told = phyt2v("export", "set", "--for", "phygenbench")
    assert (told.code, told.out) == (0, "set/exports/phygenbench\n")
    assert "1 video: 1 linked" in told.err
    first = phyt2v("export", "set", "--for", "phygenbench", "--videos", "first")
    assert first.out == "set/exports/phygenbench-first\n"
    assert "Some videos are drafts, of 3 steps." in first.err
    assert "1 video: 1 kept" in phyt2v("export", "set", "--for", "phygenbench").err


def test_what_is_left_out_ends_with_5(tmp_path: Path, phyt2v: CommandLine) -> None:
    entries = make_set(tmp_path / "set", SET)
    write_manifest(tmp_path / "set", [*entries, entry_of(1), entry_of(2, "a/b")], source="p", shard=None)
    told = phyt2v("export", "set", "--for", "vbench2", "--json")
    assert told.code == 5
    assert told.errors() == ["error: 2 of 3 prompts left out"]
    assert "hint: Complete the set with `phyt2v batch`, then export again." in told.err
    assert "run-1: left out: it has not begun" in told.err
    tree = json.loads(told.out)
    assert (tree["schema"], tree["for"], tree["videos"]) == ("phyt2v.export/1", "vbench2", "result")
    assert (tree["num_files"], tree["indexes"]) == (1, ["set/exports/vbench2/index.csv"])
    assert tree["left_out"][0] == {"id": "p1", "folder": "run-1", "reason": "it has not begun"}


def test_nothing_to_export_writes_nothing(tmp_path: Path, phyt2v: CommandLine) -> None:
    write_manifest(tmp_path, [entry_of(0)], source="p", shard=None)
    told = phyt2v("export", ".", "--for", "csv", "--out", "out")
    assert (told.code, told.out) == (5, "")
    assert not (tmp_path / "out").exists()


def test_a_folder_in_the_way_and_a_missing_column(tmp_path: Path, phyt2v: CommandLine) -> None:
    make_set(tmp_path / "set", SET)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    told = phyt2v("export", "set", "--for", "csv", "--out", "out")
    assert (told.code, told.out) == (3, "")
    assert "--force" in told.err
    assert phyt2v("export", "set", "--for", "csv", "--out", "out", "--force").code == 0
    assert phyt2v("export", "set", "--for", "physics-iq").code == 2
    assert phyt2v("export", "nowhere", "--for", "csv").code == 3
