"""Forms of replies: one table, read by the reader itself and by every role that gets text from elsewhere."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from phyt2v_cli.backends.program.scorer import CommandScorer
from phyt2v_cli.config.judges import ScorerConfig
from phyt2v_cli.errors import BackendError
from phyt2v_cli.replies import MAX_ANSWER_CHARS, UnusableReplyError, ask, read_json, read_text
from tests.scripted_server import Behaviour, ScriptedServer, answer, completion, raw
from tests.server_clients import ANALYSIS, analyse, captioner_at, scorer_at

RATING = '{"score": 0.7}'
CAPTION = "A red ball falls to the floor."
PRINTED = '{"semantic_adherence": 0.25, "physical_commonsense": 1}'

CLEAR: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "white space around": lambda text: f" \n{text}\r\n\n",
    "byte order mark": lambda text: f"\ufeff{text}",
    "reasoning": lambda text: f"<think>\nhm {{maybe}}\n</think>\n\n{text}",
    "empty reasoning": lambda text: f"<think>\n\n</think>\n\n{text}",
    "reasoning without its begin": lambda text: f"so it falls\n</think>\n{text}",
    "only the end of reasoning": lambda text: f"</think>{text}",
    "two blocks of reasoning": lambda text: f"<think>a</think>\n<think>b</think>{text}",
    "reasoning by another name": lambda text: f"<reasoning>a</reasoning>{text}",
    "reasoning of Magistral": lambda text: f"[THINK]a[/THINK]{text}",
    "reasoning in capitals": lambda text: f"<THINK>a</THINK>{text}",
    "reasoning in reasoning": lambda text: f"<think>a <think>b</think> c</think>{text}",
    "reasoning in a channel": lambda text: (
        f"<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>{text}<|return|>"
    ),
    "marks of the end": lambda text: f"{text}<|im_end|>\n</s>",
    "zero-width space at the end": lambda text: f"{text}\u200b",
    "fence": lambda text: f"```json\n{text}\n```",
    "fence without a language": lambda text: f"```\n{text}\n```\n",
    "fence of tildes": lambda text: f"~~~\n{text}\n~~~",
    "reasoning and a fence": lambda text: f"<think>a</think>\n```json\n{text}\n```",
}
"""Forms that leave nothing to guess."""

NO_ANSWER: dict[str, str] = {
    "nothing": "",
    "white space": " \n",
    "reasoning only": "<think>it falls</think>",
    "reasoning without an end": "<think>it falls, and then",
    "too much": "x" * (MAX_ANSWER_CHARS + 1),
}
"""Forms that hold no answer, whatever was asked for."""

UNCLEAR: dict[str, Callable[[str], str]] = {
    "words before": lambda text: f"Sure! {text}",
    "words after": lambda text: f"{text} I hope this helps.",
    "words around a fence": lambda text: f"Here it is:\n```json\n{text}\n```",
    "two fences": lambda text: f"```json\n{text}\n```\n```json\n{text}\n```",
    "two objects": lambda text: f"{text}\n{text}",
    "a list": lambda text: f"[{text}]",
    "a key with two values": lambda text: text.replace("{", '{"score": 0.1, "main_object": "x", ', 1),
    "broken off": lambda text: text[:-2],
    "deep": lambda _: "[" * 50_000,
    "a long number": lambda _: '{"score": ' + "1" * 5000 + "}",
}
"""Forms that leave something to guess if JSON was asked for."""

MESSAGES: dict[str, Callable[[str], dict[str, Any]]] = {
    "parts": lambda text: {
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": text}, {}]
    },
    "reasoning_content": lambda text: {"content": "", "reasoning_content": text},
    "reasoning": lambda text: {"content": None, "reasoning": text, "reasoning_content": None},
    "reasoning beside the content": lambda text: {"content": text, "reasoning_content": "hm"},
}
"""Shapes of a server's message."""

clear = pytest.mark.parametrize("form", CLEAR.values(), ids=CLEAR)
no_answer = pytest.mark.parametrize("reply", NO_ANSWER.values(), ids=NO_ANSWER)
unclear = pytest.mark.parametrize("form", UNCLEAR.values(), ids=UNCLEAR)


class Score(BaseModel):
    score: float
    why: str = ""
    more: list[str] = []


@clear
def test_what_leaves_nothing_to_guess_is_read(form: Callable[[str], str]) -> None:
    assert read_json(form(RATING), Score).score == 0.7
    assert read_text(form(CAPTION)) == CAPTION


@no_answer
def test_what_holds_no_answer_is_not(reply: str) -> None:
    for read in (read_text, lambda text: read_json(text, Score)):
        with pytest.raises(UnusableReplyError, match=r"\w"):
            read(reply)


@unclear
def test_what_leaves_something_to_guess_is_not(form: Callable[[str], str]) -> None:
    with pytest.raises(UnusableReplyError, match=r"\w"):
        read_json(form(RATING), Score)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"score": 1, "why": null, "more": null}', Score(score=1)),
        ('{"score": 1, "why": "1. it falls\n\t2. it lies"}', Score(score=1, why="1. it falls\n\t2. it lies")),
        ('{"score": 1, "confidence": 0.2}', Score(score=1)),
        ('{"score": 1, "score": 1}', Score(score=1)),
        ('{"score": 1, "why": "a </think> and ```"}', Score(score=1, why="a </think> and ```")),
        ('```json {"score": 1}```', Score(score=1)),
    ],
)
def test_odd_json_that_is_clear(text: str, expected: Score) -> None:
    assert read_json(text, Score) == expected


def test_null_for_a_number_is_no_answer() -> None:
    with pytest.raises(UnusableReplyError, match="score: Input should be a valid number"):
        read_json('{"score": null}', Score)


@pytest.mark.parametrize("part", ["</s>", " ", "<|channel|>final", "x</s> "])
def test_many_marks_take_no_long_time(part: str) -> None:
    with pytest.raises(UnusableReplyError):
        read_text(f"x{part * 1_000_000}x")


def test_many_blocks_of_reasoning_take_no_long_time() -> None:
    assert read_text("<think></think>" * 200_000 + CAPTION) == CAPTION


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (read_text, lambda text: read_json(text, Score)):
        try:
            read(text)
        except UnusableReplyError as error:
            assert str(error)


def test_an_unusable_reply_is_sent_back_once_with_the_reason() -> None:
    sent = []

    def send(correction: Any) -> str:
        sent.append(correction)
        return "" if len(sent) == 1 else CAPTION

    assert ask(send, read_text) == CAPTION
    assert sent[0] is None
    assert sent[1].why == "it is empty"
    assert [(message.role, bool(message.content)) for message in sent[1].messages] == [
        ("assistant", True),
        ("user", True),
    ]
    assert sent[1].why in sent[1].messages[1].content


def message(fields: dict[str, Any]) -> Behaviour:
    body = completion("")
    body["choices"][0]["message"] = {"role": "assistant", **fields}
    return raw(json.dumps(body).encode())


def judge_with(behaviour_of: Callable[[str], Behaviour], video_path: Path) -> None:
    """Let each role on a server read its answer in one form, at the first attempt."""
    analysis, _, bodies = analyse(behaviour_of(ANALYSIS))
    assert (analysis.main_object, len(bodies)) == ("the ball", 1)
    with ScriptedServer(behaviour_of(CAPTION)) as server:
        assert captioner_at(server).caption(video_path, "Say what you see.") == CAPTION
        assert len(server.requests) == 1
    with ScriptedServer(behaviour_of(RATING)) as server:
        scores = scorer_at(server).score(video_path, "p")
        assert (scores.semantic_adherence, scores.physical_commonsense, scores.problem) == (0.7, 0.7, None)
        assert len(server.requests) == 3  # the first asks for logprobs


@pytest.mark.usefixtures("loopback")
@clear
def test_fault_61_roles_on_servers_read_every_clear_form(
    form: Callable[[str], str], video_path: Path
) -> None:
    judge_with(lambda text: answer(form(text)), video_path)


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize("shape", MESSAGES.values(), ids=MESSAGES)
def test_roles_on_servers_read_every_shape_of_message(
    shape: Callable[[str], dict[str, Any]], video_path: Path
) -> None:
    judge_with(lambda text: message(shape(text)), video_path)


@pytest.mark.usefixtures("loopback")
@unclear
def test_roles_on_servers_ask_again_for_unclear_json(form: Callable[[str], str], video_path: Path) -> None:
    _, replies, bodies = analyse(answer(form(ANALYSIS)), answer(ANALYSIS))
    assert len(replies) == len(bodies) == 2
    script = [answer("x"), answer(form(RATING)), answer(RATING), answer(RATING)]
    with ScriptedServer(*script) as server:
        scores = scorer_at(server).score(video_path, "p")
        assert (scores.semantic_adherence, scores.physical_commonsense) == (0.7, 0.7)
        assert len(server.requests) == 4


@pytest.mark.usefixtures("loopback")
@no_answer
def test_fault_61_roles_on_servers_ask_again_where_there_is_no_answer(reply: str, video_path: Path) -> None:
    _, replies, _ = analyse(answer(reply), answer(ANALYSIS))
    assert len(replies) == 2
    with ScriptedServer(answer(reply), answer(CAPTION)) as server:
        assert captioner_at(server).caption(video_path, "Say what you see.") == CAPTION
        again = server.bodies[1]["messages"]
    assert [turn["role"] for turn in again] == ["user", "assistant", "user"]
    assert len(again[0]["content"]) == 5  # the pictures stay with the question
    assert "cannot be used" in again[2]["content"]


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], CommandScorer]:
    def make(printed: str) -> CommandScorer:
        (tmp_path / "printed").write_bytes(printed.encode())
        code = f"import sys; sys.stdout.buffer.write(open({str(tmp_path / 'printed')!r}, 'rb').read())"
        return CommandScorer(ScorerConfig(command=(sys.executable, "-S", "-c", code), timeout_s=60))

    return make


@clear
def test_fault_61_a_program_may_print_every_clear_form(
    form: Callable[[str], str], program: Callable[[str], CommandScorer]
) -> None:
    assert program(form(PRINTED)).score(Path("x.mp4"), "p").semantic_adherence == 0.25


@pytest.mark.parametrize("form", ["words before", "two objects", "a list", "broken off"])
def test_a_program_may_print_no_unclear_form(form: str, program: Callable[[str], CommandScorer]) -> None:
    with pytest.raises(BackendError, match="no usable scores"):
        program(UNCLEAR[form](PRINTED)).score(Path("x.mp4"), "p")
