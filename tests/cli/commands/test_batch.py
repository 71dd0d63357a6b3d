"""`phyt2v batch` with torch-free doubles; once on the embedded model."""

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from phyt2v_cli import backends
from phyt2v_cli.cli.app import app
from phyt2v_cli.cli.batch import running
from phyt2v_cli.config.layers import load_config
from phyt2v_cli.refinement.render import another_seed
from phyt2v_cli.report import contact_sheet
from phyt2v_cli.runs.directory import RunDir
from phyt2v_cli.timing import speeds
from tests.cli.commands.test_unusable_paths import without_privilege
from tests.faults.processes import PATIENCE_S, Doubled, end, read_record

QUICK = ("batch", "--rounds", "1", "--min", "3", "--max", "6")
IN_ORDER = ("--open-runs", "1")
BLACK = {"frames": {str(seed): "black" for seed in (7, another_seed(7))}}
"""Whatever is rendered with seed 7 fails."""


@pytest.fixture
def doubled(tmp_path: Path) -> Doubled:
    """The command line with doubles, logging beside the set."""
    return Doubled(tmp_path)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A set of three prompts, the second with a seed of its own."""
    path = tmp_path / "three.csv"
    path.write_text("prompt,seed\na ball,\na cube,7\na balloon,\n")
    return path


def runs_of(out: str) -> list[Path]:
    return [Path(line).parent for line in out.splitlines()]


def test_a_set_is_rendered_with_one_load_and_then_left_alone(
    three: Path, tmp_path: Path, doubled: Doubled
) -> None:
    first = doubled.run(*QUICK, three, cwd=tmp_path)
    assert first.code == 0, first.err
    (batch_dir,) = (tmp_path / "batches").iterdir()
    assert batch_dir.name.startswith("three-")
    prompts = {read_record(tmp_path / run, "run.json")["prompt"] for run in runs_of(first.out)}
    assert prompts == {"a ball", "a cube", "a balloon"}
    assert all((tmp_path / line).is_file() for line in first.out.splitlines())
    assert (doubled.count("load"), doubled.count("denoise")) == (1, 6)
    assert "Prompt 2 of 3: SA 0.50, PC 0.50: a cube" in first.err
    assert first.err.count("complete") == 3
    assert "\x1b" not in first.err

    calls = doubled.calls()
    again = doubled.run(*QUICK, three, cwd=tmp_path)
    assert (again.code, sorted(again.out.splitlines())) == (0, sorted(first.out.splitlines()))
    assert "3 prompts, 3 complete already" in again.err
    assert "Round" not in again.err
    assert doubled.calls() == calls


def test_a_set_that_grows_keeps_its_runs(three: Path, tmp_path: Path, doubled: Doubled) -> None:
    first = doubled.run(*QUICK, three, cwd=tmp_path)
    three.write_text("prompt,seed\na ramp,\n" + three.read_text().partition("\n")[2])
    grown = doubled.run(*QUICK, three, cwd=tmp_path)
    assert grown.code == 0, grown.err
    assert set(first.out.splitlines()) < set(grown.out.splitlines())
    assert doubled.count("denoise") == 8


def test_a_prompt_that_fails_leaves_the_others_alone(three: Path, tmp_path: Path, doubled: Doubled) -> None:
    failed = doubled.run(*QUICK, three, "--out", tmp_path / "set", script=BLACK)
    assert failed.code == 5
    assert len(failed.out.splitlines()) == 2
    assert "error: prompt 2 (line 3): output1.mp4:" in failed.err
    assert failed.err.splitlines()[-2:] == [
        "error: 1 of 3 prompts failed",
        "hint: The same command tries again what is not complete.",
    ]
    assert [line.split()[-1] for line in failed.err.splitlines()[-5:-2]] == ["complete", "failed", "complete"]
    mended = doubled.run(*QUICK, three, "--out", tmp_path / "set")
    assert (mended.code, len(mended.out.splitlines())) == (0, 3)
    assert "3 prompts, 2 complete already" in mended.err
    assert doubled.count("denoise") == 2 + 2 + 2 + 2


def test_fail_fast_ends_the_set(three: Path, tmp_path: Path, doubled: Doubled) -> None:
    failed = doubled.run(
        *QUICK, three, "--out", tmp_path / "set", *IN_ORDER, "--fail-fast", "--json", script=BLACK
    )
    assert failed.code == 5
    assert "1 of 3 prompts failed, 1 were not done" in failed.err
    told = json.loads(failed.out)
    assert (told["schema"], told["status"]) == ("phyt2v.batch/1", "failed")
    assert [run["status"] for run in told["runs"]] == ["complete", "failed", "not_begun"]
    assert doubled.count("denoise") == 2 + 2


@pytest.mark.parametrize("as_json", [False, True])
def test_fail_fast_tells_of_what_ends_meanwhile(
    as_json: bool, three: Path, tmp_path: Path, doubled: Doubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    ball_is_done, cube_has_failed = threading.Event(), threading.Event()
    open_run, tell_error = RunDir.open, running.tell_error

    def open_cube_last(path: Path, *, prompt: str, **rest: Any) -> RunDir:
        assert prompt != "a cube" or ball_is_done.wait(PATIENCE_S)
        return open_run(path, prompt=prompt, **rest)

    def draw_until_cube_has_failed(*_: object) -> None:
        ball_is_done.set()
        assert cube_has_failed.wait(PATIENCE_S)

    def tell(*told: Any) -> None:
        tell_error(*told)
        cube_has_failed.set()

    monkeypatch.setattr(RunDir, "open", open_cube_last)
    monkeypatch.setattr(contact_sheet, "draw_if_possible", draw_until_cube_has_failed)
    monkeypatch.setattr(running, "tell_error", tell)
    options = ("--open-runs", "2", "--fail-fast", *["--json"] * as_json)
    failed = doubled.run(*QUICK, three, "--out", tmp_path / "set", *options, script=BLACK)
    assert failed.code == 5
    assert "1 of 3 prompts failed, 1 were not done" in failed.err
    if as_json:
        statuses = [run["status"] for run in json.loads(failed.out)["runs"]]
        assert statuses == ["complete", "failed", "not_begun"]
    else:
        (line,) = failed.out.splitlines()
        assert read_record(Path(line).parent, "run.json")["prompt"] == "a ball"


def test_json_names_every_prompt_and_what_came_of_it(three: Path, tmp_path: Path, doubled: Doubled) -> None:
    three.write_text("prompt,seed,id\na ball,,b-1\na cube,7,\n")
    told = json.loads(
        doubled.run(*QUICK, three, "--out", tmp_path / "set", "--seed", "5", "--json", script=BLACK).out
    )
    assert told["batch_dir"] == str(tmp_path / "set")
    ball, cube = told["runs"]
    assert (ball["id"], ball["line"], ball["prompt"], ball["seed"]) == ("b-1", 2, "a ball", 5)
    assert ball["result"]["video"] == f"{ball['run_dir']}/output2.mp4"
    assert ball["result"]["scores"] == {"semantic_adherence": 0.5, "physical_commonsense": 0.5}
    assert (ball["status"], ball["error"]) == ("complete", None)
    assert (cube["id"], cube["line"], cube["seed"], cube["status"]) == (None, 3, 7, "failed")
    assert "black" in cube["error"] or "colour" in cube["error"]
    assert cube["result"] is None


def test_standard_input(tmp_path: Path, doubled: Doubled) -> None:
    (tmp_path / "set.jsonl").write_text('{"prompt": "a ball"}\n{"prompt": "a cube"}\n')
    with (tmp_path / "set.jsonl").open() as stdin:
        ended = doubled.run_apart(*QUICK, "-", "--quiet", cwd=tmp_path, stdin=stdin)
    assert (ended.code, ended.err) == (0, "")
    assert [run.parent.name.rpartition("-")[0] for run in runs_of(ended.out)] == ["stdin", "stdin"]


def test_a_dry_run_writes_nothing(three: Path, tmp_path: Path, doubled: Doubled) -> None:
    ended = doubled.run(*QUICK, three, "--dry-run", "--json", cwd=tmp_path)
    assert ended.code == 0
    told = json.loads(ended.out)
    assert told["schema"] == "phyt2v.batch-dry-run/1"
    assert [run["status"] for run in told["runs"]] == ["to_do"] * 3
    assert "9 steps instead of 12" in ended.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["three.csv"]


def test_another_config_needs_another_folder_or_force(three: Path, tmp_path: Path, doubled: Doubled) -> None:
    first = doubled.run(*QUICK, three, "--out", tmp_path / "set")
    other = [*QUICK, three, "--out", tmp_path / "set", "--seed", "3"]
    calls = doubled.calls()
    for more in ([], ["--dry-run"], ["--rounds", "2"]):
        refused = doubled.run(*other, *more)
        assert (refused.code, refused.out) == (3, "")
    for more in ([], ["--dry-run"]):
        assert doubled.run(*other, *more).err.splitlines() == [
            # the cube has its own seed
            f"error: {tmp_path / 'set'} holds runs with other settings, of 2 of the 3 prompts:",
            "  run.seed: 0 -> 3",
            "hint: Choose another folder with --out, or move the old runs aside with --force.",
        ]
    assert doubled.calls() == calls
    forced = doubled.run(*other, "--force")
    assert (forced.code, sorted(forced.out.splitlines())) == (0, sorted(first.out.splitlines()))
    assert "complete already" not in forced.err
    assert len(list((tmp_path / "set").glob("*.old-1"))) == 3


@pytest.mark.slow
def test_fault_48_a_killed_force_does_not_begin_again(three: Path, tmp_path: Path, doubled: Doubled) -> None:
    command = (*QUICK, *IN_ORDER, three, "--out", tmp_path / "set")
    whole = doubled.run(*command)
    denoised = doubled.count("denoise")
    process = doubled.start(*command, "--force", script={"hang": ["caption:5"]})
    doubled.wait_for("caption:5 hangs")  # two of the three are done anew
    process.kill()
    process.communicate()
    dry = doubled.run(*command, "--force", "--dry-run", "--json")
    assert [run["status"] for run in json.loads(dry.out)["runs"]] == ["complete", "complete", "to_do"]
    again = doubled.run(*command, "--force")
    # Complete runs are looked through beside the third.
    assert (again.code, sorted(again.out.splitlines())) == (0, sorted(whole.out.splitlines()))
    assert doubled.count("denoise") == 2 * denoised, "nothing was rendered a third time"
    assert len(list((tmp_path / "set").glob("*.old-*"))) == 3
    assert doubled.run(*command, "--force").code == 0, "a set that is complete is begun anew"
    assert len(list((tmp_path / "set").glob("*.old-*"))) == 6


def test_a_dry_run_tells_how_long_all_takes(three: Path, tmp_path: Path, doubled: Doubled) -> None:
    command = (*QUICK, three, "--out", tmp_path / "set", "--control")
    dry = doubled.run(*command, "--dry-run", "--json")
    assert json.loads(dry.out)["expected_seconds"] is None
    assert "of rendering" not in dry.err
    speeds.keep(load_config(environment={}).config.generator, "off", 2.0, 5.0, "a test")
    dry = doubled.run(*command, "--dry-run", "--json")
    assert json.loads(dry.out)["expected_seconds"] == 3 * ((3 + 6 + 6) * 2 + 3 * 5)
    assert "and about 2m 15s of rendering:" in dry.err


def test_a_dry_run_tells_which_prompts_would_fail(three: Path, tmp_path: Path, doubled: Doubled) -> None:
    command = [*QUICK, three, "--out", tmp_path / "set"]
    told = json.loads(doubled.run(*command, "--dry-run", "--json").out)
    foreign = Path(told["runs"][1]["run_dir"])
    foreign.mkdir(parents=True)
    (foreign / "thesis.txt").write_text("mine")
    dry = doubled.run(*command, "--dry-run", "--json")
    assert dry.code == 5
    assert [run["status"] for run in json.loads(dry.out)["runs"]] == ["to_do", "refused", "to_do"]
    assert dry.err.splitlines()[-1] == "error: 1 of 3 prompts would fail"
    real = doubled.run(*command)
    assert real.code == 5
    (line,) = [line for line in dry.err.splitlines() if line.startswith("error: prompt 2 (line 3): ")]
    assert line in real.err.splitlines()
    assert json.loads(dry.out)["runs"][1]["error"] in line
    assert [path.name for path in foreign.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_a_set_in_a_folder_that_may_not_be_written_to(three: Path, tmp_path: Path, doubled: Doubled) -> None:
    command = [*QUICK, three, "--out", tmp_path / "set"]
    assert doubled.run(*command).code == 0
    (tmp_path / "set").chmod(0o555)
    for more in ([], ["--dry-run"]):
        refused = doubled.run_apart(*command, *more, preexec_fn=without_privilege)
        assert (refused.code, refused.out) == (3, "")
        error, hint = refused.err.splitlines()
        assert "set cannot be used: permission denied" in error
        assert hint == "hint: Choose another folder with --out."
    (tmp_path / "set").chmod(0o755)


STOPS = [
    (signal.SIGINT, 130),
    pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
    pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("number", "code"), STOPS)
def test_a_stopped_set_goes_on(
    number: signal.Signals, code: int, three: Path, tmp_path: Path, doubled: Doubled
) -> None:
    command = (*QUICK, *IN_ORDER, three, "--out", tmp_path / "set")
    process = doubled.start(*command, script={"hang": ["caption:3"]})
    doubled.wait_for("caption:3 hangs")
    process.send_signal(number)
    stopped = end(process)
    assert (stopped.code, len(stopped.out.splitlines())) == (code, 1)
    assert "1 of 3 prompts are complete." in stopped.err
    assert "The same command resumes it" in stopped.err.splitlines()[-1]
    resumed = doubled.run(*command)
    assert (resumed.code, len(resumed.out.splitlines())) == (0, 3)
    assert doubled.count("denoise") == 6  # none was done again


def test_a_killed_set_goes_on(three: Path, tmp_path: Path, doubled: Doubled) -> None:
    command = (*QUICK, three, "--out", tmp_path / "set")
    process = doubled.start(*command, script={"hang": ["decode:3"]})
    doubled.wait_for("decode:3 hangs")
    process.kill()
    process.communicate()
    resumed = doubled.run(*command)
    assert (resumed.code, len(resumed.out.splitlines())) == (0, 3)
    assert doubled.count("denoise") == 6


def test_a_second_process_is_refused_at_once(three: Path, tmp_path: Path, doubled: Doubled) -> None:
    command = (*QUICK, three, "--out", tmp_path / "set")
    holder = doubled.start(*command, script={"hang": ["caption:1"]})
    try:
        doubled.wait_for("caption:1 hangs")
        second = doubled.run_apart(*command)
        assert (second.code, second.out) == (3, "")
        assert f"in use by process {holder.pid}" in second.err
    finally:
        holder.kill()
        holder.communicate()


def test_results_are_printed_as_they_come(three: Path, tmp_path: Path, doubled: Doubled) -> None:
    process = doubled.start(*QUICK, three, "--out", tmp_path / "set", script={"hang": ["caption:6"]})
    assert process.stdout is not None
    assert Path(process.stdout.readline().strip()).is_file()
    process.kill()
    process.communicate()


def test_a_model_that_is_not_there_is_said_before_anything_is_written(
    three: Path, tmp_path: Path, doubled: Doubled
) -> None:
    ended = doubled.run(*QUICK, three, "--preset", "tiny", "--model", "./nowhere", cwd=tmp_path)
    assert (ended.code, ended.out) == (4, "")
    assert [path.name for path in tmp_path.iterdir()] == ["three.csv"]


def test_refine_says_that_batch_takes_several_lines(tmp_path: Path, doubled: Doubled) -> None:
    (tmp_path / "prompts.txt").write_text("a ball\na cube\n")
    ended = doubled.run("refine", *QUICK[1:], "prompts.txt", "--dry-run", cwd=tmp_path)
    assert ended.err.startswith(
        "note: the 2 lines are one prompt\nhint: `phyt2v batch` takes each line as a prompt of its own.\n"
    )
    assert (
        len(json.loads(doubled.run(*QUICK, "prompts.txt", "--dry-run", "--json", cwd=tmp_path).out)["runs"])
        == 2
    )


def test_the_embedded_model_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loads: list[Any] = []
    load = backends.load_generator

    def load_and_count(*args: Any, **kwargs: Any) -> Any:
        loads.append(kwargs["num_planned_steps"])
        return load(*args, **kwargs)

    monkeypatch.setattr(backends, "load_generator", load_and_count)
    (tmp_path / "set.txt").write_text("a red ball drops\na blue cube slides\n")
    ended = CliRunner().invoke(app, ["batch", "set.txt", "--rounds", "0", "--min", "2", "--max", "2"])
    assert ended.exit_code == 0, ended.output
    videos = ended.stdout.splitlines()
    assert len({Path(video).read_bytes() for video in videos}) == 2
    assert loads == [4]  # steps of all prompts, so that what pays off for the set is done
