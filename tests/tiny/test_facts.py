"""The rulebook changes the wording of what the video defied, and keeps that of what it did not."""

import itertools
import random
import re
import tomllib
from pathlib import Path

import pytest

import training
from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.comparison import Finding, compare
from phyt2v_cli.tiny.facts import fact_prompts
from phyt2v_cli.tiny.knowledge import physics
from phyt2v_cli.tiny.language import parse_prompt
from phyt2v_cli.tiny.rewriting import MAX_WORLD_WORDS, explicit_prompt
from phyt2v_cli.tiny.wording import Subject, subject_of
from training.captions import DEPTHS, caption
from training.scenes import sample_pool

PHRASES = tomllib.loads((Path(training.__file__).with_name("phrases.toml")).read_text("utf-8"))
PROMPTS = (
    "a red ball drops",
    "a black cube is thrown to the left",
    "a blue ball rolls to the right",
    "a green cube slides to the left",
    "a purple ball swings, starting from the left",
    "a red ball rolls to the right and hits a blue ball at rest",
    "two balls collide",
    "two red balls collide head on",
    "a red balloon floats up",
    "a yellow cube lies on the floor",
    "a red ball rolls down a ramp to the left",
    "a white ball rolls off a table to the right",
    "a big red ball rolls to the left and hits a small blue ball",
    "a green ball on a string swings to the left and hits a blue ball",
    "a stack of a red cube and a blue cube topples to the right",
    "an orange ball rolls behind a wall to the left",
)
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


@pytest.mark.parametrize("kind", world.KINDS)
def test_each_fact_has_several_wordings_in_the_order_of_their_names(kind: world.Kind) -> None:
    """Each is nearest to the training wording whose alphabetical place it has."""
    motion = physics().kinds[kind]
    assert list(motion.facts) == ["cause", "course", "outcome"]
    for fact, wordings in (*motion.facts.items(), *motion.mutual_facts.items()):
        captions = PHRASES["deep"][kind][fact]
        assert len(wordings) == len(captions) >= 2
        if fact == "outcome" and kind == "collide":
            captions = PHRASES["parts"]["head_on" if wordings != motion.facts[fact] else "one_sided"]
        for name, wording in zip(sorted(captions), wordings, strict=True):
            assert max(captions, key=lambda other: _likeness(wording, captions[other])) == name


def _likeness(wording: str, template: str) -> float:
    """Share of the words of a sentence that a template has, in the best of its choices."""
    said, offered = set(_plain(re.sub(r"\{\w+\}", "", wording)).split()), set(re.findall(r"[a-z]+", template))
    return len(said & offered) / len(said) + len(said & offered) / len(offered) / 10


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_parser_reads_every_wording_as_it_is_meant(prompt: str) -> None:
    subject = _subject(prompt)
    assert subject.kind is not None
    motion = physics().kinds[subject.kind]
    facts = motion.facts | motion.mutual_facts if subject.mutual else motion.facts
    for wordings in itertools.product(*facts.values()):
        said = [subject.fill(wording, known=number > 0) for number, wording in enumerate(wordings)]
        text = " ".join(said)
        assert len(text.split()) <= MAX_WORLD_WORDS
        for part in (said[0], text):
            request = parse_prompt(part)
            assert (request.kind, request.objects) == (subject.kind, subject.scene.objects), part
            assert request.direction == subject.scene.direction, part


def test_the_prompts_ask_for_every_kind() -> None:
    assert {_subject(prompt).kind for prompt in PROMPTS} == set(world.KINDS)
    assert any(_subject(prompt).mutual for prompt in PROMPTS)


def test_objects_are_introduced_once() -> None:
    (cause, *rest) = next(iter(fact_prompts(_subject("two red balls drop"), [], "", 45)))
    assert cause == "Two red balls. Gravity pulls each straight down."
    assert rest[0] == "It speeds up as it falls."


@pytest.mark.parametrize("kind", world.LEARNED_KINDS)
def test_the_present_weights_are_asked_in_the_sentences_that_they_have_learned(kind: world.Kind) -> None:
    prompt = next(p for p in PROMPTS if _subject(p).kind == kind)
    said = explicit_prompt(prompt, _subject(prompt), [], previous=prompt, max_words=45)
    assert said == _subject(prompt).fill(physics().kinds[kind].wordings[0])


def test_the_first_prompt_has_the_standard_wordings() -> None:
    first = _next(PROMPT, findings=[])
    assert first == (
        "Gravity pulls a red ball down the slope of a ramp to the left. "
        "On its way down it rolls faster and faster. "
        "At the foot it keeps rolling over the floor, slower and slower."
    )


def test_only_the_defied_fact_changes_and_what_failed_is_not_tried_again() -> None:
    prompt = _next(PROMPT, findings=[])
    tried = [_course(prompt)]
    for _ in physics().kinds["ramp"].facts["course"][1:]:
        prompt = _next(prompt)
        assert "red ball down the slope of a ramp to the left" in prompt
        tried.append(_course(prompt))
    assert len(set(tried)) == len(tried)


def test_the_other_facts_are_in_doubt_once_all_wordings_of_the_defied_one_have_failed() -> None:
    subject, caption = _subject("a red ball falls"), "The red ball stops in mid-air and hangs there."
    said = ["a red ball falls"]
    for _ in range(7):
        found = compare(said[0], subject, caption)
        said.append(" ".join(next(iter(fact_prompts(subject, found, said[-1], 45)))))
    assert len(set(said)) == len(said)


def test_a_broken_law_that_points_to_no_fact_puts_all_in_doubt() -> None:
    before = _next(PROMPT, findings=[])
    after = _next(before, "A red ball vanishes.")
    assert "visible" in after
    assert "red ball down the slope of a ramp to the left" not in after
    assert _course(after) != _course(before)
    again = _next(after, "A red ball vanishes.")
    assert len({_course(text) for text in (before, after, again)}) == 3


def test_a_wrong_look_changes_the_lead_only() -> None:
    before = _next(PROMPT, findings=[])
    after = _next(before, "A blue ball rolls down a ramp to the left.")
    assert after.startswith("A red ball is red all over.")
    assert before.startswith("Gravity pulls a red ball down the slope of a ramp")
    assert "down the slope of a ramp" in after
    assert _course(after) == _course(before)


def test_a_second_candidate_differs() -> None:
    texts = list(fact_prompts(_subject(), compare(PROMPT, _subject(), STUCK), PROMPT, 45))
    assert len(set(texts)) >= 3


@pytest.mark.parametrize("kind", world.KINDS)
def test_every_oddity_of_a_kind_belies_a_fact_that_it_has(kind: world.Kind) -> None:
    for oddity in physics().oddities.values():
        if kind in oddity.facts:
            assert kind in oddity.kinds
            assert oddity.facts[kind] in physics().kinds[kind].facts


def test_its_sentences_are_its_own_in_the_words_of_the_training_captions() -> None:
    rng = random.Random(6)
    pool = sample_pool(8000, 6)
    captions = {_plain(caption(pool, i, d, rng)) for i in range(len(pool)) for d in DEPTHS}
    known = {word for text in captions for word in text.split()}
    words = []
    accounts = ["", *(f"A thing {oddity.phrases[0]}." for oddity in physics().oddities.values())]
    for prompt, account in itertools.product(PROMPTS, accounts):
        found = compare(prompt, _subject(prompt), account)
        for said in fact_prompts(_subject(prompt), found, "", 45):
            assert _plain(" ".join(said)) not in captions
            words += _plain(" ".join(said)).split()
    assert sum(word in known for word in words) >= 0.98 * len(words)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", text.lower()))
