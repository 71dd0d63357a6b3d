"""A local VLM of transformers as captioner and as scorer. The questions and the frames are not its own."""

from pathlib import Path
from typing import Any

import torch

from phyt2v_cli.backends import local_models
from phyt2v_cli.backends.transformers_chat import without_reasoning
from phyt2v_cli.backends.vlm_frames import sampled_images
from phyt2v_cli.backends.vlm_questions import (
    PHYSICAL_QUESTION,
    caption_question,
    semantic_question,
    yes_or_no,
)
from phyt2v_cli.errors import BackendError, ReplyError
from phyt2v_cli.interfaces import Message, Scores
from phyt2v_cli.settings import CaptionerConfig, ScorerConfig

_MAX_CAPTION_TOKENS = 1024
"""Of a few sentences, reasoning included; a model that has not ended by then goes in circles."""


class TransformersCaptioner:
    """Describes a video from evenly spread frames; implements `interfaces.VideoCaptioner`."""

    def __init__(self, config: CaptionerConfig) -> None:
        local_models.model_name(config, "captioner")
        self._config = config

    def caption(self, video_path: Path, instruction: str) -> str:
        """Return what the model says, one answer for the same frames.

        Raises ModelLoadError where the model cannot be had or cannot see, BackendError where it fails,
        ReplyError where it says nothing, VideoError where the video is broken.
        """
        config = self._config
        images = sampled_images(video_path, config)
        model = local_models.load(config, role="captioner")
        inputs, max_new_tokens = model.inputs.encode(
            [Message("user", caption_question(instruction))],
            images,
            max_new_tokens=min(config.max_tokens, _MAX_CAPTION_TOKENS),
        )
        answer = model.write(
            inputs, role="captioner", max_new_tokens=max_new_tokens, max_time=config.timeout_s
        )
        caption = without_reasoning(answer.text).strip()
        if not caption:
            raise ReplyError(
                f"{config.model} says nothing about {video_path.name} ({answer.completion_tokens} tokens). "
                "Raise captioner.max_tokens or captioner.timeout_s, or name another model."
            )
        return caption


class TransformersScorer:
    """Scores a video with P(yes) against P(no) of a first word; implements `interfaces.VideoScorer`."""

    def __init__(self, config: ScorerConfig) -> None:
        self._config = config
        model = local_models.model_name(config, "scorer")
        self._name = config.name or f"transformers:{Path(model).name}"

    @property
    def name(self) -> str:
        """The key of this scorer in the record."""
        return self._name

    def score(self, video_path: Path, prompt: str) -> Scores:
        """Return SA against `prompt` and PC, which is asked without it; equal for equal frames and prompts.

        Raises as `TransformersCaptioner.caption` does, and BackendError where the model has no word for yes
        or no.
        """
        images = sampled_images(video_path, self._config)
        model = local_models.load(self._config, role="scorer")
        yes, no = _answer_tokens(model.inputs.tokenizer)
        if not yes or not no:
            raise BackendError(
                f"{self._config.model} has no single token for yes or for no, so its answers give no score. "
                "Name another model as scorer."
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
    """Return the tokens that say yes and those that say no, with any spaces, capitals and marks."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    said = {token_id: yes_or_no(token) for token, token_id in vocabulary.items()}
    return [i for i, is_yes in said.items() if is_yes is True], [
        i for i, is_yes in said.items() if is_yes is False
    ]
