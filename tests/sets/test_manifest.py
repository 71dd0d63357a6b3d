"""The manifest of a set: what was written is read again, and nothing damaged or foreign is."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from phyt2v_cli.errors import FilesError
from phyt2v_cli.sets.manifest import has_manifest, is_plain_name, read_manifests, write_manifest
from phyt2v_cli.sets.shard import Shard
from tests.fake_sets import entry_of

HOSTILE = '=cmd|calc\n</script>\u202e"\t,é'


def write(batch_dir: Path, *entries: object, head: object = None) -> Path:
    known = {"schema": "phyt2v.prompt-set/1", "source": "prompts.csv", "shard": None}
    path = batch_dir / "prompts.jsonl"
    path.write_text("".join(json.dumps(tree) + "\n" for tree in [head or known, *entries]))
    return path


def tree_of(**fields: object) -> dict[str, object]:
    own = {"id": None, "prompt": "a ball", "seed": None, "line": 1, "row": 0, "image": None}
    return own | {"folder": "run-0", "columns": {}} | fields


def test_what_is_written_is_read(tmp_path: Path) -> None:
    entries = [
        entry_of(0, HOSTILE, id=None, columns={HOSTILE: HOSTILE, "b": ""}),
        entry_of(1, seed=2**63 - 1, image=Path("frames/1.jpg")),
    ]
    assert not has_manifest(tmp_path)
    assert write_manifest(tmp_path, entries, source="prompts.csv", shard=None) == tuple(entries)
    assert has_manifest(tmp_path)
    assert json.loads((tmp_path / "prompts.jsonl").read_text().splitlines()[0]) == {
        "schema": "phyt2v.prompt-set/1",
        "source": "prompts.csv",
        "shard": None,
    }
    assert list(read_manifests(tmp_path)) == entries


def test_what_an_earlier_command_rendered_into_the_folder_stays_in_the_set(tmp_path: Path) -> None:
    mechanics, optics, unrendered = entry_of(0), entry_of(5), entry_of(6)
    write_manifest(tmp_path, [mechanics, unrendered], source="p", shard=None)
    (tmp_path / mechanics.folder).mkdir()
    (tmp_path / mechanics.folder / "run.json").write_text("{}")
    assert write_manifest(tmp_path, [optics], source="p", shard=None) == (optics, mechanics)
    assert read_manifests(tmp_path) == (mechanics, optics)
    (tmp_path / "prompts.jsonl").write_text("damaged")
    assert write_manifest(tmp_path, [optics], source="p", shard=None) == (optics,)


def test_half_a_character_is_no_reason_to_fail(tmp_path: Path) -> None:
    entry = entry_of(0, id="a\ud800", columns={"\udcff": "\udcfe"})
    write_manifest(tmp_path, [entry], source="\udcff.csv", shard=None)
    assert list(read_manifests(tmp_path)) == [replace(entry, id="a?", columns={"?": "?"})]


def test_shards_are_one_set_in_the_order_of_its_rows(tmp_path: Path) -> None:
    entries = [entry_of(number) for number in range(4)]
    write_manifest(tmp_path, entries[1::2], source="p", shard=Shard(1, 2))
    write_manifest(tmp_path, [entries[2], entries[0]], source="p", shard=Shard(2, 2))
    write_manifest(tmp_path, entries[:2], source="p", shard=Shard(1, 3))  # the same, cut in another way
    assert json.loads((tmp_path / "prompts-1-of-2.jsonl").read_text().splitlines()[0])["shard"] == "1/2"
    assert list(read_manifests(tmp_path)) == entries


def test_seeds_of_a_row_are_in_their_order_however_they_are_sharded(tmp_path: Path) -> None:
    entries = [entry_of(0, seed=seed, folder=f"seed-{seed}") for seed in (0, 1, 2, 10)]
    for index, shard in enumerate((entries[1::2], entries[0::2]), start=1):
        write_manifest(tmp_path, shard, source="p", shard=Shard(index, 2))
    assert list(read_manifests(tmp_path)) == entries


def test_a_folder_without_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "prompts-1-of-x.jsonl").write_text("no name of ours")
    with pytest.raises(FilesError, match="is not the folder of a prompt set"):
        read_manifests(tmp_path)
    with pytest.raises(FilesError, match="could not be read"):
        read_manifests(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (tree_of(folder="../elsewhere"), "folder"),
        (tree_of(folder="/etc"), "folder"),
        (tree_of(folder=".."), "folder"),
        (tree_of(folder="a\0b"), "folder"),
        (tree_of(folder="a" * 256), "folder"),
        (tree_of(prompt=" "), "prompt"),
        (tree_of(prompt="a" * 10_001), "prompt"),
        (tree_of(seed=-1), "seed"),
        (tree_of(row="0"), "row"),
        (tree_of(columns={"a": 1}), "columns.a"),
        ({"prompt": "a ball"}, "id: Field required"),
        ([], "line 2"),
    ],
)
def test_an_entry_that_cannot_be_is_named_with_its_line(tmp_path: Path, entry: object, fault: str) -> None:
    path = write(tmp_path, entry)
    with pytest.raises(FilesError) as refused:
        read_manifests(tmp_path)
    assert str(path) in refused.value.message
    assert "line 2" in refused.value.message
    assert fault in refused.value.message


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, head={"schema": "phyt2v.prompt-set/9", "source": "p", "shard": None})
    with pytest.raises(FilesError, match=r"prompts\.jsonl is no manifest of a prompt set: line 1: schema"):
        read_manifests(tmp_path)
    path.write_bytes(b"\xff\xfe\0")
    with pytest.raises(FilesError, match="line 1"):
        read_manifests(tmp_path)
    path.write_text("")
    with pytest.raises(FilesError, match="it is empty"):
        read_manifests(tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FilesError, match="not a plain file"):
        read_manifests(tmp_path)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\nb", "a\ud800", "é" * 128])
def test_these_are_no_plain_names(name: str) -> None:
    assert not is_plain_name(name)


def test_these_are_plain_names() -> None:
    assert is_plain_name("a ball, é.mp4")
