"""Videos and records that a crash, a disk or a person damaged: found, kept aside, and made again."""

import json
import os
import shutil
from pathlib import Path

import pytest

from phyt2v_cli.errors import RunDirError, VideoError
from phyt2v_cli.events import Notice
from phyt2v_cli.files.video import VideoMetadata, read_frames
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.testing.fakes import FakeRoles
from tests.fake_runs import make_config, open_run, run_through
from tests.faults.processes import QUICK, Doubled, outcome, read_record


def made_again(path: Path, whole: Path) -> FakeRoles:
    """Finish a run whose first video is damaged; only that video may cost anything."""
    cast = FakeRoles()
    run_through(path, make_config(rounds=1), cast)
    assert [steps for _, _, steps in cast.generator.denoised] == [3]
    assert not cast.llm.requests
    assert (cast.captioner.calls, cast.scorer.calls) == (
        0,
        [],
    )  # the same bytes, so what was seen in them holds
    assert any(isinstance(event, Notice) and "output1.mp4" in event.text for event in cast.events)
    assert outcome(path) == outcome(whole)
    return cast


@pytest.mark.parametrize("recorded", [True, False])
def test_fault_17_a_video_without_its_index(recorded: bool, tmp_path: Path, uninterrupted: Path) -> None:
    path = shutil.copytree(uninterrupted, tmp_path / "run")
    video = path / "output1.mp4"
    whole = video.read_bytes()
    video.write_bytes(whole[: whole.index(b"moov") - 4])
    with pytest.raises(VideoError, match="cut short"):
        read_frames(video)
    if not recorded:  # found by decoding, not by its checksum
        record = read_record(path, "round1.json")
        (path / "round1.json").write_text(json.dumps({**record, "sha256": None}))
        cast = FakeRoles()
        run_through(path, make_config(rounds=1), cast)
        assert len(cast.generator.denoised) == 1
        return
    made_again(path, uninterrupted)
    assert (path / "output1.mp4.broken-1").exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_fault_18_a_video_cut_short(share: float, tmp_path: Path, uninterrupted: Path) -> None:
    path = shutil.copytree(uninterrupted, tmp_path / "run")
    video = path / "output1.mp4"
    whole = video.read_bytes()
    video.write_bytes(whole[: int(len(whole) * share)])
    if share < 0.99:  # beyond, only metadata are lost, which the checksum tells
        with pytest.raises(VideoError):
            read_frames(video)
    made_again(path, uninterrupted)
    assert (path / "output1.mp4.broken-1").stat().st_size == int(len(whole) * share)


@pytest.mark.parametrize("place", [0.2, 0.5, 0.95])
def test_fault_19_one_bit_flipped(place: float, tmp_path: Path, uninterrupted: Path) -> None:
    path = shutil.copytree(uninterrupted, tmp_path / "run")
    video = path / "output1.mp4"
    content = bytearray(video.read_bytes())
    content[int(len(content) * place)] ^= 1
    video.write_bytes(content)
    made_again(path, uninterrupted)
    assert (path / "output1.mp4.broken-1").read_bytes() == content


def test_fault_19_a_video_that_is_gone_or_no_file(tmp_path: Path, uninterrupted: Path) -> None:
    for damage in ("gone", "folder", "pipe", "dangling link"):
        path = shutil.copytree(uninterrupted, tmp_path / damage)
        video = path / "output1.mp4"
        video.unlink()
        if damage == "folder":
            video.mkdir()
        if damage == "pipe":
            os.mkfifo(video)
        if damage == "dangling link":
            video.symlink_to(tmp_path / "nowhere")
        made_again(path, uninterrupted)


def test_latents_that_are_damaged_are_denoised_again(tmp_path: Path, uninterrupted: Path) -> None:
    from tests.faults.test_kills import kill

    kill(tmp_path / "run", "decode:1")
    whole = (tmp_path / "run" / "latents1.safetensors").read_bytes()
    for name, damaged in (
        ("cut", whole[:-9]),
        ("flipped", whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]),
        ("empty", b""),
        ("huge header", (2**62).to_bytes(8, "little") + whole[8:]),
    ):
        path = shutil.copytree(tmp_path / "run", tmp_path / name)
        (path / "latents1.safetensors").write_bytes(damaged)
        cast = FakeRoles()
        run_through(path, make_config(rounds=1), cast)
        assert len(cast.generator.denoised) == 2
        assert outcome(path) == outcome(uninterrupted)


BROKEN = [b"", b"{", b"null", b'{"round": 1}', b"\xff\xfe", b"[" * 100_000]


@pytest.mark.parametrize("content", BROKEN)
@pytest.mark.parametrize("name", ["run.json", "round1.json", "round2.json"])
def test_fault_20_a_broken_record_is_rebuilt(
    name: str, content: bytes, tmp_path: Path, uninterrupted: Path
) -> None:
    path = shutil.copytree(uninterrupted, tmp_path / "run")
    (path / name).write_bytes(content)
    cast = FakeRoles()
    run_through(path, make_config(rounds=1), cast)
    assert not cast.generator.denoised  # the video says what it is
    assert (path / f"{name}.broken-1").read_bytes() == content
    assert any(isinstance(event, Notice) and name in event.text for event in cast.events)
    rebuilt, whole = outcome(path), outcome(uninterrupted)
    if name != "run.json":  # how the model ran is not in the video
        for records in (rebuilt, whole):
            records[name].pop("generator")
    # The analysis or the mismatch was asked for again; what run.json had counted is lost with it.
    usage = [records["run.json"].pop("usage") for records in (rebuilt, whole)]
    asked = {"run.json": 1, "round1.json": 4, "round2.json": 3}
    assert [each["requests"] for each in usage] == [asked[name], 3]
    assert rebuilt == whole


def test_fault_20_is_said_on_the_command_line(tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "run"
    assert doubled.run(*QUICK, "--out", path).code == 0
    (path / "round1.json").write_text("{")
    mended = doubled.run(*QUICK, "--out", path)
    assert mended.code == 0
    assert "note: round1.json is empty or broken; kept as round1.json.broken-1" in mended.err
    assert doubled.count("denoise") == 2


def test_fault_21_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    open_run(path).close()
    newer = (path / "run.json").read_text().replace("phyt2v.run/2", "phyt2v.run/3")
    (path / "run.json").write_text(newer)
    for attempt in (lambda: open_run(path), lambda: RunDir.resume(path)):
        with pytest.raises(RunDirError, match=r"phyt2v\.run/3.*upgrade phyt2v") as caught:
            attempt()
        assert caught.value.exit_code == 3
    assert (path / "run.json").read_text() == newer
    open_run(path, force=True).close()
    assert (tmp_path / "run.old-1" / "run.json").read_text() == newer


def test_fault_22_another_prompt_or_config_is_refused_with_the_difference(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1))
    before = sorted(entry.name for entry in path.iterdir())
    with pytest.raises(RunDirError, match=r"refinement\.rounds: 1 -> 2"):
        open_run(path, make_config(rounds=2))
    with pytest.raises(RunDirError, match='prompt: "a red ball drops" -> "another"'):
        open_run(path, make_config(rounds=1), prompt="another")
    assert sorted(entry.name for entry in path.iterdir()) == before
    with open_run(path, make_config(rounds=2), force=True) as run:
        assert "run.old-1" in run.notices[0]
        assert run.record.analysis is None
    assert {*before} == {entry.name for entry in (tmp_path / "run.old-1").iterdir()}


def test_fault_22_on_the_command_line(tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "run"
    assert doubled.run(*QUICK, "--out", path).code == 0
    refused = doubled.run(*QUICK, "--seed", "3", "--out", path)
    assert (refused.code, refused.out) == (3, "")
    assert "run.seed: 0 -> 3" in refused.err
    assert "--force" in refused.err
    assert doubled.run(*QUICK, "--seed", "3", "--out", path, "--force").code == 0
    assert (tmp_path / "run.old-1" / "output2.mp4").exists()


def test_fault_17_a_video_without_checksum_is_taken_over_if_it_is_the_right_one(
    tmp_path: Path, uninterrupted: Path
) -> None:
    for made_from, costs in ((None, 0), (VideoMetadata("another", 0, 3, 1), 1)):
        path = shutil.copytree(uninterrupted, tmp_path / str(costs))
        record = read_record(path, "round1.json")
        (path / "round1.json").write_text(json.dumps({**record, "sha256": None}))
        if made_from is not None:
            (path / "output1.mp4").write_bytes((path / "output2.mp4").read_bytes())
        cast = FakeRoles()
        run_through(path, make_config(rounds=1), cast)
        assert len(cast.generator.denoised) == costs
        assert outcome(path) == outcome(uninterrupted)


def test_fault_21_a_newer_record_of_a_video_is_refused_and_one_without_schema_read(
    tmp_path: Path, uninterrupted: Path
) -> None:
    path = shutil.copytree(uninterrupted, tmp_path / "run")
    record = path / "round1.json"
    newer = record.read_text().replace("phyt2v.run-video/1", "phyt2v.run-video/2")
    record.write_text(newer)
    with pytest.raises(RunDirError, match=r"phyt2v\.run-video/2.*upgrade phyt2v"):
        run_through(path, make_config(rounds=1))
    assert record.read_text() == newer
    without = json.loads(newer)
    del without["schema"]
    record.write_text(json.dumps(without))
    cast = FakeRoles()
    run_through(path, make_config(rounds=1), cast)
    assert not cast.worked()
