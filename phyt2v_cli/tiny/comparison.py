"""Comparison of a caption with the prompt and with the laws of motion.

This file knows what a departure is. It does not know where scores come from, JSON or rewriting. Each finding
has the sentences that state the opposite, for use in the next prompt.
"""

from collections import Counter
from dataclasses import dataclass

from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.knowledge import Oddity, normalise, physics, states
from phyt2v_cli.tiny.language import SceneRequest, parse_prompt
from phyt2v_cli.tiny.wording import Subject

_FEW_WORDS = 4
"""Minimum length of a word in characters. Shorter words are mostly grammar, and do not show that a caption is
about the prompt."""


@dataclass(frozen=True)
class Finding:
    """Departure of a video: a sentence about it, and templates of what to say first in the next prompt."""

    text: str
    leads: tuple[str, ...]
    facts: tuple[str, ...] = ()
    """Facts of the motion that the video may defy: the one that it does, or all if that is not known."""


def compare(prompt: str, subject: Subject, caption: str, remarks: str = "") -> list[Finding]:
    """List the departures of the video behind `caption` from `prompt`, physics first.

    `remarks` is more text that may name an oddity, such as a scorer's reasons. What the caption does not
    mention is no departure, and neither is an oddity that the prompt itself asks for.
    """
    findings = _oddities(prompt, subject, f"{caption}\n{remarks}")
    if subject.kind is not None:
        seen = parse_prompt(caption)
        findings += _looks(subject, seen)
        if not findings and subject.scene.kind:
            findings += _motion(subject, seen)
    return findings


def shares_no_word(prompt: str, caption: str) -> bool:
    """Check if no longer word of `prompt` shares its beginning with a word of `caption`."""
    asked = {w[:_FEW_WORDS] for w in normalise(prompt).split() if len(w) >= _FEW_WORDS}
    seen = {w[:_FEW_WORDS] for w in normalise(caption).split()}
    return bool(asked and seen) and asked.isdisjoint(seen)


def _oddities(prompt: str, subject: Subject, account: str) -> list[Finding]:
    asked, told = normalise(prompt), normalise(account)
    kinds = {subject.kind} if subject.kind else set(world.LEARNED_KINDS) - {"float"}
    findings = []
    for oddity in physics().oddities.values():
        if kinds.isdisjoint(oddity.kinds) or any(states(asked, p) for p in oddity.phrases):
            continue
        if any(states(told, p) for p in oddity.phrases):
            leads = (
                oddity.emphasis_of_kind.get(subject.kind, oddity.emphasis)
                if subject.kind
                else oddity.emphasis
            )
            findings.append(Finding(_sentence(subject, oddity), leads, _facts(subject, oddity)))
    return findings


def _facts(subject: Subject, oddity: Oddity) -> tuple[str, ...]:
    if subject.kind is None:
        return ()
    known = oddity.facts.get(subject.kind)
    return (known,) if known else tuple(physics().kinds[subject.kind].facts)


def _sentence(subject: Subject, oddity: Oddity) -> str:
    if subject.kind is None:
        return f"About the {subject.names[0]}: {oddity.seen}, which defies physics."
    expected = physics().kinds[subject.kind].expected
    return f"The {subject.names[0]} should {expected}, but {oddity.seen}."


def _looks(subject: Subject, seen: SceneRequest) -> list[Finding]:
    """Compare number, colours and shapes."""
    if not seen.objects:
        return []
    asked = subject.scene.objects
    if len(seen.objects) < len(asked):
        several = f"There should be {subject.introduction}, but only {len(seen.objects)} can be seen."
        return [Finding(several, ("{A} can be seen all the time.",))]
    if asked and len(seen.objects) > len(asked):
        text = f"There should only be {subject.introduction}, but {len(seen.objects)} things are seen."
        return [Finding(text, ("{A} is the only thing in the picture.", "{A} is alone in the picture."))]
    findings = []
    colors = Counter(o.color for o in seen.objects if o.color)
    colors.subtract(Counter(o.color for o in asked if o.color))
    wrong = [c for c, n in colors.items() if n > 0]
    for missing in (c for c, n in colors.items() if n < 0):
        if wrong and None not in {o.color for o in seen.objects}:
            text = (
                f"The {missing} thing of {subject.introduction} should be {missing}, but {wrong[0]} is seen."
            )
            leads = tuple(t.replace("{color}", missing) for t in _COLOR_LEADS)
            findings.append(Finding(text, leads))
    shapes = {o.shape for o in seen.objects if o.shape}
    if shapes and shapes.isdisjoint({o.shape for o in asked if o.shape} or shapes):
        text = f"There should be {subject.introduction}, but a {sorted(shapes)[0]} is seen."
        findings.append(Finding(text, ("{A} keeps its shape all the time.", "{A} is whole and solid.")))
    return findings


_COLOR_LEADS = (
    "{A} is {color} all over.",
    "{A} shows one color, {color}, from start to end.",
    "{A} is a clear, bright {color}.",
)


def _motion(subject: Subject, seen: SceneRequest) -> list[Finding]:
    """Compare kind of motion, direction and bouncing."""
    assert subject.kind is not None
    motion = physics().kinds[subject.kind]
    name = f"The {subject.names[0]} should {motion.expected}"
    if seen.kind and seen.kind != subject.kind:
        return [Finding(f"{name}, but it {physics().kinds[seen.kind].seen}.", (motion.lead,))]
    asked = subject.scene
    if asked.direction and seen.direction and asked.direction != seen.direction:
        text = (
            f"{subject.definite} should move to the {asked.direction}, but it moves to the {seen.direction}."
        )
        start = "left" if asked.direction == "right" else "right"
        lead = f"{{A}} starts at the {start} side and moves to the {asked.direction}."
        return [Finding(_capital(text), (lead, motion.lead))]
    if asked.bounces and not seen.bounces:
        lead = "{A} springs back up from the floor and bounces, lower each time."
        return [Finding(f"{name}, but it does not bounce.", (lead,))]
    return []


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
