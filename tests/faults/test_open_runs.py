"""A prompt set with many open runs that is stopped, killed or disturbed, and then goes on."""

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from phyt2v_cli.files.lock import lock_folder
from phyt2v_cli.refinement.render import another_seed
from tests.command_line import assignments
from tests.faults.processes import Doubled, end, outcome, read_record, wait_until
from tests.scripted_server import ScriptedServer, answer_of_any_task, answer_with, drop, either

QUICK = ("--rounds", "1", "--min", "3", "--max", "6")
NUM_PROMPTS = 6


@pytest.fixture
def doubled(tmp_path: Path) -> Doubled:
    """The command line with doubles, logging beside the set."""
    return Doubled(tmp_path)


@pytest.fixture
def batch(tmp_path: Path) -> tuple[str | Path, ...]:
    """The words of a command that refines a set of six prompts."""
    (tmp_path / "set.txt").write_text("".join(f"ball {n} drops\n" for n in range(NUM_PROMPTS)))
    return ("batch", tmp_path / "set.txt", *QUICK, "--out", tmp_path / "set")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the same set leaves behind if nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "set.txt").write_text("".join(f"ball {n} drops\n" for n in range(NUM_PROMPTS)))
    ended = Doubled(folder).run("batch", folder / "set.txt", *QUICK, "--out", folder / "set")
    assert ended.code == 0, ended.err
    return outcomes(folder / "set")


def outcomes(batch_dir: Path) -> dict[str, Any]:
    runs = {path.parent.name: outcome(path.parent) for path in batch_dir.glob("*/run.json")}
    for files in runs.values():
        del files["run.json"]["usage"]  # a reply that was lost was asked for twice
    return runs


def statuses(batch_dir: Path) -> list[str]:
    return sorted(read_record(path.parent, "run.json")["status"] for path in batch_dir.glob("*/run.json"))


def goes_on(doubled: Doubled, batch: tuple[str | Path, ...], undisturbed: dict[str, Any]) -> None:
    resumed = doubled.run(*batch)
    assert resumed.code == 0, resumed.err
    assert len(resumed.out.splitlines()) == NUM_PROMPTS
    assert outcomes(Path(batch[-1])) == undisturbed


SILENT = [f"mismatch:{n}" for n in range(1, NUM_PROMPTS + 1)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_fault_09_10_a_set_is_stopped_while_a_server_is_silent_to_all(
    number: int, code: int, doubled: Doubled, batch: tuple[str | Path, ...], undisturbed: dict[str, Any]
) -> None:
    process = doubled.start(*batch, script={"hang": SILENT})
    for call in SILENT:
        doubled.wait_for(f"{call} hangs")
    start = time.monotonic()
    process.send_signal(number)
    stopped = end(process)
    assert (stopped.code, stopped.out) == (code, "")
    assert time.monotonic() - start < 30
    assert f"0 of {NUM_PROMPTS} prompts are complete." in stopped.err
    assert stopped.err.count("error: ") == 1
    denoised = doubled.count("denoise")
    goes_on(doubled, batch, undisturbed)
    assert doubled.count("denoise") - denoised == NUM_PROMPTS, "no draft was rendered again"


def test_fault_09_a_set_is_stopped_while_one_renders_and_the_others_are_away(
    doubled: Doubled, batch: tuple[str | Path, ...], undisturbed: dict[str, Any]
) -> None:
    away = SILENT[: NUM_PROMPTS - 1]
    # The drafts have three steps each, so this is the second step of the last draft.
    in_last = f"step:{3 * NUM_PROMPTS - 1}"
    process = doubled.start(*batch, script={"hang": [*away, in_last]})
    doubled.wait_for(f"{in_last} hangs")  # some may still wait to be decoded
    process.send_signal(signal.SIGINT)
    doubled.let_go_on(in_last)  # and hears of it after the step
    stopped = end(process)
    assert (stopped.code, stopped.out) == (130, "")
    goes_on(doubled, batch, undisturbed)


@pytest.mark.slow
def test_fault_09_a_second_signal_ends_a_set_at_once(
    doubled: Doubled, batch: tuple[str | Path, ...], undisturbed: dict[str, Any]
) -> None:
    process = doubled.start(*batch, script={"hang": SILENT, "grace_s": 600})
    for call in SILENT:
        doubled.wait_for(f"{call} hangs")
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)  # else they are one
    stopped = end(process)
    assert stopped.code == 130
    goes_on(doubled, batch, undisturbed)


@pytest.mark.slow
def test_fault_12_one_run_of_a_set_is_in_use(
    doubled: Doubled, batch: tuple[str | Path, ...], undisturbed: dict[str, Any]
) -> None:
    runs = [
        Path(run["run_dir"]) for run in json.loads(doubled.run(*batch, "--dry-run", "--json").out)["runs"]
    ]
    runs[2].mkdir(parents=True)
    lock = lock_folder(runs[2])
    ended = doubled.run_apart(*batch)
    lock.release()
    assert ended.code == 5
    assert len(ended.out.splitlines()) == NUM_PROMPTS - 1
    (line,) = [line for line in ended.err.splitlines() if line.startswith("error: prompt 3 (line 3): ")]
    assert "in use by process" in line
    goes_on(doubled, batch, undisturbed)


@pytest.mark.slow
def test_fault_54_the_disk_fills_while_many_runs_are_open(
    doubled: Doubled, batch: tuple[str | Path, ...], undisturbed: dict[str, Any]
) -> None:
    ended = doubled.run_apart(*batch, script={"fill": "decode:4", "only": "output"})
    assert ended.code in (3, 5)
    assert "the disk is full" in ended.err
    for path in Path(batch[-1]).rglob("*"):
        if path.is_symlink():
            path.unlink()  # what stands for a full disk
    goes_on(doubled, batch, undisturbed)


@pytest.mark.slow
def test_fail_fast_does_not_wait_for_what_is_silent(
    tmp_path: Path, doubled: Doubled, batch: tuple[str | Path, ...]
) -> None:
    entries = [{"prompt": f"ball {n} drops", "seed": 7 if n == 2 else n} for n in range(NUM_PROMPTS)]
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    command = ("batch", tmp_path / "set.jsonl", *batch[2:], "--open-runs", "3", "--fail-fast", "--json")
    black = {str(seed): "black" for seed in (7, another_seed(7))}
    ended = doubled.run_apart(*command, script={"hang": SILENT, "frames": black})
    assert ended.code == 5, ended.err
    statuses = [run["status"] for run in json.loads(ended.out)["runs"]]
    assert statuses == ["interrupted", "interrupted", "failed", "not_begun", "not_begun", "not_begun"]
    assert f"1 of {NUM_PROMPTS} prompts failed, 5 were not done" in ended.err
    mended = doubled.run(*command)
    assert mended.code == 0, mended.err
    assert {run["status"] for run in json.loads(mended.out)["runs"]} == {"complete"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fault_01_a_set_that_is_killed_again_and_again(
    seed: int, doubled: Doubled, batch: tuple[str | Path, ...], undisturbed: dict[str, Any]
) -> None:
    chance = random.Random(seed)
    calls = ["denoise", "decode", "caption", "score", "mismatch", "refinement", "step"]
    for _ in range(3):
        done = len(doubled.calls())
        here = f"{chance.choice(calls)}:{chance.randint(1, 5)}"
        process = doubled.start(*batch, script={"hang": [here]})
        wait_until(
            lambda done=done, here=here, process=process: (
                f"{here} hangs" in doubled.calls()[done:] or process.poll() is not None
            ),
            here,
        )
        time.sleep(chance.random() * 0.05)  # others still work
        process.kill()
        process.communicate()
    goes_on(doubled, batch, undisturbed)


@pytest.mark.slow
@pytest.mark.usefixtures("loopback")
def test_a_judge_that_dies_in_the_middle_of_a_set(doubled: Doubled, batch: tuple[str | Path, ...]) -> None:
    left = [9]

    def is_alive(_: object) -> bool:
        left[0] -= 1
        return left[0] >= 0

    llm = answer_with(answer_of_any_task)
    with ScriptedServer(either(is_alive, llm, drop)) as server:
        words = assignments(
            {"llm.backend": "openai", "llm.model": "m", "llm.base_url": server.url, "llm.max_retries": 0}
        )
        words += assignments({"captioner.backend": "tracker", "scorer.backend": "tracker"})
        failed = doubled.run(*batch, *words, script={"real_judges": True})
        assert failed.code == 5, failed.err
        num_failed = failed.err.count("error: prompt ")
        assert statuses(Path(batch[-1])).count("failed") == num_failed > 0
        left[0] = 10**6
        mended = doubled.run(*batch, *words, script={"real_judges": True})
        assert (mended.code, len(mended.out.splitlines())) == (0, NUM_PROMPTS), mended.err
    assert set(statuses(Path(batch[-1]))) == {"complete"}
