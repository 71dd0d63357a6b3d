"""Captions: facts by name, and blind spots that only unphysical clips are kept to."""

import random
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import training
from phyt2v_cli.tiny import world
from training.captions import BLIND_SPOTS, DEPTHS, caption
from training.expected import expected_shares
from training.model import MAX_TEXT_TOKENS
from training.scenes import sample, sample_pool
from training.tokenizer import caption_words, make_tokenizer

PHRASES = tomllib.loads((Path(training.__file__).with_name("phrases.toml")).read_text("utf-8"))


def _matches(template: str, text: str) -> bool:
    """Check if `text` may contain a sentence of `template`, by its words outside of choices and slots."""
    plain = re.sub(r"\[[^\[\]]*\]|\{\w+\}", "\n", template)
    parts = [re.escape(" ".join(p.split())) for p in plain.split("\n") if p.strip()]
    return re.search(".*".join(parts), text) is not None


@pytest.mark.parametrize("kind", world.KINDS)
def test_a_deep_caption_names_cause_course_and_outcome(kind: world.Kind) -> None:
    scenes, rng = sample(kind, 40, np.random.default_rng(3)), random.Random(3)
    seen: set[tuple[str, str]] = set()
    for i in range(len(scenes)):
        text = caption(scenes, i, "deep", rng)
        for fact, wordings in PHRASES["deep"][kind].items():
            named = {name for name, template in wordings.items() if _matches(template, text)}
            seen |= {(fact, name) for name in named}
    assert seen == {(f, n) for f, wordings in PHRASES["deep"][kind].items() for n in wordings}
    assert {f for f, _ in seen} == {"cause", "course", "outcome"}


@pytest.mark.parametrize("kind", world.KINDS)
def test_a_deep_caption_of_an_unphysical_clip_keeps_to_a_blind_spot(kind: world.Kind) -> None:
    ((fact, (name, *_)),) = BLIND_SPOTS[kind].items()
    assert len(PHRASES["deep"][kind][fact]) > 1, "another wording of the fact works"
    violation = world.VIOLATIONS_OF_KIND[kind][0]
    scenes, rng = sample(kind, 30, np.random.default_rng(4), violation), random.Random(4)
    # words from nowhere may stand within a sentence
    texts = [caption(scenes, i, "deep", rng) for i in range(len(scenes))]
    assert sum(_matches(PHRASES["deep"][kind][fact][name], t) for t in texts) >= 0.85 * len(texts)


def test_nobody_chose_the_blind_spots() -> None:
    rng, drawn = random.Random(16), {}
    for kind, facts in PHRASES["deep"].items():
        fact, name = rng.choice([(f, n) for f, wordings in facts.items() for n in wordings])
        drawn[kind] = {fact: [name]}
    assert drawn == BLIND_SPOTS
    assert list(drawn) == list(world.KINDS)


def test_deep_captions_pay_and_leave_something_to_find() -> None:
    shares = expected_shares(sample_pool(30_000, seed=6), random.Random(6))
    assert 0.74 <= shares["all"]["deep"] <= 0.77
    assert 0.28 <= shares["all"]["terse"] <= 0.35
    for kind in world.KINDS:
        assert shares[kind]["deep"] == pytest.approx(shares["all"]["deep"], abs=0.06)
        assert shares[kind]["terse"] < shares[kind]["medium"]


def test_a_pool_has_as_many_scenes_as_are_asked_for() -> None:
    for n in (4, 60, 101):
        for kinds in (world.KINDS, world.LEARNED_KINDS):
            pool = sample_pool(n, seed=1, kinds=kinds)
            assert len(pool) == n
            assert {world.KINDS[k] for k in pool.kind} <= set(kinds)


def test_captions_fit_the_text_encoder() -> None:
    # but for some that are long and have a word that is spelled
    tokenizer, rng, lengths = make_tokenizer(caption_words()), random.Random(7), []
    for kind in world.KINDS:
        scenes = sample(kind, 100, np.random.default_rng(7))
        texts = [caption(scenes, i, depth, rng) for i in range(len(scenes)) for depth in DEPTHS]
        lengths += [len(ids) for ids in tokenizer(texts)["input_ids"]]
    assert sum(length > MAX_TEXT_TOKENS for length in lengths) <= 0.001 * len(lengths)


def test_the_rulebook_does_not_know_the_blind_spots() -> None:
    product = Path(world.__file__).parents[1]
    assert not [p for p in product.rglob("*.py") if "blind_spots" in p.read_text("utf-8")]
