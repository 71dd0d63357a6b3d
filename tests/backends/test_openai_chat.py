"""The LLM behind a server, asked as the loop asks it."""

from pathlib import Path

import pytest

from phyt2v_cli.backends.openai_chat import OpenAIChat
from phyt2v_cli.errors import ReplyError
from phyt2v_cli.interfaces import ChatReply, Roles
from phyt2v_cli.prompts import PhysicsAnalysis, analysis_request, ask
from phyt2v_cli.refinement import refine
from phyt2v_cli.settings import LlmConfig
from tests.doubles import Cast, make_config, open_run
from tests.scripted_server import (
    Behaviour,
    Body,
    ScriptedServer,
    answer,
    answer_of_any_task,
    answer_with,
    either,
)

GOOD = '{"reasoning": "r", "main_object": "the ball", "physical_law": "gravity"}'


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def chat_at(server: ScriptedServer) -> OpenAIChat:
    return OpenAIChat(LlmConfig(model="m", base_url=server.url, timeout_s=20, max_retries=1))


def analyse(*script: Behaviour) -> tuple[PhysicsAnalysis, list[ChatReply], list[Body]]:
    replies: list[ChatReply] = []
    with ScriptedServer(*script) as server:
        analysis = ask(
            chat_at(server), analysis_request("a ball drops"), PhysicsAnalysis, on_reply=replies.append
        )
        return analysis, replies, server.bodies


def test_a_request_of_the_loop() -> None:
    analysis, replies, [body] = analyse(answer(GOOD))
    assert analysis.main_object == "the ball"
    assert replies == [ChatReply(GOOD, 10, 2)]
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["reasoning", "main_object", "physical_law"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["main_object"]["description"]
    assert "default" not in schema["properties"]["reasoning"]


@pytest.mark.parametrize(
    "bad",
    ["Sure! It is gravity.", f"```json\n{GOOD}\n```", GOOD + GOOD, '{"main_object": ""}', '{"main_object"'],
)
def test_fault_33_34_a_bad_reply_is_asked_again_with_the_error(bad: str) -> None:
    analysis, replies, bodies = analyse(answer(bad), answer(GOOD))
    assert analysis.physical_law == "gravity"
    assert [reply.text for reply in replies] == [bad, GOOD]
    assert bodies[1]["messages"][2] == {"role": "assistant", "content": bad}
    assert "cannot be used" in bodies[1]["messages"][3]["content"]


@pytest.mark.parametrize(
    ("refusal", "flags"),
    [
        (answer(None, refusal="I cannot help with that"), ["refinement_unusable", "refused"]),
        (answer(""), ["refinement_unusable"]),
        (answer("x", finish_reason="length"), ["refinement_unusable"]),
    ],
)
def test_fault_35_a_refusal_keeps_the_prompt_is_flagged_and_counted(
    refusal: Behaviour, flags: list[str], tmp_path: Path
) -> None:
    good = answer_with(answer_of_any_task)
    asks_for_prompt = either(lambda body: "step_back" in str(body["response_format"]), refusal, good)
    cast = Cast()
    with ScriptedServer(asks_for_prompt) as server, open_run(tmp_path / "run", make_config(rounds=1)) as run:
        roles = Roles(cast.load_generator, chat_at(server), cast.captioner, [cast.scorer])
        refine(run, roles, emit=cast.events.append, cancelled=lambda: False)
        first, second = run.read_round(1), run.read_round(2)
    assert first is not None and second is not None
    assert first.flags == flags
    assert second.prompt == first.prompt
    assert run.record.usage.requests == 3
    assert run.record.status == "complete"


def test_fault_35_an_analysis_that_is_refused_ends_the_run_before_a_generator_is_loaded(
    tmp_path: Path,
) -> None:
    cast = Cast()
    with ScriptedServer(answer(None, refusal="no")) as server, open_run(tmp_path / "run") as run:
        roles = Roles(cast.load_generator, chat_at(server), cast.captioner, [cast.scorer])
        with pytest.raises(ReplyError, match="refused to answer: no"):
            refine(run, roles, emit=cast.events.append, cancelled=lambda: False)
    assert cast.loads == 0
