"""Choice of a wording for each fact of a motion: cause, course and outcome.

The fact that the last video defied gets its next wording; the others keep theirs until all of its wordings
have been tried, then they get their next ones, too. So nothing that was tried and failed is soon tried again.
If it is not known which fact the video defied, as if something vanished, all get their next ones.
This file is stateless: which wordings were tried last is read from the last prompt. It knows no caption, no
score and no model.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from phyt2v_cli.tiny.comparison import Finding
from phyt2v_cli.tiny.knowledge import physics
from phyt2v_cli.tiny.wording import Subject


def fact_prompts(
    subject: Subject, findings: Sequence[Finding], previous: str, max_words: int
) -> Iterator[tuple[str, ...]]:
    """Generate the sentences of prompts after `previous`, at most `max_words` words if possible.

    Sentences against the findings come first. First, only the defied facts change, then all. Without findings
    the first prompt after a user's own has the standard wording of each fact.
    """
    assert subject.kind is not None
    motion = physics().kinds[subject.kind]
    facts = motion.facts | motion.mutual_facts if subject.mutual else motion.facts
    defied = {fact for finding in findings for fact in finding.facts}
    if not findings:
        defied = set(facts)
    for changing in (defied, set(facts)):
        choices = [facts[fact] for fact in changing] + [f.leads for f in findings]
        for step in range(max(map(len, choices))):
            leads: list[str] = []
            for finding in findings[:2]:
                lead = subject.fill(_next(finding.leads, previous, step), known=bool(leads))
                if sum(len(s.split()) for s in (*leads, lead)) <= max_words // 2:
                    leads.append(lead)
            tried = [facts[fact] for fact in changing] or [f.leads for f in findings]
            anew = any(_begins_anew(templates, previous, step) for templates in tried)
            turning = set(facts) if anew else changing
            said = {
                fact: subject.fill(
                    _next(wordings, previous, step if fact in changing else 0)
                    if fact in turning
                    else _last(wordings, previous),
                    known=bool(leads) or number > 0,
                )
                for number, (fact, wordings) in enumerate(facts.items())
            }
            yield (*leads, *_shortened(said, defied, max_words - sum(len(s.split()) for s in leads)))


def _shortened(said: Mapping[str, str], defied: set[str], max_words: int) -> tuple[str, ...]:
    """Leave out the last facts that nothing is known to defy, except the first, until all fits."""
    kept = dict(said)
    is_known = len(defied) < len(said)
    for fact in reversed(list(said)[1:]):
        if sum(len(s.split()) for s in kept.values()) > max_words and not (is_known and fact in defied):
            del kept[fact]
    return tuple(kept.values())


def _next(templates: Sequence[str], previous: str, step: int) -> str:
    """Template `step` places after the next one; the first one if `previous` has none of them."""
    place = _place(templates, previous)
    return templates[(step if place is None else place + 1 + step) % len(templates)]


def _begins_anew(templates: Sequence[str], previous: str, step: int) -> bool:
    """Check if the template `step` places after the next one comes after all others have been tried."""
    place = _place(templates, previous)
    return place is not None and place + 1 + step >= len(templates)


def _last(templates: Sequence[str], previous: str) -> str:
    return templates[_place(templates, previous) or 0]


def _place(templates: Sequence[str], previous: str) -> int | None:
    """Index of the template that a sentence of `previous` was filled from."""
    for i, template in enumerate(templates):
        words = (re.escape(part.strip()) for part in re.split(r"\{\w+\}", template) if part.strip())
        if re.search("[^.!?]*".join(words), previous, re.IGNORECASE):
            return i
    return None
