"""Judges from the command line: each way to go wrong is one line and exit code 4, and loses no video."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.command_line import CommandLine, Outcome, assignments, sizes
from tests.scripted_server import Exchange, ScriptedServer, answer_of_any_task, answer_with, raw, status

KEY_ENV = "JUDGE_KEY"
GOOD_KEY = "sk-right-0123456789"
SCORES = '{"semantic_adherence": 0.5, "physical_commonsense": 0.5}'


def answer_by_request(exchange: Exchange) -> None:
    """Answer as a server of one model that sees, one that does not, and no other would."""
    if exchange.path.startswith("/foreign"):
        behaviour = raw(b"<html>hello</html>", "text/html")
    elif exchange.headers["Authorization"] == "Bearer sk-wrong":
        behaviour = status(401)
    elif exchange.body["model"] == "blind":
        behaviour = status(400, {"error": {"message": "image_url is not supported by this model"}})
    elif exchange.body["model"] != "m":
        behaviour = status(404)
    else:
        behaviour = answer_with(answer_of_any_task)
    behaviour(exchange)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(answer_by_request) as running:
        yield running


@dataclass(frozen=True)
class Situation:
    """What is wrong, with which words it is told, and how it is mended."""

    name: str
    told: str
    wrong: dict[str, object] = field(default_factory=dict)
    wrong_key: str = GOOD_KEY
    program_prints: str = SCORES
    costs_a_video: bool = False
    """Whether it shows only once there is something to judge."""


SITUATIONS = [
    Situation("wrong key", KEY_ENV, wrong_key="sk-wrong"),
    Situation("wrong model name", "captioner.model", {"captioner.model": "mm"}),
    Situation("server down", "Is the server running", {"captioner.base_url": "http://127.0.0.1:1/v1"}),
    Situation("not OpenAI's", "not OpenAI-compatible", {"captioner.base_url": "{root}/foreign/v1"}),
    Situation("cannot see", "does not take pictures", {"captioner.model": "blind"}),
    Situation(
        "rubbish scores", "printed no usable scores", program_prints="loading... 0.5", costs_a_video=True
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_bad_judges_cost_one_line_and_no_video(
    situation: Situation,
    server: ScriptedServer,
    phyt2v: CommandLine,
    tiny_cogvideox_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = phyt2v.folder / "judge"

    def refine(wrong: dict[str, object], key: str, program_prints: str) -> Outcome:
        program.write_text(f"#!/bin/sh\necho '{program_prints}'\n")
        program.chmod(0o755)
        monkeypatch.setenv(KEY_ENV, key)
        root = server.url.rpartition("/v1")[0].rpartition("/")[0]
        settings: dict[str, object] = {
            **sizes(9, 16, 16),
            "llm.backend": "rulebook",
            "captioner.base_url": server.url,
            "captioner.model": "m",
            "captioner.api_key_env": KEY_ENV,
            "captioner.max_retries": 0,
            "captioner.num_frames": 2,
            "scorer.backend": "command",
            "scorer.command": program,
            **{name: str(value).format(root=root) for name, value in wrong.items()},
        }
        words = ["--prompt", "a red ball drops", "--steps", "2,3", "--model", str(tiny_cogvideox_dir)]
        return phyt2v("refine", *words, *assignments(settings))

    failed = refine(situation.wrong, situation.wrong_key, situation.program_prints)
    assert (failed.code, failed.out) == (4, ""), failed.err
    (error,) = failed.errors()
    assert situation.told in "\n".join([error, *failed.hints()])
    assert "Traceback" not in failed.err
    assert not {"sk-wrong", GOOD_KEY} & set(failed.err.split())
    (run,) = (phyt2v.folder / "runs").iterdir()
    video = run / "output1.mp4"
    assert video.exists() == situation.costs_a_video
    paid = video.stat() if situation.costs_a_video else None

    done = refine({}, GOOD_KEY, SCORES)
    assert done.code == 0, done.err
    assert done.out == f"runs/{run.name}/output2.mp4\n"
    assert paid is None or video.stat() == paid
    assert refine({}, GOOD_KEY, SCORES).out == done.out
    assert [path.name for path in run.parent.iterdir()] == [run.name]


@pytest.mark.slow
def test_the_embedded_generator_with_an_llm_behind_a_server(
    server: ScriptedServer, phyt2v: CommandLine
) -> None:
    llm = assignments({"llm.base_url": server.url, "llm.model": "m"})
    words = ["--prompt", "a red ball drops", "--preset", "tiny", "--steps", "2,3"]
    done = phyt2v("refine", *words, *llm, "--out", "run")
    assert done.code == 0, done.err
    assert '"refined_prompt": "a ball falls"' in (phyt2v.folder / "run" / "round1.json").read_text()
    assert {request.body["model"] for request in server.requests} == {"m"}


@pytest.mark.parametrize("llm_is_local", [False, True])
def test_judges_of_transformers(
    llm_is_local: bool,
    phyt2v: CommandLine,
    tiny_cogvideox_dir: Path,
    tiny_vlm_dir: Path,
    tiny_llama_dir: Path,
) -> None:
    settings: dict[str, object] = {
        **sizes(9, 16, 16),
        "llm.backend": "rulebook",
        "captioner.backend": "transformers",
        "captioner.model": tiny_vlm_dir,
        "captioner.num_frames": 2,
        "captioner.max_tokens": 8,
        "scorer.backend": "transformers",
        "scorer.model": tiny_vlm_dir,
        "scorer.num_frames": 2,
    }
    if llm_is_local:
        settings |= {"llm.backend": "transformers", "llm.model": tiny_llama_dir, "llm.max_tokens": 16}
    words = ["--prompt", "a red ball drops", "--steps", "2,3", "--model", str(tiny_cogvideox_dir)]
    ended = phyt2v("refine", *words, *assignments(settings), "--out", "run")
    if llm_is_local:  # random weights answer with noise, and that is found out before anything is rendered
        assert (ended.code, ended.out) == (4, "")
        (error,) = ended.errors()
        assert "could not be used, twice" in error or "was cut off" in error
        assert not list(phyt2v.folder.rglob("*.mp4"))
    else:
        assert ended.code == 0, ended.err
        record = json.loads((phyt2v.folder / "run" / "round1.json").read_text())
        assert record["caption"]
        assert list(record["scorers"]) == [f"transformers:{tiny_vlm_dir.name}"]
        assert 0 < record["scores"]["semantic_adherence"] < 1
