"""The generator on a server of each kind: what it sends, reports, accepts and refuses."""

import threading
import time
from typing import Any

import numpy as np
import pytest

from phyt2v_cli.backends.server.videos import ServerGenerator
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.errors import BackendError, ConfigError, LatentsError, RunInterruptedError
from phyt2v_cli.roles import Denoised, DenoisingStep
from tests.scripted_server import drop, raw, stall, status
from tests.server_clients import KEY
from tests.video_server import Kind, VideoServer, clip

pytestmark = pytest.mark.usefixtures("loopback")

SETTINGS = {"num_frames": 9, "height": 32, "width": 32, "fps": 8, "timeout_s": 20}
ALL = {
    "guidance_scale": 5.0,
    "guidance_scale_2": 4.0,
    "true_cfg_scale": 3.0,
    "flow_shift": 3.0,
    "negative_prompt": 'blurry, "dark"',
}


def generator_at(server: VideoServer | str, **settings: Any) -> ServerGenerator:
    url = server if isinstance(server, str) else server.url
    known = {"base_url": url, "model": "some/model", "api_key_env": "CANARY_KEY", **SETTINGS, **settings}
    return ServerGenerator(GeneratorConfig(backend="server", **known), backoff_s=0.01)


def render(generator: ServerGenerator, steps: list[DenoisingStep] | None = None, **options: Any) -> Denoised:
    seen = steps if steps is not None else []
    known = {"seed": 7, "num_inference_steps": 20, "on_step": seen.append, **options}
    return generator.denoise("a ball drops", **known)


def failure(generator: ServerGenerator) -> str:
    with pytest.raises(BackendError) as caught:
        render(generator)
    assert "\n" not in caught.value.message
    assert KEY not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["sglang", "vllm-omni", "fastvideo"])
def test_everything_that_is_set_is_sent_as_each_server_takes_it(kind: Kind) -> None:
    with VideoServer(kind) as server:
        done = render(generator_at(server, **ALL))
        sent = server.jobs["video_0"]
        posts = [request.path.rpartition("/v1")[2] for request in server.requests if request.body]
    expected = {"model": "some/model", "prompt": "a ball drops", "seed": 7, "num_inference_steps": 20}
    expected |= {"size": "32x32", "num_frames": 9, "fps": 8, **ALL}
    shown = {name: str(value) for name, value in expected.items()} if kind == "vllm-omni" else expected
    assert sent == shown
    assert done.how["flavour"] == ("fastvideo" if kind == "fastvideo" else "openai")
    assert "not_taken" not in done.how
    assert "latents" in done.how["not_promised"]
    assert done.latents.tobytes() == clip()
    assert len(posts) == (1 if kind == "sglang" else 2)


def test_what_a_server_does_not_know_is_left_out_and_said() -> None:
    with VideoServer("openai") as server:
        generator = generator_at(server, **ALL, num_frames=16)
        done = render(generator)
        assert server.jobs["video_0"] == {
            "model": "some/model",
            "prompt": "a ball drops",
            "size": "32x32",
            "seconds": "2",
        }
        num_requests = len(server.requests)
        render(generator)
        assert len(server.requests) == num_requests + 3  # what was learned is remembered
    assert done.how["not_taken"] == (
        "flow_shift, fps, guidance_scale, guidance_scale_2, negative_prompt, num_frames, "
        "num_inference_steps, seed, true_cfg_scale"
    )


def test_only_what_is_set_is_sent_and_the_servers_size_is_taken() -> None:
    with VideoServer() as server:
        render(generator_at(server, num_frames=None, height=None, width=None, fps=None))
        assert set(server.jobs["video_0"]) == {"model", "prompt", "seed", "num_inference_steps"}


@pytest.mark.parametrize(("flavour", "num_posts"), [("fastvideo", 1), ("auto", 2)])
def test_the_flavour_saves_a_request(flavour: str, num_posts: int) -> None:
    with VideoServer("fastvideo") as server:
        render(generator_at(server, flavour=flavour))
        assert sum(bool(request.body) for request in server.requests) == num_posts


def test_a_route_that_is_not_there_is_one_line() -> None:
    with VideoServer("fastvideo") as server:
        assert "is not there (404: Not Found)" in failure(generator_at(server, flavour="openai"))
        assert not server.jobs


def test_percentages_become_steps() -> None:
    with VideoServer(progress=[0, 26, 26, 80]) as server:
        steps: list[DenoisingStep] = []
        render(generator_at(server), steps)
    assert [(step.number, step.total) for step in steps] == [(5, 20), (16, 20), (20, 20)]


def test_the_mp4_is_decoded_and_kept_as_it_is() -> None:
    with VideoServer() as server:
        generator = generator_at(server)
        decoded = generator.decode(render(generator).latents)
    assert decoded.encoded == clip()
    assert decoded.frames.shape == (9, 32, 32, 3)
    with pytest.raises(LatentsError, match="is no video"):
        generator.decode(np.zeros(100, np.uint8))


def test_fault_27_30_refusals_and_lost_polls_are_retried() -> None:
    faults = {
        "POST videos": [status(503), status(429, headers={"Retry-After": "0"})],
        "GET job": [drop, status(502)],
        "GET content": [drop, status(500)],
    }
    with VideoServer(faults=faults) as server:
        assert render(generator_at(server)).latents.tobytes() == clip()
        assert len(server.jobs) == 1


def test_a_lost_order_is_not_given_twice() -> None:
    with VideoServer(faults={"POST videos": [drop]}) as server:
        assert "gave no answer" in failure(generator_at(server))
        assert len(server.requests) == 1


def test_a_server_that_is_down_is_one_line() -> None:
    with VideoServer() as server:
        pass
    text = failure(generator_at(server, max_retries=1))
    assert "gave no answer after 2 attempts" in text
    assert "`generator.base_url`" in text


@pytest.mark.parametrize(
    ("place", "fault", "what"),
    [
        ("POST videos", raw(b'{"created": 1, "data": [{"url": "x"}]}'), "JSON that is no video job"),
        ("POST videos", raw(b'{"id": "../models", "status": "queued"}'), "JSON that is no video job"),
        ("POST videos", raw(b'{"id": "a", "status": "dreaming"}'), "a video job of the status 'dreaming'"),
        ("POST videos", raw(b"<html>hello</html>", "text/html"), "an HTML page"),
        ("POST videos", raw(b"\xff\xfe\x00"), "not OpenAI-compatible"),
        ("GET job", raw(b"[]"), "JSON that is no video job"),
        ("GET content", raw(b"", "video/mp4"), "sent no whole mp4"),
        ("GET content", raw(b"not an mp4", "video/mp4"), "sent no whole mp4"),
        ("GET content", raw(clip()[:-200], "video/mp4"), "sent no whole mp4"),
        ("GET content", raw(clip(5), "video/mp4"), "made 5 frames of 32x32 pixels, not 9 frames of 32x32"),
        ("GET content", raw(clip(9, 16, 32), "video/mp4"), "made 9 frames of 32x16 pixels"),
        ("GET content", raw(clip() + KEY.encode(), "video/mp4"), "sent its key back inside the video"),
        (
            "POST videos",
            status(400, {"error": {"message": "num_frames must be 4k+1"}}),
            "must be 4k+1",
        ),
        ("POST videos", status(401, {"error": {"message": f"bad key {KEY}"}}), "variable CANARY_KEY"),
        ("GET job", status(404), "is not there"),
    ],
)
def test_another_schema_or_another_video_is_one_line(place: str, fault: Any, what: str) -> None:
    with VideoServer(faults={place: [fault]}) as server:
        assert what in failure(generator_at(server))


def test_another_length_in_seconds_is_one_line() -> None:
    with VideoServer("openai", make=lambda _: clip(8)) as server:
        assert "made a video of 1.0 s, not of 2 s" in failure(generator_at(server, num_frames=16))


def test_a_failed_job_is_one_line_with_the_servers_reason() -> None:
    ends = {"status": "failed", "error": {"message": f"out of\nmemory with {KEY}", "code": 500}}
    with VideoServer(ends=ends) as server:
        assert "failed: out of memory with [key]." in failure(generator_at(server))
        assert server.deleted == []


def test_a_failed_job_that_comes_as_an_error_is_not_asked_for_again() -> None:
    job = {"id": "video_0", "object": "video", "status": "failed", "error": {"message": "no memory"}}
    with VideoServer(faults={"GET job": [status(500, job)]}) as server:
        assert "failed: no memory." in failure(generator_at(server))
        assert len(server.requests) == 2


def test_fault_29_the_deadline_holds_for_a_queue_and_for_a_silent_server() -> None:
    with VideoServer(progress=[0] * 1000) as server:
        began = time.monotonic()
        assert "gave no answer within 1 s" in failure(generator_at(server, timeout_s=1))
        assert time.monotonic() - began < 15
        assert server.deleted == ["video_0"]
    with VideoServer(faults={"POST videos": [stall]}) as server:
        assert "gave no answer within 0.5 s" in failure(generator_at(server, timeout_s=0.5))


def test_a_cancelled_job_is_cancelled_at_the_server() -> None:
    stop = threading.Event()
    with VideoServer(progress=[0] * 1000, on_poll=lambda number: number == 2 and stop.set()) as server:
        with pytest.raises(RunInterruptedError):
            render(generator_at(server), cancelled=stop.is_set)
        assert server.deleted == ["video_0"]


def test_a_job_that_is_cancelled_while_it_is_created_is_cancelled_too() -> None:
    stop = threading.Event()

    def slowly(exchange: Any) -> None:
        stop.set()
        time.sleep(0.4)
        exchange.server.owner.answer(exchange)

    with VideoServer(progress=[0] * 1000, faults={"POST videos": [slowly]}) as server:
        with pytest.raises(RunInterruptedError):
            render(generator_at(server), cancelled=stop.is_set)
        assert server.deleted == ["video_0"]


def test_a_silent_server_does_not_hold_up_a_stop() -> None:
    stop = threading.Event()
    with VideoServer(faults={"GET job": [stall]}) as server:
        threading.Timer(0.5, stop.set).start()
        began = time.monotonic()
        with pytest.raises(RunInterruptedError):
            render(generator_at(server), cancelled=stop.is_set)
        assert time.monotonic() - began < 15
        assert server.deleted == ["video_0"]


def test_only_the_key_of_the_config_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody-else")
    with VideoServer() as server:
        render(generator_at(server))
        assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}
        assert "somebody-else" not in str(server.requests)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"base_url": None}, "generator.base_url: "),
        ({"model": "tiny"}, "generator.model: "),
        ({"height": None}, "generator.height, generator.width: "),
        ({"lora": "x/y"}, "generator.lora: a video server does not take it"),
        ({"solver": "unipc"}, "generator.solver: "),
        ({"draft_cache": "pab"}, "generator.draft_cache: "),
        ({"quantize": "fp8"}, "generator.quantize: "),
        ({"image": "a.png"}, "generator.image: "),
        ({"base_url": "https://api.openai.com/v1", "api_key_env": "NO_KEY"}, "NO_KEY is not set"),
        ({"base_url": "http://:0/v1"}, "is not the URL of a server"),
    ],
)
def test_settings_that_no_server_takes_are_refused_by_name(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        generator_at("http://127.0.0.1:9/v1", **settings)
