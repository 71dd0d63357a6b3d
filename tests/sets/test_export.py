"""Exports: each scorer's names and index, from real run directories."""

import csv
import errno
import os
from pathlib import Path

import pytest

from phyt2v_cli.errors import FilesError, UsageError
from phyt2v_cli.roles import Scores
from phyt2v_cli.sets.export.folder import write_export
from phyt2v_cli.sets.export.names import Target, names_of
from phyt2v_cli.sets.export.plan import Plan, Which, plan_export
from phyt2v_cli.sets.manifest import write_manifest
from phyt2v_cli.sets.prompt_set import PromptEntry
from phyt2v_cli.testing.fakes import FakeRoles, FakeScorer
from tests.fake_runs import make_config, run_through
from tests.fake_sets import Pair, entry_of, make_set, render

SCORES: list[list[Pair]] = [[(0.5, 0.5), (0.2, 0.4), (0.8, 0.6)], [(0.5, 0.5), (0.6, 0.4), (0.5, None)]]


def export(batch_dir: Path, target: Target, out: Path, which: Which = "result", **options: bool) -> Plan:
    plan = plan_export(batch_dir, target, which)
    write_export(plan, out, **({"copy": False, "force": False} | options))
    return plan


def files_in(out: Path) -> set[str]:
    return {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def names(target: Target, *entries: PromptEntry) -> list[tuple[str, ...]]:
    return [naming.names for naming in names_of(target, entries)]


def test_the_plain_index_names_every_video(tmp_path: Path) -> None:
    make_set(tmp_path / "set", SCORES, [{"law": "gravity", "prompt": "long"}, {"law": "=1"}])
    out = tmp_path / "out"
    export(tmp_path / "set", "csv", out)
    assert files_in(out) == {"export.json", "index.csv", "videos/run-0.mp4", "videos/run-1.mp4"}
    assert (out / "videos" / "run-0.mp4").samefile(tmp_path / "set" / "run-0" / "output2.mp4")
    first, second = read_csv(out / "index.csv")
    assert first["video_prompt"].startswith("ball 0, version")
    assert {key: value for key, value in first.items() if key != "video_prompt"} == {
        "file": "videos/run-0.mp4",
        "prompt": "ball 0",
        "id": "p0",
        "row": "0",
        "seed": "0",
        "folder": "run-0",
        "round": "2",
        "purpose": "final",
        "steps": "6",
        "sa": "0.8",
        "pc": "0.6",
        "law": "gravity",
        "set_prompt": "long",
    }
    assert (second["pc"], second["law"], second["set_prompt"]) == ("", "=1", "")


@pytest.mark.parametrize(
    ("which", "video"), [("result", "output2.mp4"), ("first", "output1.mp4"), ("control", "control.mp4")]
)
def test_which_video_is_exported(tmp_path: Path, which: Which, video: str) -> None:
    make_set(tmp_path / "set", SCORES[:1])
    export(tmp_path / "set", "phygenbench", tmp_path / "out", which)
    exported = tmp_path / "out" / "videos" / "output_video_1.mp4"
    assert exported.samefile(tmp_path / "set" / "run-0" / video)


def test_phygenbench_counts_rows_of_the_source() -> None:
    assert names("phygenbench", entry_of(0), entry_of(159)) == [
        ("videos/output_video_1.mp4",),
        ("videos/output_video_160.mp4",),
    ]


def test_seeds_of_one_row_are_told_apart() -> None:
    entries = [entry_of(3, seed=seed, folder=f"run-{seed}") for seed in (1, 2)]
    assert names("phygenbench", *entries) == [
        ("videos/seed-1/output_video_4.mp4",),
        ("videos/seed-2/output_video_4.mp4",),
    ]
    with pytest.raises(UsageError, match=r"output_video_4\.mp4 would be of two prompts: a and b"):
        names("phygenbench", entry_of(3, folder="a"), entry_of(3, folder="b"))


def test_vbench2_is_named_after_the_prompt_and_its_seeds() -> None:
    entries = [
        entry_of(row, prompt, seed=seed, folder=f"{row}-{seed}", columns={"dimension": dimension})
        for row, prompt, dimension in (
            (0, "Garden, zoom in.", '["Mechanics", "Material"]'),
            (1, "a" * 200, "Mechanics"),
        )
        for seed in (1, 2)
    ]
    assert names("vbench2", *entries) == [
        ("videos/Mechanics/Garden, zoom in.-0.mp4", "videos/Material/Garden, zoom in.-0.mp4"),
        ("videos/Mechanics/Garden, zoom in.-1.mp4", "videos/Material/Garden, zoom in.-1.mp4"),
        (f"videos/Mechanics/{'a' * 180}-0.mp4",),
        (f"videos/Mechanics/{'a' * 180}-1.mp4",),
    ]
    assert names("vbench2", entry_of(0, "a ball")) == [("videos/a ball-0.mp4",)]


def test_vbench2_names_that_no_file_can_have_are_changed_and_noted() -> None:
    entries = [
        entry_of(0, "water / oil\x07", columns={"Dimension": "../.."}),
        entry_of(1, "é" * 180),
        entry_of(2, "é" * 179 + "e"),
        entry_of(3, ".."),
    ]
    slash, long, other, dots = names_of("vbench2", entries)
    assert slash.names == ("videos/.._../water _ oil_-0.mp4",)
    assert slash.note == "its prompt has signs that no name of a file can have"
    assert long.note == "its prompt is too long for the name of a file"
    assert long.names != other.names
    assert max(len(Path(naming.names[0]).name.encode()) for naming in (long, other)) <= 255
    assert dots.names == ("videos/__-0.mp4",)


def test_physics_iq_takes_the_names_of_its_column() -> None:
    name = "0001_perspective-left_trimmed-ball.mp4"
    assert names("physics-iq", entry_of(0, columns={"generated_video_name": name})) == [(f"videos/{name}",)]
    with pytest.raises(UsageError, match="no column generated_video_name") as refused:
        names("physics-iq", entry_of(0, columns={"scenario": "x"}))
    assert refused.value.hint == "It has: scenario."
    hostile = [
        entry_of(n, columns={"generated_video_name": bad}) for n, bad in enumerate(("../a.mp4", "a.sh", ""))
    ]
    assert [naming.fault for naming in names_of("physics-iq", hostile)] == [
        "generated_video_name names no mp4"
    ] * 3


def test_videophy2_has_captions_and_paths_that_open_from_anywhere(tmp_path: Path) -> None:
    make_set(tmp_path / "set", SCORES)
    export(tmp_path / "set", "videophy2", tmp_path / "out")
    text = (tmp_path / "out" / "videophy2.csv").read_text()
    assert text.splitlines()[0] == "caption,videopath"
    rows = read_csv(tmp_path / "out" / "videophy2.csv")
    assert [row["caption"] for row in rows] == ["ball 0", "ball 1"]
    assert all(Path(row["videopath"]).is_absolute() and Path(row["videopath"]).is_file() for row in rows)


def test_the_references_table(tmp_path: Path) -> None:
    make_set(tmp_path / "set", [*SCORES, [(0.5, 0.5), (0.1, 0.1)]])
    out = tmp_path / "out"
    export(tmp_path / "set", "phyt2v-reference", out)
    first, second, short = read_csv(out / "data_df.csv")
    assert list(first) == [
        *("index", "prompt_1", "main_object", "physical_law", "caption_1", "mismatch_1", "sa_1", "pc_1"),
        *("prompt_2", "caption_2", "mismatch_2", "sa_2", "pc_2"),
    ]
    assert (first["index"], first["prompt_1"], first["main_object"]) == ("0", "ball 0", "the ball")
    assert (first["sa_1"], first["pc_2"], second["pc_2"]) == ("0.2", "0.6", "")
    assert first["mismatch_1"].startswith("it hovers")
    assert short["prompt_2"] == ""
    assert (out / "output_videos" / "run-1" / "output2.mp4").is_file()


def test_a_single_run_can_be_exported(tmp_path: Path) -> None:
    run = render(tmp_path, entry_of(0), (0.1, 0.2), (0.3, 0.4))
    export(run, "phyt2v-reference", tmp_path / "out")
    assert files_in(tmp_path / "out") == {
        "export.json",
        "index.csv",
        "data_df.csv",
        "output_videos/output1.mp4",
        "output_videos/output2.mp4",
    }


def test_what_is_not_complete_is_left_out_and_named(tmp_path: Path) -> None:
    entries = make_set(tmp_path, [*SCORES, SCORES[0], SCORES[0], SCORES[0]])
    write_manifest(tmp_path, [*entries, entry_of(5)], source="p", shard=None)
    (tmp_path / "run-1" / "run.json").write_text("{")
    (tmp_path / "run-2" / "output2.mp4").unlink()
    secret = tmp_path / "secret"
    secret.write_text("not yours")
    (tmp_path / "run-3" / "output2.mp4").unlink()
    (tmp_path / "run-3" / "output2.mp4").symlink_to(secret)
    record = (tmp_path / "run-4" / "run.json").read_text()
    (tmp_path / "run-4" / "run.json").write_text(record.replace('"status": "complete"', '"status": "failed"'))
    plan = export(tmp_path, "phygenbench", tmp_path / "out")
    assert [(entry.folder, why.removeprefix(f"{tmp_path}/run-1/")) for entry, why in plan.left_out] == [
        ("run-1", "run.json is broken, or not of the schema phyt2v.run/2"),
        ("run-2", "output2.mp4 is missing"),
        ("run-3", "output2.mp4 is no video"),
        ("run-4", "its status is failed"),
        ("run-5", "it has not begun"),
    ]
    assert files_in(tmp_path / "out") == {"export.json", "index.csv", "videos/output_video_1.mp4"}


def test_a_set_without_controls_exports_none(tmp_path: Path) -> None:
    write_manifest(tmp_path, [entry_of(0)], source="p", shard=None)
    render(tmp_path, entry_of(0), (0.1, 0.1))
    plan = plan_export(tmp_path, "csv", "control")
    assert [why for _, why in plan.left_out] == ["it has no video that is the control"]


def test_the_same_export_is_completed(tmp_path: Path) -> None:
    batch_dir, out = tmp_path / "set", tmp_path / "out"
    entries = make_set(batch_dir, SCORES[:1])
    write_manifest(batch_dir, [*entries, entry_of(1)], source="p", shard=None)
    export(batch_dir, "csv", out)
    render(batch_dir, entry_of(1), (0.1, 0.1), (0.2, 0.2))
    written = write_export(plan_export(batch_dir, "csv", "result"), out, copy=False, force=False)
    assert (written.num_linked, written.num_kept) == (1, 1)
    assert len(read_csv(out / "index.csv")) == 2


def test_anything_else_is_refused_and_force_moves_it_aside(tmp_path: Path) -> None:
    batch_dir, out = tmp_path / "set", tmp_path / "out"
    make_set(batch_dir, SCORES)
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(FilesError, match="does not hold this export"):
        export(batch_dir, "csv", out)
    export(batch_dir, "csv", out, force=True)
    assert (tmp_path / "out.old-1" / "mine.txt").read_text() == "mine"
    for other in (("phygenbench", "result"), ("csv", "first")):
        with pytest.raises(FilesError, match="does not hold this export"):
            export(batch_dir, other[0], out, other[1])  # type: ignore[arg-type]
    (out / "videos" / "run-1.mp4").unlink()
    (out / "videos" / "run-1.mp4").write_bytes(b"changed by a scorer")
    with pytest.raises(FilesError, match=r"run-1\.mp4 is there already"):
        export(batch_dir, "csv", out)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(FilesError, match="does not hold this export"):
        export(batch_dir, "csv", file)


def test_copies_are_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_set(tmp_path / "set", SCORES[:1])
    source = tmp_path / "set" / "run-0" / "output2.mp4"
    export(tmp_path / "set", "csv", tmp_path / "copied", copy=True)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "this file system has no links")

    plan = plan_export(tmp_path / "set", "csv", "result")
    with monkeypatch.context() as patched:
        patched.setattr(os, "link", refuse)
        written = write_export(plan, tmp_path / "far", copy=False, force=False)
    assert (written.num_linked, written.num_copied) == (0, 1)
    for name in ("copied", "far"):
        copied = tmp_path / name / "videos" / "run-0.mp4"
        assert not copied.samefile(source)
        assert copied.read_bytes() == source.read_bytes()


def test_controls_are_exported_for_scorers_of_the_field(tmp_path: Path) -> None:
    entry = entry_of(0)
    write_manifest(tmp_path, [entry], source="prompts.csv", shard=None)
    scorer = FakeScorer(by_video={"control.b.mp4": Scores(0.9, 0.9)})
    config = make_config(2, controls=["blind", "best-of-n"])
    run_through(tmp_path / entry.folder, config, FakeRoles(scorer=scorer), prompt=entry.prompt)
    for which, video in (("blind", "blind.mp4"), ("best-of-n", "control.b.mp4"), ("control", "control.mp4")):
        export(tmp_path, "phygenbench", tmp_path / f"for-{which}", which)
        exported = tmp_path / f"for-{which}" / "videos" / "output_video_1.mp4"
        assert exported.samefile(tmp_path / entry.folder / video)
