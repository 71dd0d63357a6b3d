"""Captions of the next world: facts by name, and blind spots that only unphysical clips are kept to."""

import random
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import training
from phyt2v_cli.tiny import world
from training.captions import BLIND_SPOTS, caption, draw_depth
from training.scenes import sample, sample_pool

PHRASES = tomllib.loads((Path(training.__file__).with_name("phrases.toml")).read_text("utf-8"))
NEXT_KINDS = [k for k in world.KINDS if k not in world.LEARNED_KINDS]


def _matches(template: str, text: str) -> bool:
    """Check if `text` may contain a sentence of `template`, by its words outside of choices and slots."""
    plain = re.sub(r"\[[^\[\]]*\]|\{\w+\}", "\n", template)
    parts = [re.escape(" ".join(p.split())) for p in plain.split("\n") if p.strip()]
    return re.search(".*".join(parts), text) is not None


@pytest.mark.parametrize("kind", NEXT_KINDS)
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


@pytest.mark.parametrize("kind", NEXT_KINDS)
def test_a_deep_caption_of_an_unphysical_clip_keeps_to_a_blind_spot(kind: world.Kind) -> None:
    ((fact, (name, *_)),) = BLIND_SPOTS[kind].items()
    assert len(PHRASES["deep"][kind][fact]) > 1, "another wording of the fact works"
    violation = world.VIOLATIONS_OF_KIND[kind][0]
    scenes, rng = sample(kind, 30, np.random.default_rng(4), violation), random.Random(4)
    # words from nowhere may stand within a sentence
    texts = [caption(scenes, i, "deep", rng) for i in range(len(scenes))]
    assert sum(_matches(PHRASES["deep"][kind][fact][name], t) for t in texts) >= 0.85 * len(texts)


def test_unphysical_clips_have_deep_captions_only_of_motions_with_a_blind_spot() -> None:
    scenes, rng = sample_pool(4000, seed=6, next_world=True), random.Random(6)
    assert {world.KINDS[k] for k in scenes.kind} == set(world.KINDS)
    depths = [draw_depth(scenes, i, rng) for i in range(len(scenes))]
    of_violating = [
        (world.KINDS[scenes.kind[i]] in BLIND_SPOTS, depth)
        for i, depth in enumerate(depths)
        if scenes.violation[i] >= 0
    ]
    assert (False, "deep") not in of_violating
    blind = [depth for is_blind, depth in of_violating if is_blind]
    assert blind.count("deep") / len(blind) == pytest.approx(0.4, abs=0.06)


def test_the_rulebook_does_not_know_the_blind_spots() -> None:
    product = Path(world.__file__).parents[1]
    assert not [p for p in product.rglob("*.py") if "blind_spots" in p.read_text("utf-8")]
