"""The rulebook answers every task usably: through the same `ask` as an LLM, in its world and outside."""

import json
import random
import re
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from phyt2v_cli.backends.checkpoints.diffusers_folder import find_model
from phyt2v_cli.backends.embedded.rulebook import Rulebook
from phyt2v_cli.refinement import prompts
from phyt2v_cli.refinement.prompts import RefinedPrompt
from phyt2v_cli.roles import Scores
from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.knowledge import everyday
from phyt2v_cli.tiny.language import parse_prompt
from tests.rulebook_replies import ABSTAINED, GOOD, analyse, compare, refine
from training.captions import caption, draw_depth
from training.scenes import sample_pool

REQUESTS = {
    "drop": ["a {} falls", "somebody lets go of a {}", "a {} drops and bounces"],
    "throw": ["a {} is thrown", "a {} is tossed to the right", "a {} flies in an arc to the left"],
    "roll": ["a {} rolls", "a {} rolls to the right", "a {} rolls from right to left"],
    "slide": ["a {} slides", "a {} slides to the left"],
    "swing": ["a {} swings on a string", "a {} swings back and forth"],
    "collide": [
        "a {} bumps into a blue ball",
        "a {} and a blue ball collide",
        "a {} bumps into a resting blue ball",
    ],
    "float": ["a {} floats up", "a {} rises into the air"],
    "rest": ["a {} lies on the floor", "a {} stays still"],
    "ramp": ["a {} rolls down a ramp", "a {} rolls down a hill to the left"],
    "ledge": ["a {} rolls off a table", "a {} falls off the edge", "a {} rolls to the right off a ledge"],
    "unequal": ["a big {} hits a small blue ball", "a heavy {} bumps into a light blue ball to the left"],
    "strike": ["a {} on a string hits a blue ball", "a {} swings on a rope and bumps into a blue ball"],
    "topple": ["a stack of a {} and a blue cube topples", "a {} stands on a blue box and tips over"],
    "hide": ["a {} rolls behind a wall", "a {} rolls to the right behind a wall and comes out again"],
}
SCENES = [
    (kind, template.format(f"{color}{shape}"))
    for kind, templates in REQUESTS.items()
    for template in templates
    for shape in world.SHAPES_OF_KIND[kind]
    for color in ("", "red ", "yellow ")
]
SEEN = {
    "hover": "stops in mid-air and hangs there.",
    "jump": "is suddenly elsewhere.",
    "constant-fall": "falls at one speed and stops dead on the floor.",
    "through-floor": "falls on through the floor.",
    "gain-height": "falls and bounces, and each bounce is higher.",
    "self-propelled": "speeds up with nothing pushing it.",
    "stuck-swing": "swings on a string, stops at the side of its swing and hangs there.",
    "pass-through": "and another ball go through each other.",
    "sink": "falls to the floor.",
    "leap": "shoots up from the floor by itself.",
    "vanish": "vanishes.",
    "stuck": "stops on the ramp and stays there.",
    "level-flight": "goes on level in the air past the edge.",
    "straight-fall": "falls straight down at the edge.",
    "momentum": "touches another ball, and the push is not passed on.",
    "swap": "goes behind the wall and comes out green.",
}
ADDRESSED = {
    "hover": r"falling|falls|flies on|keeps moving|keeps flying|all the way",
    "jump": r"smoothly|moment|time",
    "constant-fall": r"faster|speed up|speeds up",
    "through-floor": r"solid|hard",
    "gain-height": r"lower and lower|loses height|less high",
    "self-propelled": r"slow|loses speed|down the ramp|until the hit|only as they touch|to the floor",
    "stuck-swing": r"back",
    "pass-through": r"bumps",
    "sink": r"rises|floats|up",
    "leap": r"on the floor|to the floor|falls down",
    "vanish": r"all the time|whole time",
    "stuck": r"all the way|keeps rolling",
    "level-flight": r"fall|gravity",
    "straight-fall": r"arc|away",
    "momentum": r"pushes|momentum",
    "swap": r"same|color",
}
OUTSIDE = {
    "Honey is poured over a stack of pancakes.": ("honey", "viscous"),
    "A car brakes on ice": ("car", "Friction"),
    "A glass vase shatters on the kitchen tiles": ("glass vase", "brittle"),
    "A person pours milk into a bowl": ("milk", "liquid"),
    "A candle burns in a dark room, smoke rising slowly": ("candle", "Burning"),
    "An ice cream melts in the sun": ("ice cream", "Heat"),
    'A neon sign says "OPEN LATE". Rain falls on the street.': ("neon sign", ""),
    "EIN HUND SPRINGT ÜBER EINEN ZAUN": ("", ""),
    "一只猫在雪地里奔跑": ("", "persist"),
}


def scene_of(prompt: str) -> tuple[list[tuple[str, str]], str | None]:
    request = parse_prompt(prompt)
    return sorted((o.color or "", o.shape or "") for o in request.objects), request.kind


@pytest.mark.parametrize(("kind", "prompt"), SCENES)
def test_the_refined_prompt_asks_for_the_same_scene(kind: str, prompt: str) -> None:
    assert scene_of(prompt)[1] == kind
    refined = refine(prompt, "", "").prompt
    assert scene_of(refined) == scene_of(prompt)
    assert parse_prompt(refined).direction == parse_prompt(prompt).direction
    assert 10 <= len(refined.split()) <= 45


@pytest.mark.parametrize(
    ("kind", "violation"), [(k, v) for k, vs in world.VIOLATIONS_OF_KIND.items() for v in vs]
)
def test_every_oddity_is_found_and_addressed(kind: world.Kind, violation: world.Violation) -> None:
    for template in REQUESTS[kind]:
        prompt = template.format(f"red {world.SHAPES_OF_KIND[kind][0]}")
        caption = f"A red {world.SHAPES_OF_KIND[kind][0]} {SEEN[violation]}"
        found = compare(prompt, caption)
        assert found.found
        refined = refine(prompt, caption, found.text).prompt
        first = re.split(r"(?<=[.]) ", refined)
        assert re.search(ADDRESSED[violation], " ".join(first[:2])), refined
        assert scene_of(refined) == scene_of(prompt)


@pytest.mark.parametrize(
    ("prompt", "caption", "named"),
    [
        ("a red ball falls", "A blue ball falls from the upper middle and bounces.", "red"),
        ("a cube slides to the left", "A cube slides from left to right and stops.", "left"),
        ("a ball rolls", "A ball falls from the top and bounces, each bounce lower.", "rolls"),
        ("two balls collide", "A ball rolls along the floor.", "another ball"),
        ("a ball falls", "A ball and another ball fall.", "only"),
        ("a black cube falls", "A black ball falls and bounces.", "cube"),
        ("a ball drops and bounces", "A ball falls and lies on the floor.", "bounces"),
    ],
)
def test_what_was_asked_for_and_not_seen_is_named_first(prompt: str, caption: str, named: str) -> None:
    found = compare(prompt, caption)
    assert found.found
    refined = refine(prompt, caption, found.text).prompt
    assert named in refined.split(".")[0]
    assert scene_of(refined) == scene_of(prompt)


@pytest.mark.parametrize(
    ("prompt", "caption"),
    [
        ("a red ball falls", "A red ball falls from the upper middle and bounces, each bounce lower."),
        ("a ball rolls to the left", "A white ball rolls from right to left and slows down."),
        ("a balloon rises", "A purple balloon rises slowly. It never vanishes and does not stop in mid-air."),
        ("a red ball hovers in mid-air", "A red ball hovers in mid-air."),
        ("a red ball bumps into a blue ball", "A red ball rolls, bumps into a blue ball and slows down."),
        ("Honey is poured over pancakes", "Thick honey flows down onto a stack of pancakes."),
    ],
)
def test_nothing_is_found_where_the_caption_fits(prompt: str, caption: str) -> None:
    found = compare(prompt, caption)
    assert (found.found, found.text) == (False, "")


def test_scores_count_where_no_rule_knows_the_reason() -> None:
    found = compare("a ball falls", "A ball falls.", Scores(0.9, 0.3, ("Its speed is odd.",)))
    assert found.found
    assert "Its speed is odd." in found.text
    assert not compare(
        "a ball falls", "A ball falls.", Scores(0.9, 0.9, ("Its speed is slightly odd.",))
    ).found


def test_a_video_of_something_else_is_found_outside_the_world() -> None:
    assert compare("A dog chases a cat", "Waves roll onto a sandy beach.").found
    assert not compare("A dog chases a cat", "Waves roll onto a sandy beach.", ABSTAINED).found


def test_a_good_video_keeps_its_explicit_prompt_and_a_terse_one_becomes_explicit() -> None:
    explicit = refine("a red ball falls", "A red ball falls.", "").prompt
    assert explicit != "a red ball falls"
    assert refine("a red ball falls", "A red ball falls.", "", prompt=explicit).prompt == explicit


@pytest.mark.parametrize("prompt", ["a red ball falls", *list(OUTSIDE)[:3]])
def test_each_round_has_another_wording_while_the_video_departs(prompt: str) -> None:
    caption, said = "The red ball stops in mid-air and hangs there.", [prompt]
    for _ in range(4):
        said.append(refine(prompt, caption, "It hangs in mid-air.", prompt=said[-1]).prompt)
    assert len(set(said)) == 5


@pytest.mark.parametrize("prompt", OUTSIDE)
def test_outside_its_world_it_keeps_the_users_words_and_adds_physics(prompt: str) -> None:
    main_object, law = OUTSIDE[prompt]
    analysis = analyse(prompt)
    assert main_object in analysis.main_object
    assert law in analysis.physical_law
    assert "rulebook" in analysis.reasoning
    refined = refine(prompt, "Something else is seen.", "It is not what was asked.")
    assert prompt.rstrip(".") in refined.prompt
    assert len(refined.prompt.split()) >= len(prompt.split()) + 15
    assert "rulebook" in refined.step_back


def test_too_many_tokens_make_the_next_attempt_shorter() -> None:
    long = refine("a red ball falls", "", "").prompt
    short = refine("a red ball falls", "", "", excess_tokens=8).prompt
    assert len(short.split()) <= len(long.split()) - 8


@pytest.mark.parametrize("prompt", ["x", "cat", "honey is poured over pancakes", "a dog barks", *OUTSIDE])
def test_outside_its_world_the_embedded_model_still_reads_the_users_words_and_some_physics(
    prompt: str,
) -> None:
    """That model spells words that it does not know, so hardly more than the user's own fit into it."""
    tokenizer = AutoTokenizer.from_pretrained(find_model("tiny").source, subfolder="tokenizer")
    said = [prompt]
    for _ in range(3):
        request = prompts.refinement_request(
            original_prompt=prompt,
            prompt=said[-1],
            analysis=analyse(prompt),
            caption="Something else is seen.",
            mismatch="It is not what was asked.",
            scores=GOOD,
            max_words=120,
        )
        find_fault = partial(
            prompts.find_fault_in_refinement,
            request=request,
            known_prompts=[said[-1]],
            must_change=True,
            excess_tokens=lambda text: max(0, len(tokenizer(text).input_ids) - 64),
        )
        reply = prompts.ask(
            Rulebook(), request, RefinedPrompt, on_reply=lambda _: None, find_fault=find_fault
        )
        assert prompt.rstrip(".") in reply.prompt
        assert len(reply.prompt.split()) >= len(prompt.split()) + 5
        assert any(reply.prompt.endswith(sentence) for sentence in whole_sentences()), "none is cut"
        said.append(reply.prompt)
    assert len(set(said[1:])) >= 2


def whole_sentences() -> list[str]:
    """The last words of every sentence of the tables, after which a prompt may end."""
    tables = everyday()
    wordings = [w for topic in (tables.general, *tables.topics.values()) for w in topic.wordings]
    return [text[-12:] for text in (*tables.briefs, *tables.closings, *wordings)]


def test_it_says_that_it_is_a_rulebook_where_it_does_not_know_the_scene() -> None:
    assert "no language model" in Rulebook().reply(prompts.analysis_request("honey is poured")).note
    assert not Rulebook().reply(prompts.analysis_request("a red ball falls")).note


@pytest.mark.parametrize("seen", SEEN.values())
def test_every_oddity_outside_the_embedded_world_is_answered(seen: str) -> None:
    caption = f"A glass vase {seen}"
    assert refine("A glass vase on the tiles", caption, caption).prompt


def test_an_unchanged_rewrite_is_replaced_when_asked_again() -> None:
    request = prompts.refinement_request(
        original_prompt="a red ball falls",
        prompt="a red ball falls",
        analysis=analyse("a red ball falls"),
        caption="A red ball falls at one speed.",
        mismatch="It falls at one speed.",
        scores=GOOD,
        max_words=120,
    )
    rendered = json.loads(Rulebook().reply(request).text)["prompt"]
    refined = prompts.ask(
        Rulebook(),
        request,
        RefinedPrompt,
        on_reply=lambda _: None,
        find_fault=lambda reply: prompts.find_fault_in_refinement(
            reply, request=request, known_prompts=[rendered], excess_tokens=lambda _: 0, must_change=True
        ),
    )
    assert refined.prompt != rendered


def test_its_sentences_are_its_own_in_the_words_of_the_training_captions() -> None:
    """The requests are the model's own terse captions, so their paraphrases are covered as well."""
    scenes, rng = sample_pool(20_000, seed=5), random.Random(5)
    captions = {_plain(caption(scenes, i, draw_depth(scenes, i, rng), rng)) for i in range(len(scenes))}
    known = {word for text in captions for word in text.split()}
    words: list[str] = []
    for i in range(300):
        terse = caption(scenes, i, "terse", rng)
        shape, violation = world.SHAPES[scenes.shape[i, 0]], scenes.violation[i]
        seen = SEEN[world.VIOLATIONS[violation]] if violation >= 0 else "is seen."
        found = compare(terse, f"A {shape} {seen}")
        refined = refine(terse, f"A {shape} {seen}", found.text)
        assert _plain(refined.prompt) not in captions
        words += _plain(refined.prompt).split()
    assert sum(word in known for word in words) >= 0.98 * len(words)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", text.lower()))


ANY_TEXT = st.text(max_size=300).filter(lambda t: any(c.isprintable() and not c.isspace() for c in t))
WORDY = st.lists(
    st.sampled_from(
        [*" ".join(p for _, p in SCENES).split(), *" ".join(OUTSIDE).split(), ".", ",", "{}", "not"]
    ),
    min_size=1,
    max_size=40,
).map(" ".join)


@settings(max_examples=100, deadline=None)
@given(ANY_TEXT | WORDY, ANY_TEXT | WORDY, st.integers(20, 130))
def test_any_text_gets_usable_replies_and_the_same_ones_again(
    prompt: str, caption: str, max_words: int
) -> None:
    found = compare(prompt, caption, Scores(0.5, 0.5))
    assert found == compare(prompt, caption, Scores(0.5, 0.5))
    refined = refine(prompt, caption, found.text, max_words=max_words)
    assert refined == refine(prompt, caption, found.text, max_words=max_words)
    assert refine(prompt, caption, found.text, prompt=refined.prompt, max_words=max_words) != refined


@pytest.mark.parametrize(
    "prompt", ["x" * 10_000, "ball " * 2000, "honey. " * 1428, "\ud800 a \x07 ball falls \x9f"]
)
def test_long_and_broken_text(prompt: str) -> None:
    found = compare(prompt, prompt, Scores(0.0, 0.0))
    assert len(refine(prompt, prompt, found.text).prompt) <= 10_000


@pytest.mark.parametrize("prompt", ["a red ball falls", "two balls collide", *OUTSIDE])
def test_ten_words_are_kept_to(prompt: str) -> None:
    assert len(refine(prompt, "", "", max_words=10).prompt.split()) <= 10
