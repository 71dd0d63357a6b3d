"""Objects that a prompt mentions: colours and shapes put together, each object counted once.

Knows English noun phrases (articles, "another", "one red and one blue", a new sentence that repeats the same)
and nothing of motion or physics.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from phyt2v_cli.tiny import world

_MAX_OBJECTS = 3
_ARTICLES = frozenset({"a", "an", "one", "the"})


@dataclass(frozen=True)
class RequestedObject:
    """Object of a prompt; None for what the prompt does not say."""

    shape: world.Shape | None = None
    color: world.Color | None = None


@dataclass(frozen=True)
class Cue:
    """Phrase of the lexicon found in a prompt, from token `start` to `stop`."""

    group: str
    value: str
    start: int
    stop: int
    plural: bool


@dataclass
class _Known:
    """Object found so far, and the sentence that named it first."""

    shape: world.Shape | None
    color: world.Color | None
    sentence: int


def find_objects(
    tokens: Sequence[str], sentence_ends: Sequence[int], cues: Sequence[Cue], *, meeting: bool
) -> tuple[RequestedObject, ...]:
    """Find the objects that `cues` name. `meeting`: the prompt is about things that hit each other."""
    known: list[_Known] = []
    colors: list[Cue] = []
    pendulum = False
    number, article, other = 1, False, False
    # in "square box" or "square red box" only the last noun counts
    nouns = {c.start for c in cues if c.group == "shape"}
    nouns |= {c.start for c in cues if c.group == "color" and c.stop in nouns}
    last: _Known | None = None
    for cue in cues:
        sentence = bisect_right(sentence_ends, cue.start)
        color = cast(world.Color, cue.value) if cue.group == "color" else None
        if cue.group == "number":
            if cue.value == "one" and tokens[cue.start] == "one" and colors and colors[-1].stop == cue.start:
                # "a red ball and a blue one"
                color = cast(world.Color, colors.pop().value)
                if known and all(o.color != color for o in known):
                    _add(
                        known,
                        _Known(known[-1].shape, color, sentence),
                        other=False,
                        article=False,
                        meeting=True,
                    )
                continue
            number, article = {"one": 1, "two": 2, "three": 3}[cue.value], True
        elif cue.group == "new":
            other = True
        elif color is not None:
            if last is not None and not colors and _follows_noun(tokens, cue):
                if last.color is None:
                    last.color = color
                elif last.color != color and meeting:
                    # "the red ball and the ball that is blue": the second was not the first again
                    known.append(_Known(last.shape, color, sentence))
            else:
                colors.append(cue)
        elif cue.group == "shape" and cue.value == "pendulum":
            pendulum = True
        elif cue.group == "shape" and cue.stop not in nouns:
            adjectives = [c for c in colors if cue.start - c.stop <= (3 if c is colors[-1] else 6)]
            between = tokens[adjectives[0].stop : adjectives[-1].start] if adjectives else []
            names = list(dict.fromkeys(cast(world.Color, c.value) for c in adjectives))
            shape = None if cue.value == "any" else cast(world.Shape, cue.value)
            if len(names) < 2 or not (number > 1 or cue.plural or _ARTICLES & set(between)):
                count = max(number, 2 if cue.plural and article else 1)
                names = cast(list[world.Color], names[:1] or [None]) * count
            several = len(names) > 1
            for name in names:
                mention = _Known(shape, name, sentence)
                if several and not any(o.sentence < sentence for o in known):
                    known.append(mention)
                    last = mention
                else:
                    last = _add(known, mention, other=other, article=article, meeting=meeting)
            colors = [c for c in colors if c not in adjectives]
            number, article, other = 1, False, False
    left = [cast(world.Color, c.value) for c in colors]
    if pendulum and not known:
        known.append(_Known("ball", None, 0))
    # "two balls, one red, one blue"
    for o in known:
        if o.color is None and left:
            o.color = left.pop(0)
    return tuple(RequestedObject(o.shape, o.color) for o in known[:_MAX_OBJECTS])


def _follows_noun(tokens: Sequence[str], cue: Cue) -> bool:
    """Check if a colour belongs to the noun before it: "of red color", "that is red", "red in color"."""
    before = tokens[cue.start - 1] if cue.start else ""
    after = tokens[cue.stop] if cue.stop < len(tokens) else ""
    said = before in ("colored", "coloured", "painted", "is", "are", "of", "in")
    return said or (after == "in" and before not in _ARTICLES)


def _add(known: list[_Known], mention: _Known, *, other: bool, article: bool, meeting: bool) -> _Known:
    """Add a mention: complete a known object that it refers to, or add a new one. Returns the object."""
    alike = [o for o in known if mention.shape in (None, o.shape) or o.shape is None]
    if article:
        # "a ball" is a new one, but a later sentence may introduce it again
        alike = [o for o in alike if o.sentence < mention.sentence]
    if other:
        alike = []
    same = [o for o in alike if o.color == mention.color or mention.color is None]
    blank = [o for o in alike if o.color is None and mention.color is not None]
    if blank and not same and (article or not meeting or len(blank) > 1):
        same = blank
    if not same:
        known.append(mention)
        return mention
    same[0].shape = same[0].shape or mention.shape
    same[0].color = same[0].color or mention.color
    return same[0]
