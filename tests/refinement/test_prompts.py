"""What is asked, and which replies count."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyt2v_cli.errors import BackendError, ReplyError
from phyt2v_cli.refinement.prompts import (
    MismatchReply,
    PhysicsAnalysis,
    RefinedPrompt,
    analysis_request,
    ask,
    find_fault_in_refinement,
    mismatch_request,
    refinement_request,
)
from phyt2v_cli.roles import ChatReply, ChatRequest, Scores
from phyt2v_cli.testing.fakes import FakeChat

ANALYSIS = PhysicsAnalysis(main_object="the ball", physical_law="gravity")
GOOD = json.dumps({"reasoning": "r", "main_object": "the ball", "physical_law": "gravity"})


def ask_twice(first: str, second: str = GOOD) -> tuple[PhysicsAnalysis, list[ChatRequest], list[ChatReply]]:
    llm, replies = FakeChat({"analysis": [first, second]}), list[ChatReply]()
    reply = ask(llm, analysis_request("a ball drops"), PhysicsAnalysis, on_reply=replies.append)
    return reply, llm.requests, replies


def refinement(mismatch: str = "it hovers", max_words: int = 10) -> ChatRequest:
    return refinement_request(
        original_prompt="a ball drops",
        prompt="a ball drops",
        analysis=ANALYSIS,
        caption="a ball hovers",
        mismatch=mismatch,
        scores=Scores(0.25, None, ("hovers",)),
        max_words=max_words,
    )


def material(request: ChatRequest) -> dict[str, str]:
    text = request.messages[-1].content
    quoted: dict[str, str] = json.loads(text[text.index("The material:\n") + 14 :])
    return quoted


def test_a_good_reply_is_taken_at_once() -> None:
    reply, requests, replies = ask_twice(GOOD)
    assert reply.main_object == "the ball"
    assert len(requests) == len(replies) == 1


@pytest.mark.parametrize(
    "first",
    [
        "",
        "The main object is the ball.",
        f"{GOOD}\n{GOOD}",
        f"Sure! {GOOD}",
        f"[{GOOD}]",
        "null",
        GOOD[:-2],
        GOOD.replace("the ball", ""),
        GOOD.replace("the ball", "  \\n "),
        GOOD.replace("the ball", "x" * 501),
        GOOD.replace("the ball", "\\u001b[2J"),
        GOOD.replace("the ball", "\\ud800"),
        GOOD.replace('"the ball"', "3"),
        json.dumps({"main_object": "the ball"}),
        "[" * 50_000,
        "x" * 200_000,
    ],
)
def test_an_unusable_reply_is_asked_for_again_once(first: str) -> None:
    reply, requests, replies = ask_twice(first)
    assert reply.main_object == "the ball"
    assert len(requests) == len(replies) == 2
    again = requests[1]
    assert again.data["error"]
    assert again.messages[:2] == requests[0].messages
    assert [message.role for message in again.messages[2:]] == ["assistant", "user"]
    assert again.data["error"] in again.messages[-1].content
    with pytest.raises(ReplyError, match="analysis could not be used, twice"):
        ask_twice(first, first)


def test_an_error_of_the_backend_is_not_asked_again() -> None:
    llm = FakeChat({"analysis": [BackendError("401")]})
    with pytest.raises(BackendError, match="401"):
        ask(llm, analysis_request("x"), PhysicsAnalysis, on_reply=lambda _: None)
    assert len(llm.requests) == 1


def test_a_mismatch_must_say_what_departs() -> None:
    with pytest.raises(ValueError, match="must say what"):
        MismatchReply.model_validate_json('{"found": true, "text": " "}')
    assert not MismatchReply.model_validate_json('{"found": false, "text": ""}').found


@pytest.mark.parametrize(
    ("prompt", "fault"),
    [
        ("A  BALL drops", "unchanged"),
        ("word " * 11, "11 words"),
        ("too long for the encoder", "3 tokens"),
        ("a ball falls and bounces", None),
    ],
)
def test_a_refinement_is_checked_for_meaning(prompt: str, fault: str | None) -> None:
    found = find_fault_in_refinement(
        RefinedPrompt(prompt=prompt),
        request=refinement(),
        known_prompts=["a ball drops"],
        excess_tokens=lambda text: 3 if "encoder" in text else 0,
        must_change=True,
    )
    assert fault in found if fault and found else found == fault


@pytest.mark.parametrize(
    ("must_change", "fault"), [(False, None), (True, "prompt: is unchanged")], ids=["seen", "blind"]
)
def test_an_unchanged_prompt_is_legal_where_nothing_departs(must_change: bool, fault: str | None) -> None:
    found = find_fault_in_refinement(
        RefinedPrompt(prompt="a ball drops"),
        request=refinement(mismatch="", max_words=2),
        known_prompts=["a ball drops"],
        excess_tokens=lambda _: 0,
        must_change=must_change,
    )
    assert found == fault


def test_the_rulebook_gets_the_same_data_as_the_model() -> None:
    asked = mismatch_request(
        original_prompt="a ball drops",
        prompt="a red ball drops",
        analysis=ANALYSIS,
        caption="a ball hovers",
        scores=Scores(0.25, None, ("hovers", "no floor")),
    )
    assert (
        asked.data
        == material(asked)
        == {
            "original_prompt": "a ball drops",
            "prompt": "a red ball drops",
            "main_object": "the ball",
            "physical_law": "gravity",
            "caption": "a ball hovers",
            "semantic_adherence": "0.25",
            "reasons": "hovers\nno floor",
        }
    )
    refined = refinement()
    assert refined.data == material(refined)
    assert refined.data["feedback"] == "semantic adherence 0.25 of 1; hovers"
    assert refined.data["max_words"] == "10"


def test_the_schema_asks_for_the_reasoning_first() -> None:
    for request in (analysis_request("x"), refinement()):
        required = request.schema["required"]
        assert isinstance(required, list)
        assert required[0] in ("reasoning", "step_back")


@given(st.text())
def test_any_text_stays_inside_the_quoted_data(text: str) -> None:
    request = analysis_request(text)
    assert material(request) == {"original_prompt": text}
    assert request.messages[0] == analysis_request("x").messages[0]
