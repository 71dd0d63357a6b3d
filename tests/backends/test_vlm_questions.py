"""The questions to a VLM, and what becomes of its answers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phyt2v_cli.backends.vlm import (
    PHYSICAL_QUESTION,
    PHYSICAL_RATING_QUESTION,
    ask_for_rating,
    caption_question,
    probability_of_yes,
    semantic_question,
    semantic_rating_question,
    yes_or_no,
)


def test_each_question_says_how_to_answer() -> None:
    for question in (semantic_question("a ball"), PHYSICAL_QUESTION):
        assert question.endswith("one word, yes or no.")
    for question in (semantic_rating_question("a {ball}"), PHYSICAL_RATING_QUESTION):
        assert '{"score": S}' in question


def test_a_captioner_is_told_that_the_pictures_are_one_video() -> None:
    assert caption_question("Say what moves.").endswith(
        "frames of one video, in the order in which they are shown. Say what moves."
    )


@pytest.mark.parametrize(
    "token", ["yes", " Yes", "YES", "\u2581yes", "\u0120Yes", "Yes.", '"yes"', "**Yes**\n"]
)
def test_variants_of_yes(token: str) -> None:
    assert yes_or_no(token) is True


@pytest.mark.parametrize("token", ["", "yesterday", "not", "nothing", "y", "I", "yes no"])
def test_what_is_neither(token: str) -> None:
    assert yes_or_no(token) is None


def test_the_variants_of_each_word_are_summed() -> None:
    chances = {" Yes": 0.5, "yes": 0.1, "No": 0.2, "\u0120no": 0.0, "The": 0.2}
    logprobs = {token: math.log(p) if p else -math.inf for token, p in chances.items()}
    assert probability_of_yes(logprobs) == pytest.approx(0.6 / 0.8)


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        ({}, None),
        ({"The": -0.1, "A": -3.0}, None),
        ({"yes": -0.1}, 1.0),
        ({"no": -5.0}, 0.0),
        ({"yes": -9999.0}, None),
        ({"yes": math.nan, "no": -1.0}, 0.0),
        ({"yes": 1e6, "no": 0.0}, 0.5),
    ],
)
def test_odd_probabilities(logprobs: dict[str, float], expected: float | None) -> None:
    assert probability_of_yes(logprobs) == expected


@given(st.dictionaries(st.sampled_from(["yes", " No", "Yes", "x", "no"]), st.floats()))
def test_any_probabilities_give_a_score_or_none(logprobs: dict[str, float]) -> None:
    score = probability_of_yes(logprobs)
    assert score is None or 0 <= score <= 1


@pytest.mark.parametrize(
    ("text", "score"),
    [('{"score": 0.8}', 0.8), (' {"score": 1}\n', 1.0), ('{"score": 0.7, "reason": "it falls"}', 0.7)],
)
def test_a_rating(text: str, score: float) -> None:
    assert ask_for_rating(lambda _: text, "How good?", who="The VLM", hint="") == score
