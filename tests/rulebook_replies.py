"""The rulebook's replies to the three tasks, asked for as the loop asks an LLM."""

from typing import TypeVar

from pydantic import BaseModel

from phyt2v_cli.backends.embedded.rulebook import Rulebook
from phyt2v_cli.refinement import prompts
from phyt2v_cli.refinement.prompts import MismatchReply, PhysicsAnalysis, RefinedPrompt
from phyt2v_cli.roles import ChatRequest, Scores

Reply = TypeVar("Reply", bound=BaseModel)
ABSTAINED = Scores(None, None)
GOOD = Scores(1.0, 1.0)


def ask(request: ChatRequest, reply: type[Reply]) -> Reply:
    replies: list[object] = []
    parsed = prompts.ask(Rulebook(), request, reply, on_reply=replies.append)
    assert len(replies) == 1, "the first reply was not usable"
    return parsed


def analyse(prompt: str) -> PhysicsAnalysis:
    return ask(prompts.analysis_request(prompt), PhysicsAnalysis)


def compare(original: str, caption: str, scores: Scores = GOOD) -> MismatchReply:
    request = prompts.mismatch_request(
        original_prompt=original, prompt=original, analysis=analyse(original), caption=caption, scores=scores
    )
    return ask(request, MismatchReply)


def refine(
    original: str,
    caption: str,
    mismatch: str,
    *,
    prompt: str | None = None,
    max_words: int = 120,
    excess_tokens: int = 0,
) -> RefinedPrompt:
    request = prompts.refinement_request(
        original_prompt=original,
        prompt=prompt or original,
        analysis=analyse(original),
        caption=caption,
        mismatch=mismatch,
        scores=GOOD,
        max_words=max_words,
    )
    replies: list[object] = []
    refined = prompts.ask(
        Rulebook(),
        request,
        RefinedPrompt,
        on_reply=replies.append,
        find_fault=lambda reply: prompts.find_fault_in_refinement(
            reply,
            request=request,
            known_prompts=[prompt or original],
            must_change=bool(mismatch),
            excess_tokens=lambda _: excess_tokens if len(replies) == 1 else 0,
        ),
    )
    assert len(replies) == (2 if excess_tokens else 1)
    return refined
