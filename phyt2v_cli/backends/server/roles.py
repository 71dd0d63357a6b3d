"""LLM, captioner and scorer on any endpoint that speaks OpenAI's chat completions.

Captioner and scorer need a model that takes images. A score is P(yes) if the endpoint gives logprobs, else
the number that the VLM answers. This file must not know HTTP or the wording of questions.
"""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from phyt2v_cli.backends.server.client import ChatMessage, OpenAIClient
from phyt2v_cli.backends.vlm import (
    MAX_RATING_CHARS,
    PHYSICAL_QUESTION,
    PHYSICAL_RATING_QUESTION,
    Rating,
    caption_question,
    parse_rating,
    probability_of_yes,
    sampled_images,
    semantic_question,
    semantic_rating_question,
    yes_or_no,
)
from phyt2v_cli.config.schema import CaptionerConfig, LlmConfig, ScorerConfig, VlmConfig
from phyt2v_cli.errors import ReplyError
from phyt2v_cli.roles import ChatReply, ChatRequest, Scores


class OpenAIChat:
    """LLM on a server; implements `roles.ChatModel`."""

    def __init__(self, config: LlmConfig) -> None:
        """Set the endpoint; nothing is sent before the first request.

        Raises ConfigError if the base URL is not the URL of a server.
        """
        self._client = OpenAIClient(config, "llm")

    def reply(self, request: ChatRequest) -> ChatReply:
        """Ask the model; the reply's text is the answer unchanged.

        A refusal, an empty answer or one that is cut off comes as the reply's `problem`. Raises what
        `OpenAIClient.ask` raises.
        """
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        answer = self._client.ask(messages, schema=request.schema)
        problem = None
        try:
            self._client.check(answer)
        except ReplyError as error:
            problem = error
        return ChatReply(answer.text, answer.prompt_tokens, answer.completion_tokens, problem)


class OpenAICaptioner:
    """Captioner on a server; implements `roles.VideoCaptioner`."""

    def __init__(self, config: CaptionerConfig) -> None:
        """Set the endpoint; nothing is sent before the first video.

        Raises ConfigError if the base URL is not the URL of a server.
        """
        self._config = config
        self._client = OpenAIClient(config, "captioner")

    def caption(self, video_path: Path, instruction: str) -> str:
        """Caption sampled frames of a video as `instruction` asks.

        Raises ReplyError for a refusal, an empty answer or one that is cut off twice, BackendError if the
        endpoint fails, and VideoError if the video is missing or broken.
        """
        question = caption_question(instruction)
        pictures = _pictures(video_path, self._config)
        return self._client.complete([_message(pictures, question)]).text.strip()


class OpenAIScorer:
    """Scorer on a server; implements `roles.VideoScorer`. A refusal counts as an abstention."""

    def __init__(self, config: ScorerConfig) -> None:
        """Set the endpoint; nothing is sent before the first video.

        Raises ConfigError if the base URL is not the URL of a server.
        """
        self._config = config
        self._client = OpenAIClient(config, "scorer")

    @property
    def name(self) -> str:
        """Key of this scorer in the record."""
        return self._config.name or f"openai:{self._config.model}"

    def score(self, video_path: Path, prompt: str) -> Scores:
        """Semantic adherence to `prompt`, and physical commonsense, asked without the prompt.

        A score is None if no usable number came; the reasons say why. Raises BackendError if the endpoint
        fails, and VideoError if the video is missing or broken.
        """
        pictures = _pictures(video_path, self._config)
        semantic, why_semantic = self._judge(
            pictures, semantic_question(prompt), semantic_rating_question(prompt)
        )
        physical, why_physical = self._judge(pictures, PHYSICAL_QUESTION, PHYSICAL_RATING_QUESTION)
        return Scores(semantic, physical, (f"SA: {why_semantic}", f"PC: {why_physical}"))

    def _judge(self, pictures: Sequence[ChatMessage], question: str, rating: str) -> tuple[float | None, str]:
        try:
            if self._client.gives_logprobs:
                answer = self._client.complete([_message(pictures, question)], wants_logprobs=True)
                # An answer that begins with another word has not decided yet, so its other candidates for the
                # first token say nothing.
                if yes_or_no(answer.first_token) is not None:
                    chance = probability_of_yes(answer.logprobs)
                    if chance is not None:
                        return round(chance, 4), f"P(yes) {chance:.2f} from logprobs"
            return self._rate(pictures, rating)
        except ReplyError as error:
            return None, error.message

    def _rate(self, pictures: Sequence[ChatMessage], question: str) -> tuple[float | None, str]:
        messages = [_message(pictures, question)]
        schema = Rating.model_json_schema()
        first = self._client.complete(messages, schema=schema).text
        score = parse_rating(first)
        if isinstance(score, str):
            complaint = f"This reply cannot be used: {score}. Reply again, with one JSON object as described."
            messages += [
                {"role": "assistant", "content": first[:MAX_RATING_CHARS]},
                {"role": "user", "content": complaint},
            ]
            score = parse_rating(self._client.complete(messages, schema=schema).text)
        if isinstance(score, str):
            return None, f"no usable answer, twice; the last time: {score}"
        return score, f"answered {score:g}"


def _pictures(video_path: Path, config: VlmConfig) -> list[dict[str, Any]]:
    """Sampled frames as parts of a message: PNG data URIs, which every compatible server takes."""
    parts = []
    for image in sampled_images(video_path, config):
        parts.append({"type": "image_url", "image_url": {"url": _data_uri(image)}})
    return parts


def _data_uri(image: Image.Image) -> str:
    png = io.BytesIO()
    image.save(png, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode('ascii')}"


def _message(pictures: Sequence[ChatMessage], text: str) -> ChatMessage:
    return {"role": "user", "content": [*pictures, {"type": "text", "text": text}]}
