"""`phyt2v runs` and `phyt2v runs show`, on runs that doubles have made."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phyt2v_cli.cli.app import app
from phyt2v_cli.errors import FilesError, Phyt2vError, RunDirError, UsageError
from phyt2v_cli.roles import Scores
from phyt2v_cli.testing.fakes import FakeRoles, FakeScorer
from tests.fake_runs import make_config, open_run, run_through
from tests.fake_sets import make_set
from tests.faults.processes import PHYT2V
from tests.terminals import shown_by


def runs(*arguments: str | Path) -> Result:
    """Run the command in this process; what it raises on purpose is raised here."""
    ended = CliRunner().invoke(app, ["runs", *map(str, arguments)])
    if isinstance(ended.exception, Phyt2vError):
        raise ended.exception
    return ended


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Below it a complete run, one that was only begun, one in a set, one that is broken, and a link."""
    monkeypatch.chdir(tmp_path)
    path = Path("runs")
    run_through(path / "ball", make_config(rounds=1), prompt="a ball\ndrops")
    open_run(path / "cube", make_config(rounds=1), prompt="a cube").close()
    run_through(path / "set" / "ramp", make_config(rounds=0, control=True), prompt="a ramp")
    (path / "broken").mkdir()
    (path / "broken" / "run.json").write_text("{")
    (path / "link").symlink_to((path / "ball").absolute())
    (path / "notes.txt").touch()
    return path


@pytest.mark.usefixtures("folder")
def test_a_list_for_pipes_has_a_line_for_each_run() -> None:
    lines = [line.split("\t") for line in runs().stdout.splitlines()]
    assert [line[:4] for line in lines] == [
        ["unreadable", "-", "runs/broken", lines[0][3]],
        ["interrupted", "0 of 2", "runs/cube", "a cube"],
        ["complete", "2 of 2", "runs/ball/output2.mp4", "a ball drops"],
        ["complete", "1 of 1", "runs/set/ramp/output1.mp4", "a ramp"],
    ]
    assert "run.json is broken" in lines[0][3]
    assert lines[2][4].startswith("20")
    assert lines[2][5:] == ["3-6", "0", "tiny", "0.50", "0.50", "", "run"]
    assert {len(line) for line in lines} == {12}


def test_runs_of_one_prompt_are_told_apart(folder: Path) -> None:
    run_through(folder / "other", make_config(rounds=1, control=True, seed=7), prompt="a ball\ndrops")
    by_name = {run["name"]: run["differences"] for run in json.loads(runs("--json").stdout)["runs"][1:]}
    assert by_name["other"] == {"refinement.control": True, "run.seed": 7}
    assert by_name["ball"] == {"refinement.control": False, "run.seed": 0}
    assert by_name["ramp"] == {}
    lines = [line.split("\t") for line in runs().stdout.splitlines()]
    told = {line[2].split("/")[1]: line[10] for line in lines}
    assert (told["other"], told["ball"], told["cube"]) == ("seed=7 control=true", "seed=0", "")


def test_a_set_is_one_line_and_can_be_shown(folder: Path) -> None:
    Path("batches").mkdir()
    make_set(Path("batches") / "balls", [[(0.1, 0.2), (0.3, 0.4)], [(0.5, 0.6), (0.7, 0.8)]])
    (Path("batches") / "balls" / "run-1" / "run.json").unlink()
    rows = [line.split("\t") for line in runs().stdout.splitlines()]
    assert [row[:4] for row in rows if row[-1] == "set"] == [
        ["interrupted", "1 of 2", "batches/balls", "2 prompts: ball 0"]
    ]
    assert len(rows) == 5
    listed = json.loads(runs("--json").stdout)
    assert [(one["set_dir"], one["statuses"]) for one in listed["sets"]] == [
        ("batches/balls", {"complete": 1, "not_begun": 1})
    ]
    assert len(runs("batches/balls").stdout.splitlines()) == 1, "in its own folder it has its runs"
    assert "batches/balls/run-0/output1.mp4" in runs("--prompt", "ball 0").stdout, "a filter looks into sets"
    shown = runs("show", "balls").stdout
    for part in ("batches/balls: interrupted", "1 complete, 1 not begun", "0.30", "ball 1", "not begun"):
        assert part in shown
    told = json.loads(runs("show", "balls", "--json").stdout)
    assert (told["schema"], [run["status"] for run in told["runs"]]) == (
        "phyt2v.set-shown/1",
        ["complete", "not_begun"],
    )
    assert folder.exists()


@pytest.mark.usefixtures("folder")
def test_a_list_of_the_runs_that_are_asked_for() -> None:
    def names(*arguments: str) -> list[str]:
        return [run["name"] for run in json.loads(runs(*arguments, "--json").stdout)["runs"]]

    assert names("--status", "interrupted") == ["cube"]
    assert names("--status", "unreadable") == ["broken"]
    assert names("--prompt", "A BALL") == ["ball"]
    assert names("--since", "1h") == names("--since", "2001-02-03") == ["ball", "ramp"]
    assert names("--since", "9999-12-31") == []
    for wrong in ("yesterday", "999999d", "0001-01-01T00:00:00+09:00"):
        with pytest.raises(UsageError, match="neither a date nor an age"):
            runs("--since", wrong)
    assert "None of the 4 runs below runs" in runs("--prompt", "a dog").stderr


def test_a_list_as_json(folder: Path) -> None:
    listed = json.loads(runs(folder, "--json").stdout)
    assert (listed["schema"], listed["folder"]) == ("phyt2v.runs/1", "runs")
    broken, cube, ball, ramp = listed["runs"]
    assert (ball["name"], ball["status"], ball["prompt"]) == ("ball", "complete", "a ball\ndrops")
    assert (ball["rounds_done"], ball["rounds_planned"]) == (2, 2)
    assert (ball["result"], cube["result"]) == ("runs/ball/output2.mp4", None)
    assert (broken["status"], "run.json is broken" in broken["error"]) == ("unreadable", True)
    assert ramp["run_dir"] == "runs/set/ramp"


def test_where_to_look(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(runs("list", ".").stdout.splitlines()) == 4
    assert len(runs(folder / "ball").stdout.splitlines()) == 1
    with pytest.raises(FilesError, match="nowhere cannot be listed"):
        runs("nowhere")
    with pytest.raises(FilesError, match="cannot be listed: Not a directory"):
        runs(folder / "notes.txt")
    (tmp_path / "fresh").mkdir()
    monkeypatch.chdir(tmp_path / "fresh")
    ended = runs()
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "There is no run below runs; `phyt2v refine`" in ended.stderr
    assert json.loads(runs("--json").stdout)["runs"] == []


@pytest.mark.parametrize(
    ("width", "facts"),
    [
        (44, "complete 0.50 0.50"),
        (60, "complete 2 of 2 3-6 0.50 0.50"),
        (80, "complete 2 of 2 3-6 0.50 0.50 0 tiny"),
    ],
)
def test_a_table_for_terminals(width: int, facts: str, folder: Path) -> None:
    long = folder / f"a-red-ball-drops-{'x' * width}"
    run_through(long, make_config(rounds=0), prompt="a red ball " * 20)
    shown = shown_by([*PHYT2V, "runs", str(folder), "--no-color"], columns=width).splitlines()
    assert shown[0].split()[:3] == ["started", "(UTC)", "status"]
    place = shown.index("  runs/ball/output2.mp4")
    assert shown[place - 1].split()[2:] == facts.split()
    assert shown[place + 1] == "  a ball drops"
    place = shown.index(f"  {long}/output1.mp4")  # whole, so that it can be copied
    assert shown[place + 1].startswith("  a red ball a red ball")
    assert shown[place + 1].endswith("…")
    assert all(len(line) <= width for line in shown if str(long) not in line)
    assert len(shown) == 1 + 3 * 5


def test_show_tells_of_each_round(tmp_path: Path) -> None:
    path = tmp_path / "run"
    scorer = FakeScorer(by_video={"output1.mp4": Scores(0.9, None, ("it hovers [red]",))})
    run_through(path, make_config(rounds=1), FakeRoles(scorer=scorer, other_scorers=[FakeScorer("second")]))
    (path / "round3.json").write_text("{")
    shown = " ".join(runs("show", path).stdout.split())
    for part in (
        f"{path}: complete, seed 0 prompt: a red ball drops main object: the ball",
        "Round 1: 3 steps, draft, output1.mp4; SA 0.90, PC - prompt: a red ball drops caption: I see",
        "double: SA 0.90, PC - double: it hovers [red] second: SA 0.50, PC 0.50",
        "mismatch: it hovers",
        "Round 2: 6 steps, final, output2.mp4; SA 0.50, PC 0.50 prompt: a red ball drops, version",
        f"Result: {path}/output2.mp4 selected by: last Could not be read: round3.json",
    ):
        assert part in shown
    lines = runs("show", path).stdout.splitlines()
    assert f"Result: {path}/output2.mp4" in lines, "none is broken in a pipe"
    assert all(line == line.rstrip() for line in lines)


def test_show_tells_which_rounds_an_early_stop_left_out(tmp_path: Path) -> None:
    good = {f"output{number}.mp4": Scores(1.0, 1.0) for number in (1, 2)}
    cast = FakeRoles(scorer=FakeScorer(by_video=good))
    run_through(tmp_path / "run", make_config(rounds=3, early_stop=True), cast)
    shown = runs("show", tmp_path / "run").stdout
    assert "Round 2: 6 steps, final, output2.mp4" in shown
    assert "Round 3: 5 steps, draft; left out, for the run stopped early" in shown
    assert "not begun" not in shown


def test_show_tells_what_is_not_there_yet_and_of_the_control(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1, control=True))
    (path / "round2.json").unlink()
    shown = runs("show", path).stdout
    assert "Round 2: 6 steps, final; not begun" in shown
    assert "Control: 6 steps, final, control.mp4; SA 0.50, PC 0.50" in shown
    assert "Result" not in shown  # whatever run.json says of it


def test_show_as_json(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1, control=True))
    shown = json.loads(runs("show", path, "--json").stdout)
    assert shown["schema"] == "phyt2v.run-shown/1"
    assert [entry["steps"] for entry in shown["plan"]] == [3, 6]
    assert [entry["video"] for entry in shown["rounds"]] == ["output1.mp4", "output2.mp4"]
    assert shown["control"]["prompt"] == shown["prompt"] == "a red ball drops"
    assert shown["rounds"][0]["caption"].startswith("I see")
    assert shown["video"] == f"{path}/output2.mp4"
    assert "config" not in shown


def test_a_run_is_found_by_its_name(folder: Path) -> None:
    run_through(folder / "balloon", make_config(rounds=0), prompt="a balloon")
    assert "runs/ball: complete" in runs("show", "ball").stdout, "the whole name wins"
    assert "runs/balloon: complete" in runs("show", "ballo").stdout
    with pytest.raises(RunDirError, match="bal may be any of 2:\n  runs/ball\n  runs/balloon"):
        runs("show", "bal")
    Path("ball").mkdir()
    with pytest.raises(RunDirError, match="ball is no run directory"):
        runs("show", "ball")  # a path wins
    with pytest.raises(RunDirError, match="nobody is no run directory"):
        runs("show", "nobody")
    ended = CliRunner().invoke(app, ["report", "balloon"])
    assert (ended.exit_code, ended.stdout) == (0, "runs/balloon/report.html\n")
    resumed = CliRunner().invoke(app, ["refine", "--resume", "bal"])
    assert isinstance(resumed.exception, RunDirError)
    assert "bal may be any of 2" in resumed.exception.message


def test_show_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match="is no run directory"):
        runs("show", tmp_path)
    os.mkfifo(tmp_path / "run.json")
    with pytest.raises(RunDirError, match="not a plain file"):
        runs("show", tmp_path)
    assert runs("show").exit_code == 2


def test_runs_are_exported_to_a_new_file(folder: Path, tmp_path: Path) -> None:
    ended = runs("export", "--jsonl")
    assert [json.loads(line)["run"] for line in ended.stdout.splitlines()] == ["ball", "ball", "ramp", "ramp"]
    assert "runs/broken: left out: runs/broken/run.json is broken" in ended.stderr
    table = tmp_path / "table.csv"
    assert "1 run in" in runs("export", folder / "ball", "--out", table).stderr
    assert table.read_text().count("\nball,runs/ball,complete,") == 2
    with pytest.raises(FilesError, match="is there already"):
        runs("export", "ball", "--out", table)
    runs("export", "ball", "--reference", "--out", table, "--force")
    assert table.read_text().startswith("index,prompt_1,")
    with pytest.raises(UsageError, match="three forms"):
        runs("export", "--csv", "--jsonl")
