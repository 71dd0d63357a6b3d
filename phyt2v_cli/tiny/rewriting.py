"""Rewriting into a physically explicit prompt: lead sentences, the scene, its cause, motion and outcome.

This file chooses between the sentences of the tables and keeps to the number of words. It knows no scores and
no JSON, and is stateless: the next wording follows from the prompt that was rendered last.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from phyt2v_cli.tiny import world
from phyt2v_cli.tiny.comparison import Finding
from phyt2v_cli.tiny.facts import fact_prompts
from phyt2v_cli.tiny.knowledge import everyday, physics, topic_of
from phyt2v_cli.tiny.wording import Subject

MAX_WORLD_WORDS = 45
"""Limit of words: the embedded model's text encoder reads 64 tokens, about one for each word and punctuation
mark."""

_KEPT_SHARE = 0.8
"""Minimum share of the words that is kept when a cut ends with a whole clause."""

_MAX_ORIGINAL_CHARS = 6000
_SHARE_OF_ORIGINAL = 0.6
"""Maximum share of the words that repeats the user's own, if not everything fits."""


def explicit_prompt(
    original_prompt: str,
    subject: Subject,
    findings: Sequence[Finding],
    *,
    previous: str,
    max_words: int,
    skip: int = 0,
) -> str:
    """Write an explicit prompt of at most `max_words` words that differs from `previous`, if possible.

    The findings' sentences come first. `skip` skips that many candidates, for a second attempt.
    """
    # the present weights have learned whole sentences of these kinds, not their facts
    if subject.kind is not None and subject.kind not in world.LEARNED_KINDS:
        limit = min(max_words, MAX_WORLD_WORDS)
        texts = [fit(" ".join(said), limit) for said in fact_prompts(subject, findings, previous, limit)]
        others = [text for text in dict.fromkeys(texts) if _differ(text, previous)]
        return others[skip % len(others)] if others else fit(previous, max_words)
    texts = list(_candidates(original_prompt, subject, findings, max_words))
    if is_explicit(previous, original_prompt):
        # continue after the wording that was rendered last, which may have begun with another finding
        last = max(range(len(texts)), key=lambda i: _likeness(texts[i], previous))
        texts = texts[last + 1 :] + texts[: last + 1]
    # if so few words are allowed that only the leads of each text are left, candidates without leads follow
    texts += _candidates(original_prompt, subject, (), max_words)
    others = [text for text in texts if _differ(text, previous)]
    return others[skip % len(others)] if others else fit(previous, max_words)


def brief_prompt(original_prompt: str, *, previous: str, max_words: int) -> str:
    """Write the user's own words and one brief law, of at most `max_words` words, unlike `previous`."""
    own = _as_sentence(original_prompt[:_MAX_ORIGINAL_CHARS])
    texts = [fit(f"{own} {law}", max_words) for law in everyday().briefs]
    return next((text for text in texts if _differ(text, previous)), texts[0])


def shorten(prompt: str, max_words: int, *, original_prompt: str, previous: str) -> str | None:
    """Drop the last sentences of `prompt`, so that it has at most `max_words` words.

    None if that would say no more than the user's own words, or nothing new.
    """
    kept = ""
    for sentence in re.findall(r".+?(?:[.!?…。]+(?=\s|$)|$)", prompt):
        if _num_words(kept + sentence) > max_words:
            break
        kept += sentence
    kept = kept.strip()
    own = _as_sentence(original_prompt[:_MAX_ORIGINAL_CHARS])
    is_more = _num_words(kept) > _num_words(own) if own in kept else bool(kept)
    return kept if is_more and _differ(kept, previous) else None


def is_explicit(prompt: str, original_prompt: str) -> bool:
    """Check if `prompt` is no longer the user's own."""
    return _differ(prompt, original_prompt)


def clean(text: str) -> str:
    """Clean `text`: on one line, without control characters and lone surrogates."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def fit(text: str, max_words: int) -> str:
    """Cut `text` to at most `max_words` words, after a sentence or a clause if possible."""
    words = text.split()
    if len(words) <= max_words:
        return " ".join(words)
    kept = " ".join(words[:max_words])
    ends = [m.start() for m in re.finditer(r"[.!?:;,](?= |$)", kept)]
    if ends and _num_words(kept[: ends[-1]]) >= _KEPT_SHARE * max_words:
        kept = kept[: ends[-1]]
    return kept.rstrip(" ,;:.") + "."


def _candidates(
    original_prompt: str, subject: Subject, findings: Sequence[Finding], max_words: int
) -> Iterator[str]:
    """Generate wordings with lead and closing sentences; neighbours differ in all of them."""
    if subject.kind is None:
        wordings: tuple[str, ...] = topic_of(original_prompt).wordings
    else:
        motion = physics().kinds[subject.kind]
        wordings = motion.mutual if subject.mutual else motion.wordings
        max_words = min(max_words, MAX_WORLD_WORDS)
    own = _as_sentence(original_prompt[:_MAX_ORIGINAL_CHARS])
    for turn in range(3 * len(wordings)):
        leads: list[str] = []
        for finding in findings[:2]:
            lead = subject.fill(finding.leads[turn % len(finding.leads)], known=bool(leads))
            if subject.kind is None or _num_words(" ".join([*leads, lead])) <= max_words // 2:
                leads.append(lead)
        lead = " ".join(leads)
        body = subject.fill(wordings[turn % len(wordings)], turn=turn, known=bool(leads))
        if subject.kind is not None:
            yield fit(f"{lead} {body}".strip(), max_words)
            continue
        closing = everyday().closings[turn // len(wordings)]
        if _num_words(f"{lead} {own} {body}") > max_words:
            own = fit(own, max(1, int(_SHARE_OF_ORIGINAL * max_words)))
        yield fit(" ".join(filter(None, (lead, own, body, closing))), max_words)


def _as_sentence(text: str) -> str:
    text = clean(text)
    return text if text.endswith((".", "!", "?", "…", '"', "”", "。")) else text.rstrip(" ,;:") + "."


def _likeness(one: str, other: str) -> int:
    """Number of words that two texts share."""
    return (Counter(one.lower().split()) & Counter(other.lower().split())).total()


def _differ(one: str, other: str) -> bool:
    return " ".join(one.split()).casefold() != " ".join(other.split()).casefold()


def _num_words(text: str) -> int:
    return len(text.split())
