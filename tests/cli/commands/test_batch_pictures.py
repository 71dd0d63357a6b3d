"""`phyt2v batch --image-column`: each video begins with its own picture, and the model is loaded once."""

import json
from pathlib import Path
from typing import Any

import pytest

from phyt2v_cli import backends
from phyt2v_cli.files.video import read_video
from tests.backends.diffusion.test_conditioning import picture
from tests.command_line import CommandLine, assignments, sizes
from tests.faults.processes import Doubled, read_record
from tests.tiny_pipelines import save_cogvideox

QUICK = ("--rounds", "0", "--min", "2", "--max", "2", *assignments(sizes(9, 16, 16)))
JUDGES = assignments({"llm.backend": "rulebook", "captioner.backend": "tracker", "scorer.backend": "tracker"})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_cogvideox(tmp_path_factory.mktemp("model"), takes_images=True))


@pytest.fixture
def pictured(tmp_path: Path) -> Path:
    """A set of four prompts with pictures beside it: good, missing, broken, good."""
    folder = tmp_path / "frames"
    folder.mkdir()
    picture(folder / "0.png", seed=0)
    (folder / "2.png").write_bytes(b"no picture")
    picture(folder / "3.png", seed=3)
    rows = [{"prompt": "a red ball", "frame": f"frames/{n}.png"} for n in range(4)]
    (tmp_path / "set.json").write_text(json.dumps(rows))
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("pictured")
def test_each_prompt_begins_with_its_own_picture_and_the_model_is_loaded_once(
    model: str, phyt2v: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Any] = []
    load = backends.load_generator

    def load_and_count(*args: Any, **kwargs: Any) -> Any:
        loads.append(args)
        return load(*args, **kwargs)

    monkeypatch.setattr(backends, "load_generator", load_and_count)
    command = (
        "batch",
        "set.json",
        "--image-column",
        "frame",
        "--model",
        model,
        "--out",
        "out",
        "--open-runs",
        "1",
        *QUICK,
        *JUDGES,
    )
    ended = phyt2v(*command)
    assert ended.code == 5
    assert ended.errors() == [
        f"error: prompt 2 (line 1): there is no file {Path('frames/1.png')}",
        f"error: prompt 3 (line 1): {Path('frames/2.png')} is no image that can be read",
        "error: 2 of 4 prompts failed",
    ]
    assert len(loads) == 1
    videos = [phyt2v.folder / line for line in ended.out.splitlines()]
    records = [read_record(video.parent, "run.json")["config"]["generator"] for video in videos]
    assert [Path(record["image"]).name for record in records] == ["0.png", "3.png"]
    assert records[0]["image"] == str(phyt2v.folder / "frames" / "0.png")
    assert records[0]["source_sha256"] != records[1]["source_sha256"]
    first, last = (read_video(video)[0] for video in videos)
    assert (first != last).any()

    # A picture decides what is rendered; another order of the set, or a run of its own, gives the same bytes.
    rows = json.loads((phyt2v.folder / "set.json").read_text())
    (phyt2v.folder / "set.json").write_text(json.dumps([rows[3], rows[0]]))
    again = phyt2v(*command[:7], "other", *command[8:])
    assert again.code == 0, again.err
    turned = [(phyt2v.folder / line).read_bytes() for line in again.out.splitlines()]
    assert turned == [videos[1].read_bytes(), videos[0].read_bytes()]
    assert [Path(line).parent.name for line in again.out.splitlines()] == [
        video.parent.name for video in videos
    ][::-1]
    single = phyt2v(
        *("refine", "--prompt", "a red ball", "--image", "frames/3.png", "--model", model, *QUICK, *JUDGES)
    )
    assert (phyt2v.folder / single.out.strip()).read_bytes() == videos[1].read_bytes()


def test_a_dry_run_names_the_pictures_that_cannot_be_used(
    model: str, pictured: Path, phyt2v: CommandLine
) -> None:
    ended = phyt2v(
        "batch",
        "set.json",
        "--image-column",
        "frame",
        "--model",
        model,
        "--dry-run",
        "--json",
        *QUICK,
        *JUDGES,
    )
    assert ended.code == 5
    runs = json.loads(ended.out)["runs"]
    assert [run["status"] for run in runs] == ["to_do", "refused", "refused", "to_do"]
    assert runs[1]["error"] == "there is no file frames/1.png"
    assert not (pictured / "batches").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("pictured")
def test_a_picture_that_changes_while_the_set_runs_fails_its_own_prompt(model: str, tmp_path: Path) -> None:
    doubled = Doubled(tmp_path)
    command = (
        "batch",
        "set.json",
        "--image-column",
        "frame",
        "--model",
        model,
        "--out",
        "out",
        "--open-runs",
        "1",
        *QUICK,
        *JUDGES,
    )
    process = doubled.start(*command, cwd=tmp_path, script={"hang": ["caption:1"]})
    doubled.wait_for("caption:1 hangs")
    picture(tmp_path / "frames" / "3.png", seed=4)
    doubled.let_go_on("caption:1")
    out, err = process.communicate()
    assert (process.returncode, len(out.splitlines())) == (5, 1)
    assert "error: prompt 4 (line 1): " in err
    assert "frames/3.png has changed since the run began" in err


def test_a_model_that_takes_no_picture_is_refused_once(pictured: Path, phyt2v: CommandLine) -> None:
    ended = phyt2v("batch", "set.json", "--image-column", "frame", *QUICK)
    assert (ended.code, ended.out) == (2, "")
    assert len(ended.errors()) == 1
    assert "generator.image: this CogVideoX cannot begin with an image" in ended.err
    assert not (pictured / "batches").exists()


def test_pictures_that_are_all_broken_fail_their_prompts_and_load_nothing(
    model: str, pictured: Path, phyt2v: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "load_generator", None)
    command = ("batch", "set.json", "--image-column", "frame", "--model", model, *QUICK, *JUDGES)
    (pictured / "frames" / "0.png").unlink()
    for shard, missing in (("1/3", "0.png"), ("2/3", "1.png")):
        options = ("--shard", shard, "--limit", "3", "--out", "out")
        dry = phyt2v(*command, *options, "--dry-run")
        ended = phyt2v(*command, *options)
        assert (dry.code, ended.code, ended.out) == (5, 5, "")
        (prompt,) = [line for line in ended.errors() if "prompt" in line and missing in line]
        assert prompt == f"error: prompt 1 (line 1): there is no file {Path('frames') / missing}"
        assert prompt in dry.errors()
        assert ended.errors()[-1] == "error: 1 of 1 prompt failed"
    (pictured / "frames" / "3.png").unlink()
    ended = phyt2v(*command, "--out", "all")
    assert ended.code == 5
    assert len([line for line in ended.errors() if line.startswith("error: prompt ")]) == 4
    assert ended.errors()[-1] == "error: 4 of 4 prompts failed"


def test_two_pictures_for_one_video(model: str, phyt2v: CommandLine, pictured: Path) -> None:
    command = ("batch", "set.json", "--image-column", "frame", "--model", model, *QUICK, *JUDGES)
    both = phyt2v(*command, "--image", "frames/0.png")
    assert both.code == 2
    assert "error: image_column: there is `image` too" in both.err
    assert not (pictured / "batches").exists()
