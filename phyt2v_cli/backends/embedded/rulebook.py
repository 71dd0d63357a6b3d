"""Rule-based LLM that works offline: answers the three tasks from tables of physics.

It reads a request's `task` and `data`, never its messages, and answers with JSON like an LLM. Its physics is
in `tiny/physics.toml` and `tiny/everyday.toml`. It must not know videos or the loop.
"""

import json
import re
from collections.abc import Mapping

from phyt2v_cli.roles import ChatReply, ChatRequest
from phyt2v_cli.tiny.comparison import Finding, compare, shares_no_word
from phyt2v_cli.tiny.knowledge import physics, topic_of
from phyt2v_cli.tiny.language import parse_prompt
from phyt2v_cli.tiny.rewriting import brief_prompt, clean, explicit_prompt, fit, is_explicit, shorten
from phyt2v_cli.tiny.wording import Subject, subject_of

_WHO = "This is the rulebook, a table of everyday physics and no language model."
_OUTSIDE = (
    f"{_WHO} Outside the embedded world it goes by keywords; a language model does better "
    "(llm.backend = openai or transformers)"
)
_LOW_SCORE = 0.7
"""A score below it counts as a mismatch even if no rule recognizes the reason."""
_MAX_CHARS = 3000
_LISTS = ("reasons", "other_prompts")
"""Data that have one item a line."""


class Rulebook:
    """LLM of fixed rules, without a model; implements `roles.ChatModel`."""

    def reply(self, request: ChatRequest) -> ChatReply:
        """Answer the task with JSON; the same data always give the same answer."""
        data = {key: value if key in _LISTS else clean(value) for key, value in request.data.items()}
        subject = subject_of(data["original_prompt"], parse_prompt(data["original_prompt"]))
        answer = {"analysis": _analysis, "mismatch": _mismatch, "refinement": _refinement}[request.task]
        says_who = request.task == "analysis" and subject.kind is None
        return ChatReply(
            json.dumps(answer(data, subject), ensure_ascii=False), note=_OUTSIDE if says_who else ""
        )


def _analysis(data: Mapping[str, str], subject: Subject) -> dict[str, object]:
    if subject.kind is None:
        where, law = (
            "outside the embedded world, judged by its keywords",
            topic_of(data["original_prompt"]).law,
        )
    else:
        where = f"a scene of the embedded world, of the kind '{subject.kind}'"
        law = physics().kinds[subject.kind].law.format(thing=subject.names[0])
    return {
        "reasoning": f"{_WHO} The prompt is {where}.",
        "main_object": subject.introduction,
        "physical_law": law,
    }


def _mismatch(data: Mapping[str, str], subject: Subject) -> dict[str, object]:
    original, caption, reasons = data["original_prompt"], data["caption"], data.get("reasons", "")
    texts = [f.text for f in compare(original, subject, caption, reasons)]
    low = [
        name
        for name in ("semantic_adherence", "physical_commonsense")
        if float(data.get(name, 1)) < _LOW_SCORE
    ]
    if not texts and low:
        names = " and ".join(name.replace("_", " ") for name in low)
        texts = [f"The scorer finds too little {names}: {clean(reasons) or 'it gives no reason'}."]
    if (
        not texts
        and subject.kind is None
        and "semantic_adherence" in data
        and shares_no_word(original, caption)
    ):
        texts = [f"The video should show {subject.definite}, but the caption speaks of something else."]
    return {
        "reasoning": f"{_WHO} It looked in caption and reasons for what was asked and for known oddities.",
        "found": bool(texts),
        "text": " ".join(texts)[:_MAX_CHARS],
    }


def _refinement(data: Mapping[str, str], subject: Subject) -> dict[str, object]:
    original, previous, max_words = data["original_prompt"], data["prompt"], int(data["max_words"])
    error, others = data.get("error", ""), data.get("other_prompts", "").splitlines()
    if not data["mismatch"] and is_explicit(previous, original) and not error and not others:
        text = fit(previous, max_words)
    else:
        findings: list[Finding] = []
        if data["mismatch"]:
            findings = compare(
                original, subject, data["caption"], f"{data['mismatch']} {data.get('feedback', '')}"
            )
            if not findings and subject.kind:
                # No rule fits the mismatch, so the prompt begins with what should be seen.
                findings = [Finding(data["mismatch"], (physics().kinds[subject.kind].lead,))]

        def rewrite(words: int, skip: int = 0) -> str:
            return explicit_prompt(original, subject, findings, previous=previous, max_words=words, skip=skip)

        text = rewrite(max_words, skip=len(others) + int("unchanged" in error))
        if excess := re.search(r"is (\d+) tokens longer", error):
            # A word is at least one token; an unknown word may be as many tokens as it has letters.
            words = len(text.split()) - int(excess[1])
            text = shorten(text, words, original_prompt=original, previous=previous) or brief_prompt(
                original, previous=previous, max_words=max_words
            )
    law = topic_of(original).law if subject.kind is None else physics().kinds[subject.kind].law
    return {
        "step_back": f"{_WHO} The principle: {law.format(thing=subject.names[0])}",
        "prompt": text,
    }
