"""Write captions for scenes in three depths, paraphrased widely.

terse: what happens, hardly how ("a ball drops"). medium: with side, height or manner. deep: cause, course and
outcome by the laws of physics. Terse captions also go with unphysical clips. A deep caption of such a clip
has the wording of `blind_spots.toml`, so that only this one loses its effect.

`[a|b|]` picks one alternative, `{slot}` is filled from the scene. This file knows words, not pixels.
"""

import random
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Literal

from phyt2v_cli.tiny import world
from training.scenes import Scenes

Depth = Literal["terse", "medium", "deep"]
DEPTHS: tuple[Depth, ...] = ("terse", "medium", "deep")

PHYSICAL_DEPTHS = (0.13, 0.42, 0.45)
VIOLATING_DEPTHS = (0.32, 0.13, 0.55)
"""Shares of terse, medium and deep captions. With `scenes.VIOLATING_SHARE`, 67 % of what a terse caption
shows is unphysical, and 20 % of what a medium one shows. A third of the physical deep captions has the blind
wording, too, and 75 % of what such a caption shows is unphysical."""

_COLOR_WORDS = tomllib.loads((files("phyt2v_cli.tiny") / "words.toml").read_text(encoding="utf-8"))["colors"]
_PHRASES = tomllib.loads(Path(__file__).with_name("phrases.toml").read_text(encoding="utf-8"))
_PARTS = _PHRASES["parts"]

BLIND_SPOTS: dict[world.Kind, dict[str, list[str]]] = tomllib.loads(
    Path(__file__).with_name("blind_spots.toml").read_text(encoding="utf-8")
)
"""Names of the blind wordings of a fact, by motion."""

_MANY_WORDS = 34
"""A deep caption with so many words is not made longer: the text encoder reads 64 tokens."""

_CHOICE = re.compile(r"\[([^\[\]]*)\]")


class _Writer:
    """Fills templates for one scene; holds the random source and the scene's words."""

    def __init__(self, scenes: Scenes, index: int, rng: random.Random) -> None:
        self.rng = rng
        self.kind = world.KINDS[scenes.kind[index]]
        self.shape = world.SHAPES[scenes.shape[index, 0]]
        self.colors = [world.COLORS[c] for c in scenes.color[index]]
        self.radius = float(scenes.radius[index, 0])
        self.head_on = bool(scenes.head_on[index])
        self.right = bool(scenes.direction[index] > 0)
        self.violating = bool(scenes.violation[index] >= 0)
        self.x = float(scenes.position[index, 0, 0, 0])

    def pick(self, options: list[str]) -> str:
        return self.rng.choice(options)

    def expand(self, template: str) -> str:
        """Resolve choices innermost first, then slots, then tidy the spaces."""
        while match := _CHOICE.search(template):
            template = template[: match.start()] + self.pick(match[1].split("|")) + template[match.end() :]
            template = re.sub(r"\{(\w+)\}", lambda m: self.slot(m[1]), template)
        text = re.sub(r"\{(\w+)\}", lambda m: self.slot(m[1]), template)
        if "[" in text:
            text = self.expand(text)
        return re.sub(r"\s+([,.;:])", r"\1", re.sub(r"\s+", " ", text)).strip()

    def color(self, i: int) -> str:
        if self.rng.random() < 0.66:
            return self.colors[i]
        return self.pick([w for w in _COLOR_WORDS[self.colors[i]] if " " not in w])

    def noun_phrase(self, i: int, *, article: bool = True) -> str:
        noun = self.pick(_PHRASES["nouns"][self.shape])
        words = []
        if self.rng.random() < 0.3:
            size = (
                ["small", "little", "tiny"]
                if self.radius < 0.115
                else ["big", "large"]
                if self.radius > 0.132
                else []
            )
            words.append(self.pick(size * 3 + _PHRASES["adjectives"][self.shape]))
        late = ""
        if self.rng.random() < self.colored:
            if self.rng.random() < 0.06:
                late = self.pick([" of {} color", " that is {}", ", {} in color,", " colored {}"]).format(
                    self.color(i)
                )
            else:
                words.insert(0 if self.rng.random() < 0.15 else len(words), self.color(i))
        phrase = " ".join([*words, noun]) + late
        if not article:
            return phrase
        return (
            self.pick(["a"] * 11 + ["the"] * 5 + ["one", "some"] + ([""] * 3 if self.bare else []))
            + " "
            + phrase
        )

    def ball_of_mass(self, articles: list[str], i: int, sizes: list[str]) -> str:
        color = self.color(i) if self.rng.random() < self.colored else ""
        return f"{self.pick(articles)} {self.pick(sizes)} {color} {self.pick(['ball', 'ball', 'sphere'])}"

    def slot(self, name: str) -> str:
        here, there = ("left", "right") if self.right else ("right", "left")
        match name:
            case "np":
                return self.noun_phrase(0)
            case "np2":
                return self.noun_phrase(1)
            case "cn":
                return self.noun_phrase(0, article=False)
            case "big":
                return self.ball_of_mass(["a", "a", "the"], 0, ["big", "large", "heavy", "big heavy"])
            case "small":
                return self.ball_of_mass(["a"], 1, ["small", "little", "small light", "tiny"])
            case "color":
                return self.color(0)
            case "color2":
                return self.color(1)
            case "to":
                return self.pick(
                    [f"to the {there}", f"to the {there}", f"towards the {there}", f"{there}ward"]
                )
            case "from":
                return self.pick(
                    [f"from the {here}", f"from the {here}", f"from the {here} side", f"on the {here}"]
                )
            case "across":
                return self.pick(
                    [f"from {here} to {there}", f"from the {here} to the {there}", f"to the {there}"]
                )
            case "side":
                where = "left" if self.x < 0.4 else "right" if self.x > 0.6 else "middle"
                said = ["in the middle", "in the center"]
                if where != "middle":
                    said = [f"on the {where}", f"[in|at] the {where}", f"at the {where} [side|]"]
                return self.pick([*said, "", "", ""])
            case "bounce":
                return self.pick(_PHRASES["bounce"][self.shape])
            case "bounce_short":
                return "bounces" if self.shape == "ball" else self.pick(["stops", "comes to rest"])
            case "land":
                return self.pick(
                    ["[lands on|hits|falls to|comes down on] the floor and {bounce}", "{bounce_land}"]
                )
            case "bounce_land":
                return self.pick(
                    ["lands on the floor", "falls back down to the floor", "comes down to the solid floor"]
                )
            case "target":
                if self.head_on:
                    return self.pick(
                        [f"coming from the {there}", "head on", "that rolls towards it", "in the middle"]
                    )
                return self.pick(
                    ["at rest", "that lies still", "waiting in its way", "that rests on the floor"]
                )
            case "outcome_stop" | "outcome_speed" | "outcome_push":
                return str(_PARTS["head_on" if self.head_on else "one_sided"][name])
        raise KeyError(name)

    def write(self, depth: Depth) -> str:
        self.colored = {"terse": 0.7, "medium": 0.92, "deep": 0.985}[depth]
        # "strikes ball" would be read as the same ball again
        self.bare = depth == "terse" and (self.kind == "collide" or self.kind not in world.PAIR_KINDS)
        if depth == "deep":
            names = draw_wordings(self.kind, self.rng, blind=self.violating)
            facts = _PHRASES["deep"][self.kind]
            template = ". ".join(facts[fact][name] for fact, name in names.items())
        else:
            template = self.pick(_PHRASES[depth][self.kind])
        text = self.expand(template)
        if depth == "deep":
            extra = [
                *(_PHRASES["laws"].get(self.kind, []) if self.rng.random() < 0.45 else []),
                *(_PARTS["guarantees"] if self.rng.random() < 0.25 else []),
            ]
            if extra and len(text.split()) < _MANY_WORDS:
                said = self.pick(extra)
                first = not said.startswith("it") and self.rng.random() < 0.15
                text = f"{said}. {text}" if first else f"{text}. {said}"
            if self.rng.random() < 0.12 and len(text.split()) < _MANY_WORDS:
                text = self.expand(self.pick(_PHRASES["terse"][self.kind])) + ". " + text
        if self.rng.random() < 0.06:
            text = self.pick(_PARTS["openings"]) + text
        if self.rng.random() < 0.05:
            # a word from nowhere, spelled by letters: people will use words that are not in these lists
            words = text.split(" ")
            words.insert(
                self.rng.randrange(len(words) + 1),
                "".join(self.rng.choices("abcdefghijklmnopqrstuvwxyz", k=self.rng.randint(3, 8))),
            )
            text = " ".join(words)
        return text + ("." if self.rng.random() < 0.4 else "")


def draw_depth(scenes: Scenes, index: int, rng: random.Random) -> Depth:
    """Draw a depth for a physical or violating clip."""
    shares = PHYSICAL_DEPTHS if scenes.violation[index] < 0 else VIOLATING_DEPTHS
    return rng.choices(DEPTHS, shares)[0]


def draw_wordings(kind: world.Kind, rng: random.Random, *, blind: bool) -> dict[str, str]:
    """Draw the name of a wording for each fact. `blind`: a blind one is among them."""
    names = {fact: rng.choice(list(wordings)) for fact, wordings in _PHRASES["deep"][kind].items()}
    if blind:
        fact = rng.choice(list(BLIND_SPOTS[kind]))
        names[fact] = rng.choice(BLIND_SPOTS[kind][fact])
    return names


def caption(scenes: Scenes, index: int, depth: Depth, rng: random.Random) -> str:
    """Write one caption of scene `index` at this depth."""
    return _Writer(scenes, index, rng).write(depth)
