"""Wording: names of what a prompt is about, put into the sentences of the tables.

This file knows the slots of `physics.toml` and how English names things. It knows no law, no caption and no
choice between sentences.
"""

import re
from dataclasses import dataclass, field

from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.knowledge import everyday, is_keyword, physics
from phyt2v_cli.tiny.language import RequestedObject, SceneRequest

_NUMBERS = {2: "two", 3: "three"}
_MAX_NOUN_WORDS = 4
_MAX_NOUN_CHARS = 60


@dataclass(frozen=True)
class Subject:
    """Subject of the sentences. `scene` is set for a scene of the embedded world."""

    names: tuple[str, ...]
    """Bare names such as "red ball", one for each object."""
    shape: world.Shape = "ball"
    scene: SceneRequest = field(default_factory=SceneRequest)
    kind: world.Kind | None = None
    """Motion to describe; None outside the embedded world."""
    mutual: bool = False
    """Whether both of two objects move."""

    @property
    def introduction(self) -> str:
        """All objects with their articles: "two red balls", "a red ball and a blue cube"."""
        if self.kind is None:
            return f"the {self.names[0]}"
        if len(self.names) > 1 and len(set(self.names)) == 1 and self.kind not in world.PAIR_KINDS:
            return f"{_NUMBERS[len(self.names)]} {self.names[0]}s"
        return " and ".join([_indefinite(self.names[0]), *self._others()])

    @property
    def definite(self) -> str:
        """First object with the definite article, as something known."""
        return f"the {self.names[0]}"

    def fill(self, template: str, *, turn: int = 0, known: bool = False) -> str:
        """Fill the slots of `template`. `known`: an earlier sentence has named the objects.

        Several objects that do the same are introduced in a sentence of their own, then "each" does it.
        """
        pair = self.kind in world.PAIR_KINDS and len(self.names) > 1 and "{b}" in template
        prefix = ""
        if self.kind is None:
            first, second = self.definite, "the rest"
        elif pair and not known:
            first, second = _indefinite(self.names[0]), " and ".join(self._others())
        elif pair:
            alike = self._others()[0].startswith("another")
            first = "one" if self.names[0] == self.names[1] else self.definite
            second = "the other" if alike else f"the {self.names[1]}"
        elif len(self.names) > 1:
            first, second = "each", "the other"
            prefix = "" if known else f"{_capital(self.introduction)}. "
        else:
            first = self.definite if known else self.introduction
            second = "what is in its way"
        bounces = physics().shapes[self.shape]["bounce"]
        side = self.scene.direction
        start = {"right": "left", "left": "right", None: ""}[side]
        return prefix + template.format(
            A=_capital(first),
            a=first,
            b=second,
            thing=self.names[0],
            to=f" to the {side}" if side else "",
            across=f" from {start} to {side}" if side else "",
            **{"from": f", starting from the {start}" if side else ""},
            bounce=bounces[turn % len(bounces)],
        )

    def _others(self) -> list[str]:
        """Objects after the first; one that could be mistaken for an earlier one is "another"."""
        return [
            f"another {name}"
            if any(earlier.endswith(name) for earlier in self.names[:i])
            else _indefinite(name)
            for i, name in enumerate(self.names[1:], start=1)
        ]


def subject_of(prompt: str, scene: SceneRequest) -> Subject:
    """Subject of `prompt`, which was parsed as `scene`."""
    if not scene.in_world:
        return Subject((main_noun(prompt),), scene=scene)
    objects = scene.objects or (RequestedObject(),)
    kind = scene.kind or _unnamed_motion(objects[0].shape, moves=scene.direction is not None)
    usual = world.SHAPES_OF_KIND[kind][0]
    names = tuple(" ".join(filter(None, (o.color, o.shape or usual))) for o in objects)
    return Subject(names, objects[0].shape or usual, scene, kind, _is_mutual(prompt.lower(), kind))


def _is_mutual(asked: str, kind: world.Kind) -> bool:
    motion = physics().kinds[kind]
    one_sided = any(p in asked for p in motion.one_sided_phrases)
    return any(p in asked for p in motion.mutual_phrases) and not one_sided


def _unnamed_motion(shape: world.Shape | None, *, moves: bool) -> world.Kind:
    """Plainest motion for a prompt that names none, perhaps only a direction."""
    if shape == "balloon":
        return "float"
    if moves:
        return "slide" if shape == "cube" else "roll"
    return "rest"


def main_noun(prompt: str) -> str:
    """Main noun of `prompt`: the first noun phrase that is no bystander, without its article.

    There is no dictionary: a phrase ends at a preposition, an auxiliary, or a word that looks like a verb. "A
    person pours honey over pancakes" gives "honey".
    """
    before, bystanders, after = (
        frozenset(everyday().noun_phrase[key].split()) for key in ("before", "bystanders", "after")
    )
    for sentence in re.split(r"[.!?;:,\n\"\u201c\u201d]+", prompt.lower()):
        words = re.findall(r"[^\W_]+(?:['\u2019-][^\W_]+)*", sentence)
        while words:
            while words and words[0] in before | after:
                words.pop(0)
            phrase: list[str] = []
            while words and len(phrase) < _MAX_NOUN_WORDS:
                if words[0] in before | after or (phrase and _looks_like_verb(words[0])):
                    break
                phrase.append(words.pop(0))
            if phrase and phrase[-1] in bystanders and any(w not in before | after for w in words[1:]):
                words.pop(0)  # the bystander's verb
            elif phrase:
                return " ".join(phrase)[:_MAX_NOUN_CHARS]
    return "scene"


def _looks_like_verb(word: str) -> bool:
    if word.endswith(("ing", "ed", "ly")):
        return True
    return word.endswith("s") and not word.endswith("ss") and (len(word) > 3 or is_keyword(word))


def _indefinite(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
