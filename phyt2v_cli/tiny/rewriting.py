"""Writes the physically explicit prompt: what to say first, the scene, its cause, motion and outcome.

This file chooses between the sentences of the tables and keeps to the number of words. It knows no scores and
no JSON, and remembers nothing: the next wording follows from the prompt that was rendered last.
"""

import re
from collections.abc import Iterator, Sequence

from phyt2v_cli.tiny.comparison import Finding
from phyt2v_cli.tiny.knowledge import everyday, physics, topic_of
from phyt2v_cli.tiny.wording import Subject

MAX_WORLD_WORDS = 45
"""The embedded model's text encoder reads 64 tokens, about one for each word and punctuation mark."""

_MAX_ORIGINAL_CHARS = 6000
_SHARE_OF_ORIGINAL = 0.6
"""At most this part of the words repeats the user's own ones where not everything fits."""


def explicit_prompt(
    original_prompt: str,
    subject: Subject,
    findings: Sequence[Finding],
    *,
    previous: str,
    max_words: int,
    skip: int = 0,
) -> str:
    """Return a prompt of at most `max_words` words that differs from `previous`, given any choice.

    The findings' sentences come first. `skip` leaves out so many of the candidates, for a second attempt.
    """
    candidates = [
        text
        for text in _candidates(original_prompt, subject, findings, previous, max_words)
        if _differ(text, previous)
    ]
    return candidates[skip % len(candidates)] if candidates else fit(previous, max_words)


def is_explicit(prompt: str, original_prompt: str) -> bool:
    """Whether `prompt` is no longer the user's own."""
    return _differ(prompt, original_prompt)


def clean(text: str) -> str:
    """Return `text` on one line, without control characters and halves of surrogate pairs."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def fit(text: str, max_words: int) -> str:
    """Return at most `max_words` words of `text`, cut after a sentence or a clause if possible."""
    words = text.split()
    if len(words) <= max_words:
        return " ".join(words)
    kept = " ".join(words[:max_words])
    ends = [m.start() for m in re.finditer(r"[.!?:;,](?= |$)", kept)]
    if ends and _num_words(kept[: ends[-1]]) > max_words // 2:
        kept = kept[: ends[-1]]
    return kept.rstrip(" ,;:.") + "."


def _candidates(
    original_prompt: str, subject: Subject, findings: Sequence[Finding], previous: str, max_words: int
) -> Iterator[str]:
    """Yield one text for each wording, beginning with the one after that of the previous prompt."""
    if subject.kind is None:
        wordings: tuple[str, ...] = topic_of(original_prompt).wordings
    else:
        wordings = _wordings_of_scene(original_prompt, subject)
        max_words = min(max_words, MAX_WORLD_WORDS)
    rendered = [subject.fill(w, turn=i, known=False) for i, w in enumerate(wordings)]
    used = [i for i, text in enumerate(rendered) if _core(text) in _core(previous)]
    first = used[-1] + 1 if used else 0
    for turn in range(first, first + 3 * len(wordings)):
        body_index = turn % len(wordings)
        leads: list[str] = []
        for finding in findings[:2]:
            lead = subject.fill(finding.leads[turn % len(finding.leads)], known=bool(leads))
            if subject.kind is None or _num_words(" ".join([*leads, lead])) <= max_words // 2:
                leads.append(lead)
        lead_text = " ".join(leads)
        body = subject.fill(wordings[body_index], turn=body_index, known=bool(leads))
        if subject.kind is not None:
            yield fit(f"{lead_text} {body}".strip(), max_words)
            continue
        closing = everyday().closings[turn // len(wordings) % len(everyday().closings)]
        own = fit(
            _as_sentence(original_prompt[:_MAX_ORIGINAL_CHARS]), max(1, int(_SHARE_OF_ORIGINAL * max_words))
        )
        whole = _as_sentence(original_prompt[:_MAX_ORIGINAL_CHARS])
        if _num_words(f"{lead_text} {whole} {body}") <= max_words:
            own = whole
        yield fit(" ".join(filter(None, (lead_text, own, body, closing))), max_words)


def _wordings_of_scene(original_prompt: str, subject: Subject) -> tuple[str, ...]:
    assert subject.kind is not None
    motion = physics().kinds[subject.kind]
    asked = original_prompt.lower()
    mutual = any(p in asked for p in motion.mutual_phrases) and not any(
        p in asked for p in motion.one_sided_phrases
    )
    return motion.mutual if mutual else motion.wordings


def _as_sentence(text: str) -> str:
    text = clean(text)
    return text if text.endswith((".", "!", "?", "…", '"', "”", "。")) else text.rstrip(" ,;:") + "."


def _core(text: str) -> str:
    """Return what is left of `text` when its objects' articles are gone, to find a wording again."""
    return " ".join(w for w in re.findall(r"[^\W_]+", text.lower()) if w not in ("a", "an", "the"))


def _differ(one: str, other: str) -> bool:
    return " ".join(one.split()).casefold() != " ".join(other.split()).casefold()


def _num_words(text: str) -> int:
    return len(text.split())
