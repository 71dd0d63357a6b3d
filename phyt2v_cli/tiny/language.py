"""Read a free English prompt as a request for a scene of the embedded world.

The vocabulary is data (`words.toml`); this file is the little grammar around it. It knows no physics,
no video and no score.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, cast

from phyt2v_cli.tiny import world

Direction = Literal["left", "right"]

_MAX_OBJECTS = 3
_LONGEST_PHRASE = 7


@dataclass(frozen=True)
class RequestedObject:
    """One object of the prompt; None where the prompt does not say."""

    shape: world.Shape | None = None
    color: world.Color | None = None


@dataclass(frozen=True)
class SceneRequest:
    """What a prompt asks for, as far as it names things of the embedded world."""

    objects: tuple[RequestedObject, ...] = ()
    kind: world.Kind | None = None
    direction: Direction | None = None
    """The side that things move to."""
    bounces: bool = False
    """The prompt speaks of bouncing."""
    unknown: tuple[str, ...] = ()
    """Words of the prompt that mean nothing in this world, in their order."""

    @property
    def in_world(self) -> bool:
        """Whether the prompt is about this world: a shape it knows, or a motion of nothing else."""
        if any(o.shape for o in self.objects):
            return True
        return not self.unknown and (self.kind is not None or bool(self.objects))


@dataclass(frozen=True)
class _Cue:
    """A phrase of the lexicon as found in a prompt."""

    group: str
    value: str
    start: int
    stop: int
    plural: bool


def parse_prompt(text: str) -> SceneRequest:
    """Return what `text` asks for; anything that is not of this world ends up in `unknown`."""
    tokens = re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower().replace("\u2019", "'"))
    cues = list(_find_cues(tokens))
    objects = _objects(tokens, [c for c in cues if c.group in ("color", "shape", "number", "new")])
    kind = _kind(cues, objects)
    if kind == "collide" and len(objects) == 1:
        objects.append(RequestedObject(objects[0].shape))
    directions = [c.value for c in cues if c.group == "direction" and c.value != "none"]
    known = {i for c in cues for i in range(c.start, c.stop)}
    plain = _lexicon().plain
    unknown = [
        t for i, t in enumerate(tokens) if i not in known and not t.isdigit() and plain.isdisjoint(_bases(t))
    ]
    return SceneRequest(
        objects=tuple(objects),
        kind=kind,
        # opposite directions in one prompt (two balls that meet) are no request for either
        direction=cast(Direction, directions[0]) if len(set(directions)) == 1 else None,
        bounces=any(c.group == "bounce" for c in cues),
        unknown=tuple(dict.fromkeys(unknown)),
    )


@dataclass(frozen=True)
class _Lexicon:
    """Phrases by their first word: (words, group, value), and the words that carry no request."""

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
    for value, entries in data["numbers"].items():
        add("new" if value == "new" else "number", value, entries)
    add("end", "", data["ends"]["phrases"])
    add("bounce", "", data["bounces"]["phrases"])
    return _Lexicon(phrases, frozenset(data["grammar"]["plain"].split()))


@cache
def _bases(word: str) -> frozenset[str]:
    """Return the forms of which `word` may be a regular inflection, and itself."""
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


def _find_cues(tokens: list[str]) -> Iterator[_Cue]:
    """Yield the phrases found, longest first at each place; a word can mean one thing in each group."""
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
            _Cue(group, value, i, i + longest, tokens[i + longest - 1] not in words)
            for words, group, value in found
            if len(words) == longest
        }
        yield from sorted(cues, key=lambda c: (c.group, c.value))
        i += longest


def _kind(cues: list[_Cue], objects: list[RequestedObject]) -> world.Kind | None:
    """Choose the motion: two that meet collide; else the earliest sure word; else the earliest hint."""
    sure = [c.value for c in cues if c.group == "sure"]
    maybe = [c.value for c in cues if c.group == "maybe"]
    if len(objects) >= 2 and "collide" in sure + maybe:
        return "collide"
    candidates = sure or [m for m in maybe if m != "collide"]
    if any(o.shape == "balloon" for o in objects):
        candidates = ["float"] if "float" in sure + maybe else candidates
    else:
        # "a ball rises and falls" is a throw or a drop: only balloons float here
        candidates = [c for c in candidates if c != "float"] or candidates
    return cast(world.Kind, candidates[0]) if candidates else None


def _objects(tokens: list[str], cues: list[_Cue]) -> list[RequestedObject]:
    """Put colours and shapes together; a later mention of the same thing adds no object."""
    objects: list[RequestedObject] = []
    colors: list[_Cue] = []
    number, is_new, last_noun = 1, False, -1
    for cue in cues:
        if cue.group == "number":
            one_after_color = cue.value == "one" and colors and colors[-1].stop == cue.start
            if one_after_color and objects and tokens[cue.start] == "one":
                objects.append(RequestedObject(objects[-1].shape, cast(world.Color, colors[-1].value)))
                colors = []
                continue
            number, is_new = {"one": 1, "two": 2, "three": 3}[cue.value], True
        elif cue.group == "new":
            is_new = True
        elif cue.group == "color":
            colors.append(cue)
        else:
            adjectives = [c for c in colors if cue.start - c.stop <= (3 if c is colors[-1] else 6)]
            between = tokens[adjectives[0].stop : adjectives[-1].start] if adjectives else []
            names = list(dict.fromkeys(cast(world.Color, c.value) for c in adjectives))
            several = number > 1 or cue.plural or bool({"a", "an", "one", "the"} & set(between))
            shape = None if cue.value == "any" else cast(world.Shape, cue.value)
            if len(names) > 1 and several:
                mentioned = [RequestedObject(shape, name) for name in names]
            else:
                count = max(number, 2 if cue.plural and is_new else 1)
                mentioned = [RequestedObject(shape, names[0] if names else None)] * count
            if is_new or not all(_is_known(m, objects) for m in mentioned):
                objects += mentioned
            colors = [c for c in colors if c not in adjectives]
            number, is_new, last_noun = 1, False, cue.stop
            continue
    return _color_afterwards(objects, colors if last_noun >= 0 else [])[:_MAX_OBJECTS]


def _is_known(mention: RequestedObject, objects: list[RequestedObject]) -> bool:
    """Whether a mention with a definite article may be one of `objects`."""
    return any(
        mention.shape in (None, o.shape) and (mention.color in (None, o.color) or o.color is None)
        for o in objects
    )


def _color_afterwards(objects: list[RequestedObject], colors: list[_Cue]) -> list[RequestedObject]:
    """Give colours that follow their noun ("two balls, one red, one blue") to objects without one."""
    names = [cast(world.Color, c.value) for c in colors]
    painted = []
    for o in objects:
        if o.color is None and names:
            o = RequestedObject(o.shape, names.pop(0))
        painted.append(o)
    return painted
