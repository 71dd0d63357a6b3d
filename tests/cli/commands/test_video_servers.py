"""`phyt2v generate`, `refine` and `batch` with a video server as generator, and what `doctor` says of it."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from phyt2v_cli.checks.machine import check_endpoints, check_keys
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import FilesError
from phyt2v_cli.files.video import VideoMetadata, read_video, sha256_of
from tests.command_line import CommandLine, assignments
from tests.faults.processes import PHYT2V, start
from tests.scripted_server import raw, status
from tests.server_clients import KEY
from tests.video_server import Kind, VideoServer, clip, clip_for, settings_for

pytestmark = pytest.mark.usefixtures("loopback")

JUDGES = {"llm.backend": "rulebook", "captioner.backend": "tracker", "scorer.backend": "tracker"}
PLAN = ("--rounds", "1", "--min", "3", "--max", "6", "--out", "run")


def generate_at(server: VideoServer, **settings: Any) -> list[str]:
    words = assignments(settings_for(server, api_key_env="CANARY_KEY", **settings))
    return ["generate", "--prompt", "a red ball drops", "--steps", "6", "--out", "ball.mp4", *words]


def refine_at(server: VideoServer, **settings: Any) -> list[str]:
    known = {**settings_for(server, api_key_env="CANARY_KEY", **settings), **JUDGES}
    return ["refine", "--prompt", "a red ball drops", *PLAN, *assignments(known)]


def assert_no_key(folder: Path, *said: str) -> None:
    assert KEY not in "".join(said)
    for path in folder.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("kind", ["openai", "sglang", "vllm-omni", "fastvideo"])
def test_generate_keeps_the_servers_mp4_with_our_metadata_beside(
    kind: Kind, phyt2v: CommandLine, tmp_path: Path
) -> None:
    with VideoServer(kind, progress=[50]) as server:
        ended = phyt2v(*generate_at(server, num_frames=8), "--verbose")
    assert (ended.code, ended.out) == (0, "ball.mp4\n"), ended.err
    path = tmp_path / "ball.mp4"
    assert path.read_bytes() == clip(8)
    metadata = read_video(path)[1]
    assert metadata is not None
    assert metadata == VideoMetadata("a red ball drops", 0, 6, None, metadata.pixels_key)
    beside = json.loads((tmp_path / "ball.mp4.phyt2v.json").read_text())
    assert beside["schema"] == "phyt2v.video-metadata/1"
    assert beside["sha256"] == sha256_of(path)
    assert "latents" in beside["generator"]["not_promised"]
    assert ("num_inference_steps" in ended.err) == (kind == "openai")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["ball.mp4", "ball.mp4.phyt2v.json"]
    assert_no_key(tmp_path, ended.out, ended.err)


def test_refine_at_a_server_judges_reports_and_returns(phyt2v: CommandLine, tmp_path: Path) -> None:
    with VideoServer() as server:
        ended = phyt2v(*refine_at(server), "--verbose")
        assert (ended.code, ended.out) == (0, "run/output2.mp4\n"), ended.err
        sent = list(server.jobs.values())
        again = phyt2v(*refine_at(server))
        assert (again.code, again.out) == (0, "run/output2.mp4\n")
        assert len(server.jobs) == 2
        assert [job["num_inference_steps"] for job in sent] == [3, 6]
        assert {job["seed"] for job in sent} == {0}
    run = tmp_path / "run"
    for number in (1, 2):
        record = json.loads((run / f"round{number}.json").read_text())
        assert record["sha256"] == sha256_of(run / record["video"])
        assert record["generator"]["backend"] == "server"
        assert "the same bytes" in record["generator"]["not_promised"]
        assert (run / f"output{number}.mp4").read_bytes() == clip()
    assert not list(run.glob("latents*"))
    assert (run / "contact.png").exists()
    assert phyt2v("report", "run").code == 0
    assert_no_key(tmp_path, ended.out, ended.err)


def test_a_finished_video_is_not_made_twice(
    phyt2v: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise FilesError("the disk is full")

    with VideoServer() as server:
        with monkeypatch.context() as patch:
            patch.setattr("phyt2v_cli.refinement.render.keep_video", refuse)
            assert phyt2v(*refine_at(server)).code == 3
        assert (tmp_path / "run" / "latents1.safetensors").exists()
        assert phyt2v(*refine_at(server)).code == 0
        assert len(server.jobs) == 2


def test_a_kill_between_the_mp4_and_its_record_costs_no_video(
    phyt2v: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phyt2v_cli.refinement import render

    keep_video = render.keep_video

    def die(*arguments: Any, **options: Any) -> str:
        keep_video(*arguments, **options)
        raise FilesError("killed")

    with VideoServer() as server:
        with monkeypatch.context() as patch:
            patch.setattr("phyt2v_cli.refinement.render.keep_video", die)
            assert phyt2v(*refine_at(server)).code == 3
        (tmp_path / "run" / "latents1.safetensors").unlink()
        ended = phyt2v(*refine_at(server))
        assert ended.code == 0, ended.err
        assert len(server.jobs) == 2


def test_fault_09_ctrl_c_cancels_the_job_and_the_same_command_goes_on(
    phyt2v: CommandLine, tmp_path: Path
) -> None:
    def interrupt(number: int) -> None:
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with VideoServer(progress=[0] * 1000, on_poll=interrupt) as server:
        ended = phyt2v(*refine_at(server))
        assert ended.code == 130, ended.err
        assert "phyt2v refine --resume run" in ended.err
        assert server.deleted == ["video_0"]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
    with VideoServer() as other:  # another address, of the same model: the same run
        assert phyt2v(*refine_at(other)).code == 0
        assert len(other.jobs) == 2


@pytest.mark.slow
def test_fault_01_a_killed_process_is_gone_on_with(phyt2v: CommandLine, tmp_path: Path) -> None:
    killed: list[bool] = []

    def kill(number: int) -> None:
        if len(server.jobs) == 2 and number == 2 and not killed:
            killed.append(True)
            process.kill()

    with VideoServer(progress=[10, 20, 30], on_poll=kill) as server:
        process = start([*PHYT2V, *refine_at(server)], dict(os.environ), cwd=tmp_path)
        process.communicate(timeout=100)
        assert killed
        ended = phyt2v(*refine_at(server))
        assert ended.code == 0, ended.err
        assert [job["num_inference_steps"] for job in server.jobs.values()] == [3, 6, 6]


@pytest.mark.parametrize(
    ("server", "what"),
    [
        (lambda: VideoServer(ends={"status": "failed", "error": {"message": "no memory"}}), "no memory"),
        (lambda: VideoServer(faults={"POST videos": [raw(b'{"hello": 1}')]}), "no video job"),
        (lambda: VideoServer(make=lambda _: clip(5)), "made 5 frames of 32x32 pixels, not 9 frames"),
        (lambda: VideoServer(make=lambda _: b"no mp4 at all"), "sent no whole mp4"),
        (lambda: VideoServer(faults={"POST videos": [status(401)]}), "CANARY_KEY"),
    ],
)
def test_a_bad_server_is_one_line_and_exit_4(
    server: Any, what: str, phyt2v: CommandLine, tmp_path: Path
) -> None:
    with server() as bad:
        ended = phyt2v(*generate_at(bad))
    assert ended.code == 4
    assert len(ended.errors()) == 1
    assert what in ended.errors()[0]
    assert not list(tmp_path.iterdir())
    assert_no_key(tmp_path, ended.out, ended.err)


def test_after_a_bad_server_the_run_goes_on_at_a_good_one(phyt2v: CommandLine, tmp_path: Path) -> None:
    with VideoServer(make=lambda asked: clip_for(asked) if asked["num_inference_steps"] == 3 else b"") as bad:
        ended = phyt2v(*refine_at(bad))
        assert ended.code == 4
        assert len(ended.errors()) == 1
    assert [path.name for path in tmp_path.rglob("*.mp4")] == ["output1.mp4"]
    with VideoServer() as good:
        assert phyt2v(*refine_at(good)).code == 0
        assert [job["num_inference_steps"] for job in good.jobs.values()] == [6]


def test_a_stranger_s_run_sends_nothing_without_trust(phyt2v: CommandLine) -> None:
    with VideoServer(ends={"status": "failed"}) as server:
        assert phyt2v(*refine_at(server)).code == 4
        num_requests = len(server.requests)
        ended = phyt2v("refine", "--resume", "run")
        assert ended.code == 3, ended.err
        assert f"generator: sends data to {server.url}, with the key in $CANARY_KEY" in ended.err
        assert len(server.requests) == num_requests


def test_what_a_server_does_not_take_is_refused_or_said_before_anything_is_sent(phyt2v: CommandLine) -> None:
    with VideoServer() as server:
        refused = phyt2v(*generate_at(server, lora="a/b"))
        assert refused.code == 2
        assert "generator.lora: a video server does not take it" in refused.err
        planned = phyt2v(*generate_at(server, dtype="bfloat16"), "--dry-run")
        assert planned.code == 0
        assert "generator.dtype has no effect: generator.backend is server" in planned.err
        assert server.requests == []


def test_a_preset_s_sizes_and_guidance_go_to_the_server(phyt2v: CommandLine) -> None:
    with VideoServer("vllm-omni") as server:
        words = assignments({"generator.base_url": server.url, "generator.num_frames": 9})
        words += assignments({"generator.height": 32, "generator.width": 32})
        ended = phyt2v("generate", "--prompt", "a ball", "--preset", "wan2.1-1.3b", *words)
        assert ended.code == 0, ended.err
        sent = server.jobs["video_0"]
    assert (sent["guidance_scale"], sent["flow_shift"], sent["fps"]) == ("5.0", "3.0", "16")
    assert sent["negative_prompt"].startswith("Bright tones")
    assert sent["num_inference_steps"] == "50"


def test_a_set_has_as_many_videos_made_at_a_time_as_the_config_says(
    phyt2v: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "prompts.txt").write_text("a red ball drops\na blue ball drops\na green ball drops\n")
    most = 0

    def count(_: int) -> None:
        nonlocal most
        num_done = sum(polls >= 3 for polls in server.polls.values())
        most = max(most, len(server.jobs) - num_done)

    with VideoServer(progress=[10, 20], on_poll=count) as server:
        known = {**settings_for(server, concurrency=2), **JUDGES}
        plan = ("--rounds", "0", "--max", "6", "--out", "set")
        ended = phyt2v("batch", "prompts.txt", *plan, *assignments(known))
        assert ended.code == 0, ended.err
        assert len(server.jobs) == 3
    assert most == 2
    assert phyt2v("export", "set", "--for", "csv").code == 0


def test_doctor_says_whether_the_server_can_be_reached() -> None:
    with VideoServer() as server:
        at_server = {"backend": "server", "base_url": server.url, "model": "m", "api_key_env": "CANARY_KEY"}
        config = Config.model_validate({"generator": at_server})
        (reached,) = check_endpoints(config)
        assert server.requests[0].headers.get("authorization") is None
    (gone,) = check_endpoints(config)
    assert (reached.state, reached.detail) == ("ok", f"generator: {server.url} answers (HTTP 404)")
    assert gone.state == "problem"
    assert gone.detail.startswith("generator: no answer")
    assert gone.todo == "start it, or fix generator.base_url"
    assert "CANARY_KEY is set" in [check.detail for check in check_keys(config)]
