"""Rewriting of a prompt by the LLM: after a video, or blind. Knows one request, and no order of rounds."""

from collections.abc import Sequence
from functools import partial

from phyt2v_cli.refinement.prompts import (
    PhysicsAnalysis,
    RefinedPrompt,
    ask,
    find_fault_in_refinement,
    refinement_request,
)
from phyt2v_cli.refinement.round import Session
from phyt2v_cli.roles import Scores
from phyt2v_cli.runs.records import VideoRecord


def rewrite(
    session: Session, analysis: PhysicsAnalysis, seen: VideoRecord | None, others: Sequence[str] = ()
) -> str:
    """Rewritten prompt, by what was `seen` in a video, and unlike all of `others`.

    Without a video the original prompt is rewritten blindly, from its analysis alone. The prompt may stay as
    it is if the video has no mismatch and there are no others. Raises ReplyError if no usable one comes, and
    BackendError if the LLM fails.
    """
    settings, original = session.run.config.refinement, session.run.record.prompt
    rendered = original if seen is None else seen.prompt
    mismatch = seen.mismatch.text if seen is not None and seen.mismatch is not None else ""
    request = refinement_request(
        original_prompt=original,
        prompt=original if settings.rewrite_from == "original" else rendered,
        analysis=analysis,
        caption=(seen.caption or "") if seen is not None else "",
        mismatch=mismatch,
        scores=seen.all_scores() if seen is not None else Scores(None, None),
        max_words=settings.max_prompt_words,
        unseen=seen is None,
        others=others,
        instruction=session.instructions.get("refinement"),
    )
    find_fault = partial(
        find_fault_in_refinement,
        request=request,
        known_prompts=(rendered, *others),
        excess_tokens=session.generator.count_excess_tokens,
        must_change=seen is None or bool(mismatch) or bool(others),
    )
    reply = ask(
        session.roles.llm, request, RefinedPrompt, on_reply=session.count_reply, find_fault=find_fault
    )
    return reply.prompt
