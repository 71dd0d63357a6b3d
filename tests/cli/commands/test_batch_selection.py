"""`phyt2v batch` on a part of a set, or on one with entries that cannot be used; torch-free doubles."""

import json
from pathlib import Path

import pytest

from tests.faults.processes import Doubled, Ended, read_record

QUICK = ("batch", "--open-runs", "1", "--rounds", "0", "--min", "3", "--max", "3")
TOLD = [
    "error: set.jsonl has entries that cannot be used:",
    "set.jsonl:2: prompt: not a text",
    "set.jsonl:4: not JSON: Expecting value in column 10",
]


@pytest.fixture
def doubled(tmp_path: Path) -> Doubled:
    return Doubled(tmp_path)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A set of two prompts, and two lines that are none."""
    lines = ['{"prompt": "a ball"}', '{"prompt": 1}', '{"prompt": "a cube"}', '{"seed": \x1b[2J}']
    (tmp_path / "set.jsonl").write_text("\n".join(lines))
    return tmp_path


def prompts_of(ended: Ended, folder: Path) -> list[str]:
    runs = [(folder / line).parent for line in ended.out.splitlines()]
    return [read_record(run, "run.json")["prompt"] for run in runs]


def test_a_broken_line_is_named_and_the_rest_runs(broken: Path, doubled: Doubled) -> None:
    ended = doubled.run(*QUICK, "set.jsonl", cwd=broken)
    assert ended.code == 5
    assert prompts_of(ended, broken) == ["a ball", "a cube"]
    assert [line for line in ended.err.splitlines() if line in TOLD] == TOLD
    assert ended.err.splitlines()[-2:] == [
        "error: 2 entries of set.jsonl cannot be used",
        "hint: Correct the set.",
    ]
    again = doubled.run(*QUICK, "set.jsonl", "--json", cwd=broken)
    told = json.loads(again.out)
    assert (again.code, told["status"], [run["status"] for run in told["runs"]]) == (
        5,
        "failed",
        ["complete"] * 2,
    )
    assert told["faults"] == [
        {"line": 2, "error": "prompt: not a text"},
        {"line": 4, "error": "not JSON: Expecting value in column 10"},
    ]
    assert doubled.count("denoise") == 2


def test_a_dry_run_and_fail_fast_tell_it_too(broken: Path, doubled: Doubled) -> None:
    dry = doubled.run(*QUICK, "set.jsonl", "--dry-run", "--json", cwd=broken)
    assert dry.code == 5
    assert [fault["line"] for fault in json.loads(dry.out)["faults"]] == [2, 4]
    fast = doubled.run(*QUICK, "set.jsonl", "--fail-fast", cwd=broken)
    assert (fast.code, fast.out) == (5, "")
    assert fast.err.splitlines()[:3] == TOLD
    assert [path.name for path in broken.iterdir()] == ["set.jsonl"]


def test_a_set_of_broken_lines_only_is_refused(tmp_path: Path, doubled: Doubled) -> None:
    (tmp_path / "set.jsonl").write_text('{"prompt": 1}\n{"prompt": ""}\n')
    ended = doubled.run(*QUICK, "set.jsonl", cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: set.jsonl has no entry that can be used:\n")


def test_a_force_is_forgotten_though_lines_are_broken(broken: Path, doubled: Doubled) -> None:
    for _ in range(3):
        assert doubled.run(*QUICK, "set.jsonl", "--force", "--out", "out", cwd=broken).code == 5
    assert doubled.count("denoise") == 6


def test_shards_are_disjoint_and_cover_a_set_in_one_folder(tmp_path: Path, doubled: Doubled) -> None:
    (tmp_path / "set.txt").write_text("".join(f"ball {n}\n" for n in range(5)))
    done = [doubled.run(*QUICK, "set.txt", "--shard", f"{i}/2", "--out", "out", cwd=tmp_path) for i in (1, 2)]
    assert [sorted(prompts_of(ended, tmp_path)) for ended in done] == [
        ["ball 0", "ball 2", "ball 4"],
        ["ball 1", "ball 3"],
    ]
    whole = doubled.run(*QUICK, "set.txt", "--out", "out", cwd=tmp_path)
    assert "5 prompts, 5 complete already" in whole.err
    assert doubled.count("denoise") == 5
    locks = {path.name for path in (tmp_path / "out").glob(".phyt2v-batch*.lock")}
    assert locks == {".phyt2v-batch.lock", ".phyt2v-batch-1-of-2.lock", ".phyt2v-batch-2-of-2.lock"}


@pytest.mark.slow
def test_shards_work_at_the_same_time(tmp_path: Path, doubled: Doubled) -> None:
    (tmp_path / "set.txt").write_text("ball 0\nball 1\n")
    command = (*QUICK, "set.txt", "--out", "out")
    holder = doubled.start(*command, "--shard", "1/2", cwd=tmp_path, script={"hang": ["caption:1"]})
    try:
        doubled.wait_for("caption:1 hangs")
        assert doubled.run(*command, "--shard", "2/2", cwd=tmp_path).code == 0
        refused = doubled.run(*command, "--shard", "1/2", cwd=tmp_path)
        assert refused.code == 3
        assert f"in use by process {holder.pid}" in refused.err
    finally:
        holder.kill()
        holder.communicate()


def test_a_shard_without_prompts_has_nothing_to_do(tmp_path: Path, doubled: Doubled) -> None:
    (tmp_path / "set.txt").write_text("a ball\n")
    for more in ([], ["--dry-run"]):
        ended = doubled.run(*QUICK, "set.txt", "--shard", "3/4", "--json", *more, cwd=tmp_path)
        assert (ended.code, json.loads(ended.out)["runs"]) == (0, [])


def test_each_prompt_runs_once_with_each_seed(tmp_path: Path, doubled: Doubled) -> None:
    (tmp_path / "set.csv").write_text("caption,kind,seed\na ball,x,9\na cube,y,9\na ball,x,9\na star,x,9\n")
    ended = doubled.run(
        *(*QUICK, "set.csv", "--where", "kind=x", "--dedupe", "--seeds", "3,4", "--limit", "2", "--json"),
        cwd=tmp_path,
    )
    runs = json.loads(ended.out)["runs"]
    assert [(run["prompt"], run["seed"]) for run in runs] == [
        ("a ball", 3), ("a ball", 4), ("a star", 3), ("a star", 4)
    ]  # fmt: skip
    assert doubled.count("denoise") == 4


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["--shard", "5/4"],
            ["shard: '5/4' is no part of a set", "Shards of four are 1/4, 2/4, 3/4 and 4/4 (--shard)."],
        ),
        (["--shard", "0/4"], ["shard: '0/4' is no part of a set"]),
        (["--shard", "2"], ["shard: '2' is no part of a set"]),
        (["--shard", "-1/4"], ["shard: '-1/4' is no part of a set"]),
        (["--seeds", "1,x"], [f"seeds: 'x' is no whole number from 0 to {2**63 - 1}"]),
        (["--seeds", ""], [f"seeds: '' is no whole number from 0 to {2**63 - 1}"]),
        (["--seeds", "0,0"], ["seeds: 0 is given twice"]),
        (
            ["--where", "kind"],
            ["where: 'kind' names no column and value", "Write COLUMN=VALUE after --where."],
        ),
        (["--where", "sort=x"], ["set.csv: where: no column is called 'sort'; the columns are prompt, kind"]),
        (["--where", "kind=z"], ["set.csv: no row has kind=z"]),
        (["--limit", "0"], ["limit: 0 is no number of prompts"]),
        (
            ["--prompt-column", "text"],
            ["set.csv:1: no column is called 'text'; the columns are prompt, kind"],
        ),
        (["--prompt-column", " "], ["prompt_column: it is empty"]),
        (["--image-column", "frame"], ["no column is called 'frame'; the columns are prompt, kind"]),
    ],
    ids=lambda value: "".join(value)[:20] if isinstance(value, list) else None,
)
def test_nonsense_is_refused_before_anything_is_written(
    options: list[str], told: list[str], tmp_path: Path, doubled: Doubled
) -> None:
    (tmp_path / "set.csv").write_text("prompt,kind\na ball,x\na cube,y\n")
    ended = doubled.run(*QUICK, "set.csv", *options, cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert all(line in ended.err for line in told), ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["set.csv"]


def test_two_files_with_the_same_ids_share_a_folder(tmp_path: Path, doubled: Doubled) -> None:
    for name, prompt in (("a", "a ball"), ("b", "a cube")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"id": "../../1", "prompt": prompt}))
        assert doubled.run(*QUICK, f"{name}.jsonl", "--out", "out", cwd=tmp_path).code == 0
    runs = sorted((tmp_path / "out").glob("1-????????"))
    assert {read_record(run, "run.json")["prompt"] for run in runs} == {"a ball", "a cube"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl", "calls.log", "out"]


@pytest.mark.slow
def test_a_set_that_is_edited_while_it_runs_is_what_it_was(tmp_path: Path, doubled: Doubled) -> None:
    path = tmp_path / "set.txt"
    path.write_text("a ball\na cube\na star\n")
    process = doubled.start(*QUICK, "set.txt", "--out", "out", cwd=tmp_path, script={"hang": ["caption:1"]})
    doubled.wait_for("caption:1 hangs")
    path.write_text("a star\na ramp\na cube\n")
    doubled.let_go_on("caption:1")
    out, _ = process.communicate()
    runs = [(tmp_path / line).parent for line in out.splitlines()]
    assert sorted(read_record(run, "run.json")["prompt"] for run in runs) == ["a ball", "a cube", "a star"]
    again = doubled.run(*QUICK, "set.txt", "--out", "out", cwd=tmp_path)
    assert "3 prompts, 2 complete already" in again.err


def test_a_long_dry_run_is_cut_for_people_and_whole_as_json(tmp_path: Path, doubled: Doubled) -> None:
    (tmp_path / "set.txt").write_text("".join(f"ball {n}\n" for n in range(50)))
    ended = doubled.run(*QUICK, "set.txt", "--dry-run", "--json", cwd=tmp_path)
    assert len(json.loads(ended.out)["runs"]) == 50
    assert ended.err.splitlines()[-1] == "  and 30 more: 30 to do"
    assert ended.err.count(": to do") == 20
    assert doubled.run(*QUICK, "set.txt", "--dry-run", "-v", cwd=tmp_path).err.count(": to do") == 50
