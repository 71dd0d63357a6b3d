"""LLM, captioner and scorer on a local model of transformers.

Knows how to call the model and how to parse its reply; it must not know the wording of questions, the
sampling of frames or the schemas of replies.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import LogitsProcessor

from phyt2v_cli.backends.local import models
from phyt2v_cli.backends.vlm import (
    PHYSICAL_QUESTION,
    ask_for_caption,
    sampled_images,
    semantic_question,
    yes_or_no,
)
from phyt2v_cli.config.judges import CaptionerConfig, LlmConfig, ScorerConfig
from phyt2v_cli.errors import BackendError
from phyt2v_cli.roles import ChatReply, ChatRequest, Message, Scores


class TransformersChat:
    """LLM on a local model, loaded at the first request; implements `roles.ChatModel`.

    Equal requests get equal replies, whatever the temperature.
    """

    def __init__(self, config: LlmConfig) -> None:
        self._config = config
        self._model = models.ModelHandle(config, "llm")

    def close(self) -> None:
        """Release the model; the last role to do so frees its memory."""
        self._model.close()

    def reply(self, request: ChatRequest) -> ChatReply:
        """Generate an answer of at most `max_tokens` tokens.

        Raises ModelLoadError if the model cannot be loaded, ConfigError if the device is missing, and
        BackendError if the model fails, the request is longer than its context, or `timeout_s` is over.
        """
        config = self._config
        model = self._model.get()
        inputs, max_new_tokens = model.inputs.encode(request.messages, max_new_tokens=config.max_tokens)
        answer = model.write(
            inputs,
            role="llm",
            max_new_tokens=max_new_tokens,
            max_time=config.timeout_s,
            logits_processor=[Sampling(config.temperature)] if config.temperature else (),
        )
        if answer.ended_by == "time":
            raise BackendError(
                f"{config.model} did not finish its answer in {config.timeout_s:g} s "
                f"({answer.completion_tokens} tokens).",
                "Raise `llm.timeout_s`, or name a smaller model.",
            )
        return ChatReply(answer.text, answer.prompt_tokens, answer.completion_tokens)


class Sampling(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped
    """Sampling at a temperature by Gumbel noise: the largest logit is then a sample of the softmax.

    `generate(do_sample=True)` would draw from the global random state, which all threads share.
    """

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(input_ids.shape[-1])
        noise = torch.empty(scores.shape).exponential_(generator=generator).log().neg()
        return scores.float() / self._temperature + noise.to(scores.device)


_MAX_CAPTION_TOKENS = 1024
"""Limit for a few sentences with reasoning; a model that has not ended by then repeats itself."""


class TransformersCaptioner:
    """Captioner on a local VLM, from evenly spread frames; implements `roles.VideoCaptioner`."""

    def __init__(self, config: CaptionerConfig) -> None:
        self._config = config
        self._model = models.ModelHandle(config, "captioner")

    def close(self) -> None:
        """Release the model; the last role to do so frees its memory."""
        self._model.close()

    def caption(self, video_path: Path, instruction: str) -> str:
        """Caption sampled frames of a video as `instruction` asks, by greedy decoding.

        Raises ModelLoadError if the model cannot be loaded or takes no images, ConfigError if the device is
        missing, BackendError if the model fails or the frames do not fit into its context, ReplyError if no
        usable caption comes, twice, and VideoError if the video is missing or broken.
        """
        config = self._config
        images = sampled_images(video_path, config)
        model = self._model.get()

        def send(messages: Sequence[Message]) -> str:
            inputs, max_new_tokens = model.inputs.encode(
                messages, images, max_new_tokens=min(config.max_tokens, _MAX_CAPTION_TOKENS)
            )
            answer = model.write(
                inputs, role="captioner", max_new_tokens=max_new_tokens, max_time=config.timeout_s
            )
            return str(answer.text)

        return ask_for_caption(
            send,
            instruction,
            who=f"The captioner {config.model}",
            hint="Raise `captioner.max_tokens` or `captioner.timeout_s`, or name another `captioner.model`.",
        )


class TransformersScorer:
    """Scorer on a local VLM, by P(yes) / (P(yes) + P(no)) of the first token; implements `VideoScorer`."""

    def __init__(self, config: ScorerConfig) -> None:
        self._config = config
        self._model = models.ModelHandle(config, "scorer")
        model = models.model_name(config, "scorer")
        self._name = config.name or f"transformers:{Path(model).name}"

    @property
    def name(self) -> str:
        """Key of this scorer in the record."""
        return self._name

    def close(self) -> None:
        """Release the model; the last role to do so frees its memory."""
        self._model.close()

    def score(self, video_path: Path, prompt: str) -> Scores:
        """Semantic adherence to `prompt`, and physical commonsense, asked without the prompt.

        Raises as `TransformersCaptioner.caption` does (but no ReplyError), and BackendError if the model has
        no single token for yes or for no.
        """
        images = sampled_images(video_path, self._config)
        model = self._model.get()
        yes, no = _answer_tokens(model.inputs.tokenizer)
        if not yes or not no:
            raise BackendError(
                f"{self._config.model} has no single token for yes or for no, so its answers give no score.",
                "Name another model as scorer.",
            )

        def probability_of_yes(question: str) -> float:
            inputs, _ = model.inputs.encode([Message("user", question)], images)
            logits = model.first_token_logits(inputs, role="scorer")
            pair = torch.stack([logits[yes].logsumexp(0), logits[no].logsumexp(0)])
            return round(float(pair.softmax(0)[0]), 4)

        return Scores(
            semantic_adherence=probability_of_yes(semantic_question(prompt)),
            physical_commonsense=probability_of_yes(PHYSICAL_QUESTION),
        )


def _answer_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Token ids for yes and for no, in all spellings with spaces, capitals and punctuation."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    said = {token_id: yes_or_no(token) for token, token_id in vocabulary.items()}
    return [i for i, is_yes in said.items() if is_yes is True], [
        i for i, is_yes in said.items() if is_yes is False
    ]
