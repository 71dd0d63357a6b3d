"""Knowledge of the rulebook, from `physics.toml` (the embedded world) and `everyday.toml` (the rest).

This file types the tables and finds the entry that fits a text. It writes no sentence and knows no prompt, no
caption and no JSON.
"""

import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from pydantic import TypeAdapter

from phyt2v_cli.tiny import world


@dataclass(frozen=True)
class Motion:
    """Kind of motion of the embedded world; the strings have the slots that `physics.toml` explains."""

    law: str
    expected: str
    seen: str
    lead: str
    facts: dict[str, tuple[str, ...]]
    """Several wordings for each of cause, course and outcome, the standard one first."""
    mutual_facts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Those that differ if both objects move."""
    wordings: tuple[str, ...] = ()
    mutual: tuple[str, ...] = ()
    """Wordings in which both objects move."""
    mutual_phrases: tuple[str, ...] = ()
    one_sided_phrases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Oddity:
    """Way in which a video can defy physics, and what to say first against it."""

    phrases: tuple[str, ...]
    seen: str
    emphasis: tuple[str, ...]
    kinds: tuple[world.Kind, ...] = world.KINDS
    emphasis_of_kind: dict[world.Kind, tuple[str, ...]] = field(default_factory=dict)
    facts: dict[world.Kind, str] = field(default_factory=dict)
    """Fact of a kind of motion that the oddity defies."""


@dataclass(frozen=True)
class Topic:
    """Field of everyday physics."""

    law: str
    wordings: tuple[str, ...]
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True)
class Physics:
    """Content of physics.toml."""

    shapes: dict[world.Shape, dict[str, tuple[str, ...]]]
    kinds: dict[world.Kind, Motion]
    oddities: dict[str, Oddity]


@dataclass(frozen=True)
class Everyday:
    """Content of everyday.toml."""

    closings: tuple[str, ...]
    briefs: tuple[str, ...]
    """Laws in a few words."""
    general: Topic
    topics: dict[str, Topic]
    noun_phrase: dict[str, str]
    """Words in blanks: those before a noun, bystanders, and those after a noun."""


@cache
def physics() -> Physics:
    """Load the knowledge of the embedded world."""
    return TypeAdapter(Physics).validate_python(_table("physics.toml"))


@cache
def everyday() -> Everyday:
    """Load the knowledge of everyday physics."""
    return TypeAdapter(Everyday).validate_python(_table("everyday.toml"))


def _table(name: str) -> dict[str, object]:
    return tomllib.loads(resources.files(__package__).joinpath(name).read_text("utf-8"))


def topic_of(text: str) -> Topic:
    """Topic with most keywords in `text`, or the general one if none occurs."""
    words = normalise(text)
    hits = {
        name: sum(contains(words, k) for k in topic.keywords) for name, topic in everyday().topics.items()
    }
    best = max(hits, key=hits.__getitem__)
    return everyday().topics[best] if hits[best] else everyday().general


def is_keyword(word: str) -> bool:
    """Check if `word` is an inflected keyword of any topic; in a prompt such a word is often its verb."""
    return any(contains(f" {word} ", k) for topic in everyday().topics.values() for k in topic.keywords)


def normalise(text: str) -> str:
    """Normalise `text` to its words in lower case, with one blank around each."""
    return (
        " "
        + " ".join(re.findall(r"[^\W_]+", text.lower().replace("\u2019", "'").replace("n't", " not")))
        + " "
    )


def contains(words: str, phrase: str) -> bool:
    """Check if normalised `words` contain `phrase`, its last word in any regular form."""
    return _pattern(phrase).search(words) is not None


def states(words: str, phrase: str) -> bool:
    """Check if normalised `words` contain `phrase` word for word and do not negate it."""
    before, found, _ = words.partition(normalise(phrase))
    return bool(found) and not {"not", "never", "without", "no", "nor"} & set(before.split()[-2:])


@cache
def _pattern(phrase: str) -> re.Pattern[str]:
    stem = normalise(phrase).strip()
    doubled = re.escape(stem[-1])
    forms = [re.escape(stem) + rf"(?:s|es|ed|d|er|ing|{doubled}ed|{doubled}ing)?"]
    if stem.endswith("e"):
        forms.append(re.escape(stem[:-1]) + "ing")
    if stem.endswith("y"):
        forms.append(re.escape(stem[:-1]) + "ie[sd]")
    return re.compile(rf"(?<= )(?:{'|'.join(forms)})(?= )")
