"""Parser of a free English prompt as a request for a scene of the embedded world.

The vocabulary is data (`words.toml`); this file is the small grammar around it. It knows no physics, no video
and no score.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import accumulate
from typing import Literal, cast

from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.mentions import Cue, RequestedObject, find_objects

__all__ = ["Direction", "RequestedObject", "SceneRequest", "parse_prompt"]

Direction = Literal["left", "right"]


@dataclass(frozen=True)
class SceneRequest:
    """Scene that a prompt asks for, as far as it names things of the embedded world."""

    objects: tuple[RequestedObject, ...] = ()
    """In their order, but a heavy one before a light one."""
    kind: world.Kind | None = None
    direction: Direction | None = None
    """Side that things move to."""
    bounces: bool = False
    """Whether the prompt mentions bouncing."""
    unknown: tuple[str, ...] = ()
    """Words of the prompt without a meaning in this world, in their order."""

    @property
    def in_world(self) -> bool:
        """Whether the prompt is about this world: a shape that it has, or a motion and no unknown word."""
        if any(o.shape for o in self.objects):
            return True
        return not self.unknown and (self.kind is not None or bool(self.objects))


def parse_prompt(text: str) -> SceneRequest:
    """Parse a prompt; words that are not of this world end up in `unknown`."""
    sentences = [
        re.findall(r"[a-z0-9]+(?:'[a-z]+)?", s)
        for s in re.split(r"[.;:!?\n]", text.lower().replace("\u2019", "'"))
    ]
    tokens = [word for words in sentences for word in words]
    cues = list(_find_cues(tokens))
    ends = tuple(accumulate(len(words) for words in sentences))
    meeting = any(c.value in ("collide", "topple") for c in cues)
    objects = list(find_objects(tokens, ends, cues, meeting=meeting))
    kind: world.Kind | None = _kind(cues, objects)
    if kind in world.PAIR_KINDS and len(objects) == 1:
        objects.append(RequestedObject(objects[0].shape))
    if kind == "unequal" and next(c.value for c in cues if c.group == "mass") == "light":
        objects.reverse()
    directions = [c.value for c in cues if c.group == "direction" and c.value != "none"]
    if kind is None and directions and objects:
        # "a ball moves to the left": on its own it can only roll there
        kind = {"ball": "roll", "cube": "slide", "balloon": "float", None: None}[objects[0].shape]
    known = {i for c in cues for i in range(c.start, c.stop)}
    plain = _lexicon().plain
    unknown = [
        t for i, t in enumerate(tokens) if i not in known and not t.isdigit() and plain.isdisjoint(_bases(t))
    ]
    return SceneRequest(
        objects=tuple(objects),
        kind=kind,
        # opposite directions in one prompt (two balls that meet) ask for neither
        direction=cast(Direction, directions[0]) if len(set(directions)) == 1 else None,
        bounces=any(c.group == "bounce" for c in cues),
        unknown=tuple(dict.fromkeys(unknown)),
    )


@dataclass(frozen=True)
class _Lexicon:
    """Phrases by their first word, as (words, group, value), and the words that carry no request."""

    phrases: dict[str, list[tuple[tuple[str, ...], str, str]]]
    plain: frozenset[str]


@cache
def _lexicon() -> _Lexicon:
    data = tomllib.loads(resources.files(__package__).joinpath("words.toml").read_text("utf-8"))
    phrases: dict[str, list[tuple[tuple[str, ...], str, str]]] = {}

    def add(group: str, value: str, entries: Iterable[str]) -> None:
        for entry in entries:
            words = tuple(entry.split())
            phrases.setdefault(words[0], []).append((words, group, value))

    for group, table in (("color", "colors"), ("shape", "shapes"), ("direction", "directions")):
        for value, entries in data[table].items():
            add(group, value, entries)
    for kind, strengths in data["kinds"].items():
        for strength, entries in strengths.items():
            add(strength, kind, entries)
    for value, entries in data["masses"].items():
        add("mass", value, entries)
    for value, entries in data["numbers"].items():
        add("new" if value == "new" else "number", value, entries)
    add("end", "", data["ends"]["phrases"])
    add("bounce", "", data["bounces"]["phrases"])
    return _Lexicon(phrases, frozenset(data["grammar"]["plain"].split()))


@cache
def _bases(word: str) -> frozenset[str]:
    """Forms of which `word` may be a regular inflection, and `word` itself."""
    word = word.removesuffix("'s")
    forms = {word}
    for ending in ("s", "es", "ed", "d", "ing", "er"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= 3:
            forms |= {stem, stem + "e"}
            if stem[-1] == stem[-2]:
                forms.add(stem[:-1])
            if stem.endswith("i"):
                forms.add(stem[:-1] + "y")
    return frozenset(forms)


def _find_cues(tokens: list[str]) -> Iterator[Cue]:
    """Find phrases, the longest at each place; a word can have one meaning in each group."""
    lexicon = _lexicon()
    bases = [_bases(t) for t in tokens]
    i = 0
    while i < len(tokens):
        found = [
            (words, group, value)
            for base in bases[i]
            for words, group, value in lexicon.phrases.get(base, ())
            if i + len(words) <= len(tokens)
            and all(w in b for w, b in zip(words, bases[i : i + len(words)], strict=True))
        ]
        longest = max((len(words) for words, _, _ in found), default=1)
        cues = {
            Cue(group, value, i, i + longest, tokens[i + longest - 1] not in words)
            for words, group, value in found
            if len(words) == longest
        }
        yield from sorted(cues, key=lambda c: (c.group, c.value))
        i += longest


def _kind(cues: list[Cue], objects: list[RequestedObject]) -> world.Kind | None:
    """Choose the motion: by a setting; two that meet; else the earliest sure word; else the earliest hint."""
    settings = [c.value for c in cues if c.group == "setting"]
    if settings:
        return cast(world.Kind, settings[0])
    sure = [c.value for c in cues if c.group == "sure"]
    maybe = [c.value for c in cues if c.group == "maybe"]
    masses = {c.value for c in cues if c.group == "mass"}
    pendulum = any(c.value == "pendulum" for c in cues)
    if "collide" in (sure + maybe if len(objects) >= 2 or pendulum else sure):
        return "strike" if "swing" in sure else "unequal" if len(masses) == 2 else "collide"
    candidates = sure or [m for m in maybe if m != "collide"]
    if any(o.shape == "balloon" for o in objects):
        # a balloon that somebody lets go of rises, too
        candidates = ["float"] if "float" in sure + maybe or (maybe and not sure) else candidates
    else:
        # "a ball rises and falls" is a throw or a drop: only balloons float here
        candidates = [c for c in candidates if c != "float"] or candidates
    return cast(world.Kind, candidates[0]) if candidates else None
