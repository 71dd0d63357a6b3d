"""Rewrites of a prompt for a study: blind ones, each unlike those before. Knows the LLM; renders nothing."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from phyt2v_cli.errors import ReplyError
from phyt2v_cli.refinement.prompts import (
    PhysicsAnalysis,
    RefinedPrompt,
    analysis_request,
    ask,
    find_fault_in_refinement,
    refinement_request,
)
from phyt2v_cli.roles import ChatModel, ChatReply, Scores, Task


def further_rewrites(
    llm: ChatModel,
    prompt: str,
    known: Sequence[str],
    number: int,
    *,
    max_words: int,
    excess_tokens: Callable[[str], int],
    instructions: Mapping[Task, str],
) -> tuple[list[str], ReplyError | None]:
    """Ask for up to `number` rewrites of a prompt, unlike those that are `known`.

    The error says why they are fewer. Raises BackendError if the LLM fails.
    """
    rewrites: list[str] = []
    try:
        analysis = ask(
            llm,
            analysis_request(prompt, instruction=instructions.get("analysis")),
            PhysicsAnalysis,
            on_reply=_ignore,
        )
        for _ in range(number):
            others = (*known, *rewrites)
            request = refinement_request(
                original_prompt=prompt,
                prompt=prompt,
                analysis=analysis,
                caption="",
                mismatch="",
                scores=Scores(None, None),
                max_words=max_words,
                unseen=True,
                others=others,
                instruction=instructions.get("refinement"),
            )
            find_fault = partial(
                find_fault_in_refinement,
                request=request,
                known_prompts=(prompt, *others),
                excess_tokens=excess_tokens,
                must_change=True,
            )
            rewrites.append(ask(llm, request, RefinedPrompt, on_reply=_ignore, find_fault=find_fault).prompt)
    except ReplyError as error:
        return rewrites, error
    return rewrites, None


def _ignore(_: ChatReply) -> None:
    """Count nothing: a study has no usage record."""
