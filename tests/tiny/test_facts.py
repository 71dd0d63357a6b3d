"""The rulebook changes the wording of what the video defied, and keeps that of what it did not."""

import random
import re

import numpy as np
import pytest

from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.comparison import Finding, compare
from phyt2v_cli.tiny.facts import fact_prompts
from phyt2v_cli.tiny.knowledge import physics
from phyt2v_cli.tiny.language import parse_prompt
from phyt2v_cli.tiny.wording import Subject, subject_of
from training.captions import DEPTHS, caption
from training.scenes import sample, sample_pool

NEXT_KINDS = [k for k in world.KINDS if physics().kinds[k].facts]
PROMPT = "a red ball rolls down a ramp to the left"
STUCK = "A red ball rolls down a ramp. It stops on the ramp and stays there."


def _subject(prompt: str = PROMPT) -> Subject:
    return subject_of(prompt, parse_prompt(prompt))


def _next(previous: str, caption: str = STUCK, findings: list[Finding] | None = None) -> str:
    found = compare(PROMPT, _subject(), caption) if findings is None else findings
    return " ".join(next(iter(fact_prompts(_subject(), found, previous, 45))))


def _course(prompt: str) -> int:
    wordings = physics().kinds["ramp"].facts["course"]
    (place,) = (i for i, wording in enumerate(wordings) if wording in prompt)
    return place


def test_the_kinds_of_the_next_world_have_facts_and_the_learned_ones_have_not() -> None:
    assert set(NEXT_KINDS).isdisjoint(world.LEARNED_KINDS)
    assert len(NEXT_KINDS) + len(world.LEARNED_KINDS) == len(world.KINDS)
    for kind in NEXT_KINDS:
        assert list(physics().kinds[kind].facts) == ["cause", "course", "outcome"]
        assert all(len(wordings) >= 2 for wordings in physics().kinds[kind].facts.values())


def test_the_first_prompt_has_the_standard_wordings() -> None:
    first = _next(PROMPT, findings=[])
    assert first == (
        "A red ball is let go at the top of a ramp and rolls down it to the left. "
        "On its way down it rolls faster and faster. Inertia carries it on along the flat floor."
    )


def test_only_the_defied_fact_changes_and_what_failed_is_not_tried_again() -> None:
    prompt = _next(PROMPT, findings=[])
    tried = [_course(prompt)]
    for _ in physics().kinds["ramp"].facts["course"][1:]:
        prompt = _next(prompt)
        assert "is let go at the top of a ramp and rolls down it to the left" in prompt
        tried.append(_course(prompt))
    assert len(set(tried)) == len(tried)


def test_what_defies_no_fact_changes_the_lead_only() -> None:
    before = _next(PROMPT, findings=[])
    after = _next(before, "A red ball vanishes.")
    assert _course(after) == _course(before)
    assert "visible" in after
    assert _next(after, "A red ball vanishes.").split(".")[0] != after.split(".")[0]


def test_a_second_candidate_differs() -> None:
    texts = list(fact_prompts(_subject(), compare(PROMPT, _subject(), STUCK), PROMPT, 45))
    assert len(set(texts)) >= 3


@pytest.mark.parametrize("kind", NEXT_KINDS)
def test_every_oddity_of_a_kind_belies_a_fact_that_it_has(kind: world.Kind) -> None:
    for oddity in physics().oddities.values():
        if kind in oddity.facts:
            assert kind in oddity.kinds
            assert oddity.facts[kind] in physics().kinds[kind].facts


def test_its_sentences_are_its_own_in_the_words_of_the_training_captions() -> None:
    rng = random.Random(6)
    pools = [sample_pool(4000, 6), *(sample(k, 300, np.random.default_rng(6)) for k in NEXT_KINDS)]
    captions = {_plain(caption(s, i, d, rng)) for s in pools for i in range(len(s)) for d in DEPTHS}
    known = {word for text in captions for word in text.split()}
    words = []
    for kind in NEXT_KINDS:
        scenes = sample(kind, 20, np.random.default_rng(7))
        for i in range(len(scenes)):
            subject = _subject(caption(scenes, i, "medium", rng))
            assert subject.kind == kind
            for said in fact_prompts(subject, [], "", 45):
                assert _plain(" ".join(said)) not in captions
                words += _plain(" ".join(said)).split()
    assert sum(word in known for word in words) >= 0.98 * len(words)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", text.lower()))
