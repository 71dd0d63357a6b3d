"""A local chat model of transformers as LLM. Knows how to ask it and read its reply; no task, no schema."""

import re

import torch
from transformers import LogitsProcessor

from phyt2v_cli.backends import local_models
from phyt2v_cli.errors import BackendError
from phyt2v_cli.interfaces import ChatReply, ChatRequest
from phyt2v_cli.settings import LlmConfig

_REASONING = re.compile(r"\s*(?:<think>.*?(?:</think>|\Z)|[^{].*?</think>)", re.DOTALL)
"""At the start of a reply. Some templates write the first `<think>` themselves, so that it is not in it."""


class TransformersChat:
    """Answers requests; implements `interfaces.ChatModel`. Nothing is loaded before the first one.

    Equal requests get equal replies, whatever the temperature.
    """

    def __init__(self, config: LlmConfig) -> None:
        local_models.model_name(config, "llm")
        self._config = config

    def reply(self, request: ChatRequest) -> ChatReply:
        """Return the model's answer without its reasoning, cut where it is longer than allowed.

        Raises ModelLoadError where the model cannot be had, BackendError where it fails, where the request is
        longer than its context, or where the time is up.
        """
        config = self._config
        model = local_models.load(config, role="llm")
        inputs, max_new_tokens = model.inputs.encode(request.messages, max_new_tokens=config.max_tokens)
        answer = model.write(
            inputs,
            role="llm",
            max_new_tokens=max_new_tokens,
            max_time=config.timeout_s,
            logits_processor=[_Sampling(config.temperature)] if config.temperature else (),
        )
        if answer.ended_by == "time":
            raise BackendError(
                f"{config.model} did not finish its answer in {config.timeout_s:g} s "
                f"({answer.completion_tokens} tokens). Raise llm.timeout_s, or name a smaller model."
            )
        return ChatReply(without_reasoning(answer.text), answer.prompt_tokens, answer.completion_tokens)


def without_reasoning(text: str) -> str:
    """Return a reply without the block of reasoning that it may begin with; nothing where it is all that."""
    return _REASONING.sub("", text, count=1) if _REASONING.match(text) else text


class _Sampling(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped
    """Adds Gumbel noise, so that the largest logit is a sample of the softmax.

    `generate(do_sample=True)` would draw from the one random state that all threads of the process share.
    """

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(input_ids.shape[-1])
        noise = torch.empty(scores.shape).exponential_(generator=generator).log().neg()
        return scores.float() / self._temperature + noise.to(scores.device)
