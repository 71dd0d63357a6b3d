"""A run directory from the internet: looking at it executes nothing, fetches nothing, writes nowhere else."""

import http.server
import json
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from phyt2v_cli.cli.app import app
from phyt2v_cli.config.schema import Config
from phyt2v_cli.config.trust import list_reaches
from phyt2v_cli.errors import Phyt2vError, RunDirError, VideoError
from phyt2v_cli.files.video import read_video
from phyt2v_cli.report.contact_sheet import contact_sheet
from phyt2v_cli.report.page import write_report
from phyt2v_cli.runs.directory import RunDir
from tests.fake_runs import make_config, run_through
from tests.faults.processes import PHYT2V, QUICK, Doubled, read_record
from tests.terminals import HOSTILE, foreign_controls, shown_by


def with_config(path: Path, sections: dict[str, dict[str, Any]]) -> Path:
    record = read_record(path, "run.json")
    for section, values in sections.items():
        record["config"][section] |= values
    (path / "run.json").write_text(json.dumps(record))
    return path


REACHES = [
    ({"scorer": {"backend": "command", "command": ["touch", "TRACE"]}}, "starts the program touch"),
    (
        {"scorer": {"others": [{"backend": "command", "command": ["touch", "TRACE"]}]}},
        "starts the program touch",
    ),
    (
        {"llm": {"backend": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"}},
        "http://127.0.0.1:9/v1",
    ),
    (
        {"llm": {"backend": "openai", "model": "m", "api_key_env": "AWS_SECRET_ACCESS_KEY"}},
        "$AWS_SECRET_ACCESS_KEY",
    ),
    ({"captioner": {"backend": "transformers", "model": "some-one/vlm"}}, "fetches some-one/vlm"),
    ({"generator": {"model": "some-one/t2v"}}, "fetches some-one/t2v"),
    ({"generator": {"lora": "some-one/lora"}}, "fetches some-one/lora"),
]


@pytest.mark.parametrize(("sections", "said"), REACHES, ids=[said for _, said in REACHES])
def test_resume_does_not_obey_a_foreign_config(
    sections: dict[str, dict[str, Any]], said: str, tmp_path: Path, doubled: Doubled
) -> None:
    trace = tmp_path / "trace"
    sections = json.loads(json.dumps(sections).replace("TRACE", str(trace)))
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1))
    (path / "output2.mp4").unlink()
    with_config(path, sections)
    refused = doubled.run("refine", "--resume", path, script={"real_judges": True})
    assert (refused.code, refused.out) == (3, "")
    assert said in refused.err
    assert "--trust" in refused.err
    assert doubled.calls() == []
    assert not trace.exists()


def test_with_trust_it_goes_on(tmp_path: Path, doubled: Doubled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1))
    tracked = {"backend": "tracker"}
    with_config(path, {"llm": {"backend": "openai", "model": "m"}, "captioner": tracked, "scorer": tracked})
    for name in ("round1.json", "round2.json"):
        (path / name).unlink()
    assert doubled.run("refine", "--resume", path, "--trust").code == 0
    assert doubled.run(*QUICK, "--trust", "--out", path).code == 2  # it is about --resume


def test_the_embedded_run_reaches_for_nothing() -> None:
    assert list_reaches(Config()) == []


def test_a_cluster_is_a_reach_unless_it_is_this_machine() -> None:
    def config(**execution: object) -> Config:
        return Config.model_validate({"execution": {"executor": "ray", **execution}})

    assert list_reaches(config(ray_address="head:6379")) == [
        "execution: works on the Ray cluster at head:6379"
    ]
    assert list_reaches(config()) == ["execution: works on the Ray cluster at auto"]
    assert list_reaches(config(ray_address="local")) == []


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path): (
            path.lstat().st_mtime_ns,
            path.lstat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


LINKED = (
    "run.json",
    "round1.json",
    "round2.json",
    "control.json",
    "output1.mp4",
    "output2.mp4",
    "report.html",
    "contact.png",
    "compare.mp4",
    "rounds.mp4",
    "latents1.safetensors",
    ".phyt2v.lock",
    ".phyt2v.owner",
    "run.json.broken-1",
    "output1.mp4.broken-1",
)


@pytest.mark.parametrize("name", [*LINKED, *(f".{name}.GUESSED.phyt2v-tmp" for name in LINKED[:8])])
def test_links_that_lead_out_are_not_written_through(
    name: str, tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phyt2v_cli.files.atomic.token_hex", lambda _: "GUESSED")
    path = shutil.copytree(uninterrupted, tmp_path / "run")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "file").write_text("precious")
    link = path / name
    link.unlink(missing_ok=True)
    link.symlink_to(mine / "file")
    before = snapshot(mine)
    for look in (
        write_report,
        contact_sheet,
        lambda path: run_through(path, make_config(rounds=1)),
        write_report,
    ):
        with suppress(Phyt2vError):
            look(path)
    with suppress(Phyt2vError):
        RunDir.resume(path).close()
    assert snapshot(mine) == before
    assert {entry.name for entry in tmp_path.iterdir()} == {"run", "mine"}


@pytest.mark.parametrize("name", LINKED)
def test_pipes_and_folders_block_nothing(name: str, tmp_path: Path, uninterrupted: Path) -> None:
    for make in (os.mkfifo, os.mkdir):
        path = shutil.copytree(uninterrupted, tmp_path / make.__name__)
        place = path / name
        place.unlink(missing_ok=True)
        make(place)
        for look in (write_report, contact_sheet, lambda path: run_through(path, make_config(rounds=1))):
            with suppress(Phyt2vError):
                look(path)


def test_a_report_only_reads(tmp_path: Path, uninterrupted: Path) -> None:
    path = shutil.copytree(uninterrupted, tmp_path / "run")
    (path / "round1.json").write_text("{")
    before = snapshot(path)
    page = write_report(path).read_text()
    (path / "report.html").unlink()
    assert snapshot(path) == before
    assert "Could not be read: round1.json" in page
    (path / "run.json").write_text("{}")
    with pytest.raises(RunDirError, match=r"run\.json is broken"):
        write_report(path)
    with pytest.raises(RunDirError, match="no run directory"):
        write_report(tmp_path / "nowhere")


Visits = tuple[str, list[str]]


@pytest.fixture
def visits() -> Iterator[Visits]:
    """A server that nobody should visit, as its address and the list of visits."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            return None

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_video_that_is_a_playlist_opens_nothing(
    visits: Visits, tmp_path: Path, uninterrupted: Path
) -> None:
    address, seen = visits
    other = uninterrupted / "output2.mp4"
    for number, text in enumerate(
        (
            f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}/x.ts\n#EXT-X-ENDLIST\n",
            f"ffconcat version 1.0\nfile {address}/x.mp4\n",
            f"ffconcat version 1.0\nfile {other}\n",
            f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{address}/</BaseURL></MPD>',
        )
    ):
        path = shutil.copytree(uninterrupted, tmp_path / str(number))
        (path / "output1.mp4").write_text(text)
        with pytest.raises(VideoError):
            read_video(path / "output1.mp4")
        assert "missing or broken" in write_report(path).read_text()
        run_through(path, make_config(rounds=1))
    assert seen == []


def look_at_run(path: Path) -> list[Result]:
    """List a run and show it in every way; whatever is wrong with it is one of our errors."""
    results = []
    for look in (["list"], ["list", "--json"], ["show"], ["show", "--json"]):
        ended = CliRunner().invoke(app, ["runs", *look, str(path)])
        if ended.exception is not None and not isinstance(ended.exception, Phyt2vError):
            raise ended.exception
        results.append(ended)
    return results


@pytest.mark.parametrize(("sections", "said"), REACHES, ids=[said for _, said in REACHES])
def test_looking_at_a_run_obeys_no_config_and_writes_nothing(
    sections: dict[str, dict[str, Any]], said: str, tmp_path: Path, uninterrupted: Path, visits: Visits
) -> None:
    address, seen = visits
    path = shutil.copytree(uninterrupted, tmp_path / "run")
    told = json.dumps(sections).replace("TRACE", str(tmp_path / "trace"))
    with_config(path, json.loads(told.replace("http://127.0.0.1:9", address)))
    before = snapshot(tmp_path)
    assert [ended.exit_code for ended in look_at_run(path)] == [0] * 4
    assert snapshot(tmp_path) == before
    assert seen == []
    assert said


@pytest.mark.parametrize("name", LINKED)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_looking_at_a_run_hangs_on_no_pipe(
    name: str, make: Callable[[Path], None], tmp_path: Path, uninterrupted: Path
) -> None:
    path = shutil.copytree(uninterrupted, tmp_path / "run")
    (path / name).unlink(missing_ok=True)
    make(path / name)
    listed, as_json, shown, _ = look_at_run(path)
    if name == "run.json":
        assert listed.stdout.startswith("unreadable\t")
        assert "is no run directory: run.json" in json.loads(as_json.stdout)["runs"][0]["error"]
        assert isinstance(shown.exception, RunDirError)
    elif name in ("round1.json", "round2.json", "control.json"):
        assert f"Could not be read: {name}" in shown.stdout


def test_looking_leads_out_of_no_folder(tmp_path: Path, uninterrupted: Path) -> None:
    path = shutil.copytree(uninterrupted, tmp_path / "runs" / "run")
    record = read_record(path, "run.json")
    record["result"]["video"] = "../../../etc/passwd"
    (path / "run.json").write_text(json.dumps(record))
    (path.parent / "loop").symlink_to(path.parent)
    (path.parent / "elsewhere").symlink_to(uninterrupted)
    ended = CliRunner().invoke(app, ["runs", str(path.parent)])
    assert [line.split("\t")[2] for line in ended.stdout.splitlines()] == [f"{path}/output2.mp4"]
    assert all("passwd" not in ended.stdout for ended in look_at_run(path)[:3])


def test_hostile_text_in_a_run_is_shown_literally(tmp_path: Path, uninterrupted: Path) -> None:
    path = shutil.copytree(uninterrupted, tmp_path / "run \x1b[2J\u202e")
    for name in ("run.json", "round1.json", "round2.json"):
        (path / name).write_text(json.dumps(with_hostile_text(read_record(path, name))))
    for look in (["list", str(tmp_path)], ["show", str(path)]):
        shown = shown_by([*PHYT2V, "runs", *look], columns=400)
        assert not foreign_controls(shown)
        assert "\x1b[2J" not in shown
        assert "\x1b]8;" not in shown
        assert "[/tag][link=https://evil.example]up[/link] \\x1b]52;c;ZXZpbA==\\x07\\x1b[2J" in shown


def with_hostile_text(tree: Any) -> Any:
    """Return a record with every text that may be anything replaced."""
    fixed = {
        "schema",
        "status",
        "purpose",
        "video",
        "run_key",
        "pixels_key",
        "id",
        "sha256",
        "config",
        "versions",
        "plan",
    }
    if isinstance(tree, dict):
        return {key: value if key in fixed else with_hostile_text(value) for key, value in tree.items()}
    return HOSTILE if isinstance(tree, str) else tree


def test_what_phyt2v_writes_is_no_program(uninterrupted: Path) -> None:
    executable = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
    assert not [path for path in uninterrupted.iterdir() if path.stat().st_mode & executable]


def test_a_video_that_decodes_to_too_much_is_refused(
    tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phyt2v_cli.files.video.MAX_DECODED_BYTES", 32 * 32 * 3 * 3)
    with pytest.raises(VideoError, match="decodes to more than"):
        read_video(uninterrupted / "output1.mp4")
    assert tmp_path.exists()
