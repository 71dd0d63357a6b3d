"""The run directory: whose it is, who holds it, and what may be trusted in it."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyt2v_cli.errors import FilesError, RunDirError
from phyt2v_cli.identity import list_differences, run_key, slugify
from phyt2v_cli.records import RoundRecord
from phyt2v_cli.run_dir import RunDir, default_run_dir
from phyt2v_cli.settings import Config
from tests.doubles import PROMPT, Cast, make_config, open_run, run_through

HOLD = """
import sys, time
from pathlib import Path
from tests.doubles import open_run
with open_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("prompt", "slug"),
    [
        ("A red ball, dropped!", "a-red-ball-dropped"),
        ("../../x", "x"),
        ("/etc/passwd", "etc-passwd"),
        ("\0", "prompt"),
        ("", "prompt"),
        ("…", "prompt"),
        ("红球落下", "红球落下"),
        ("x" * 5000, "x" * 40),
    ],
)
def test_fault_41_slugs(prompt: str, slug: str) -> None:
    assert slugify(prompt) == slug


@given(st.text())
def test_fault_41_any_prompt_gives_one_plain_folder_name(prompt: str) -> None:
    path = default_run_dir(prompt, Config())
    assert path.parent == Path("runs")
    assert path.name not in (".", "..")
    assert path.name.replace("-", "").isalnum()
    assert len(path.name.encode()) <= 49


def test_fault_42_the_digits_tell_runs_apart() -> None:
    base = make_config()
    assert run_key(PROMPT, base) == run_key(PROMPT, make_config())
    assert run_key(PROMPT, base) != run_key(PROMPT + ".", base)
    assert run_key(PROMPT, base) != run_key(PROMPT, make_config(rounds=3))
    assert run_key(PROMPT, base) != run_key(PROMPT, make_config(seed=1))
    # Where it runs and which video is picked changes neither prompts nor pixels.
    assert run_key(PROMPT, base) == run_key(PROMPT, make_config(control=True, select="best"))
    on_gpu = Config.model_validate({**base.model_dump(), "generator": {"device": "cuda"}})
    assert run_key(PROMPT, base) == run_key(PROMPT, on_gpu)


def test_settings_that_a_file_does_not_know_are_the_defaults() -> None:
    config = make_config()
    old = config.model_dump(mode="json")
    del old["refinement"]["stop_score"]
    assert list_differences(PROMPT, config, PROMPT, old) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)
)


@given(st.text(), st.dictionaries(st.text(min_size=1).map(lambda key: "x-" + key), json_values))
def test_records_survive_their_own_json_with_unknown_keys(prompt: str, unknown: dict[str, object]) -> None:
    known = {
        "round": 1,
        "prompt": prompt,
        "steps": 3,
        "purpose": "draft",
        "seed": 0,
        "video": "output1.mp4",
        "run_key": "k",
    }
    record = RoundRecord.model_validate({**known, **unknown})
    again = RoundRecord.model_validate_json(record.model_dump_json())
    assert again == record
    assert json.loads(again.model_dump_json()).items() >= unknown.items()


def test_fault_12_and_13_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "run"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunDirError, match=f"process {holder.pid} on {socket.gethostname()}") as caught:
            open_run(path)
        assert caught.value.exit_code == 3
        with pytest.raises(RunDirError, match="in use"):
            RunDir.resume(path)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with open_run(path) as run:
        assert run.record.prompt == PROMPT


def test_the_same_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    with open_run(tmp_path / "run"), pytest.raises(RunDirError, match=f"process {os.getpid()}"):
        open_run(tmp_path / "run")
    open_run(tmp_path / "run").close()


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


def test_force_starts_a_complete_run_anew_but_goes_on_with_an_unfinished_one(tmp_path: Path) -> None:
    path = tmp_path / "run"
    open_run(path, make_config(rounds=1)).close()
    open_run(path, make_config(rounds=1), force=True).close()
    assert not (tmp_path / "run.old-1").exists()
    run_through(path, make_config(rounds=1))
    open_run(path, make_config(rounds=1), force=True).close()
    assert (tmp_path / "run.old-1" / "output2.mp4").exists()


def test_a_run_that_nothing_came_of_makes_way(tmp_path: Path) -> None:
    open_run(tmp_path / "run", make_config(rounds=1)).close()
    with open_run(tmp_path / "run", make_config(rounds=2)) as run:
        assert run.config.refinement.rounds == 2


def test_fault_21_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    open_run(path).close()
    newer = (path / "run.json").read_text().replace("phyt2v.run/1", "phyt2v.run/2")
    (path / "run.json").write_text(newer)
    for attempt in (lambda: open_run(path), lambda: RunDir.resume(path)):
        with pytest.raises(RunDirError, match=r"phyt2v\.run/2"):
            attempt()
    assert (path / "run.json").read_text() == newer
    open_run(path, force=True).close()
    assert (tmp_path / "run.old-1" / "run.json").read_text() == newer


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    for name in ("notes.txt", "run.json"):
        path = tmp_path / name.partition(".")[0]
        path.mkdir()
        (path / name).write_text('{"mine": true}')
        for force in (False, True):
            with pytest.raises(RunDirError, match="not empty"):
                open_run(path, force=force)
        with pytest.raises(RunDirError, match="no run directory"):
            RunDir.resume(path)
        assert [entry.name for entry in path.iterdir()] == [name]


def test_fault_41_symlinks_and_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(RunDirError, match="symbolic link"):
        open_run(tmp_path / "link")
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunDirError, match="is a file"):
        open_run(tmp_path / "file")


def test_fault_16_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FilesError):
        open_run(tmp_path / "file" / "run")
    with pytest.raises(FilesError):
        open_run(Path("/proc/phyt2v/run"))


def test_fault_15_disk_full_while_writing_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_run(tmp_path / "run") as run:
        before = (run.path / "run.json").read_bytes()
        write_text = Path.write_text

        def fill_up(self: Path, *args: str, **kwargs: str) -> int:
            self.symlink_to("/dev/full")
            return write_text(self, *args, **kwargs)

        run.record.status = "failed"
        with monkeypatch.context() as patch, pytest.raises(FilesError, match="disk is full"):
            patch.setattr(Path, "write_text", fill_up)
            run.save()
        assert (run.path / "run.json").read_bytes() == before
        run.save()


def test_resume_needs_no_command(tmp_path: Path) -> None:
    path = tmp_path / "run"
    open_run(path, make_config(rounds=1)).close()
    with RunDir.resume(path) as run:
        assert (run.record.prompt, run.config) == (PROMPT, make_config(rounds=1))
    (path / "run.json").write_text("{")
    with pytest.raises(RunDirError, match="repeat its command"):
        RunDir.resume(path)
    with pytest.raises(RunDirError, match="no run directory"):
        RunDir.resume(tmp_path / "nowhere")


def test_rounds_of_another_run_are_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1))
    (path / "run.json").write_text("")
    with pytest.raises(RunDirError, match="another prompt or config"):
        open_run(path, make_config(rounds=1, seed=5))
    cast = Cast()
    run_through(path, make_config(rounds=1), cast)
    assert cast.llm.tasks() == ["analysis"]


def test_an_enormous_record_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=0))
    with (path / "round1.json").open("r+b") as file:
        file.truncate(10**9)
    with open_run(path, make_config(rounds=0)) as run:
        assert run.read_round(1) is None
        assert (path / "round1.json.broken-1").exists()


def test_a_record_cannot_point_outside(tmp_path: Path) -> None:
    with open_run(tmp_path / "run") as run:
        fields = {"prompt": "x", "steps": 1, "purpose": "draft", "seed": 0, "run_key": run.key}
        for video in ("../../etc/passwd", "/etc/passwd", "..", "run.json", "output2.mp4", ""):
            path = run.path / "round1.json"
            path.write_text(json.dumps({**fields, "round": 1, "video": video}))
            assert run.read_round(1) is None
            assert not path.exists()
