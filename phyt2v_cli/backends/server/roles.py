"""LLM, captioner and scorer on any endpoint that speaks OpenAI's chat completions.

Captioner and scorer need a model that takes images. A score is P(yes) if the endpoint gives logprobs, else
the number that the VLM answers. This file must not know HTTP or the wording of questions.
"""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from phyt2v_cli.backends.server.client import OpenAIClient
from phyt2v_cli.backends.server.questions import Part
from phyt2v_cli.backends.vlm import (
    PHYSICAL_QUESTION,
    PHYSICAL_RATING_QUESTION,
    Rating,
    ask_for_caption,
    ask_for_rating,
    probability_of_yes,
    sampled_images,
    semantic_question,
    semantic_rating_question,
    yes_or_no,
)
from phyt2v_cli.config.judges import CaptionerConfig, LlmConfig, ScorerConfig, VlmConfig
from phyt2v_cli.errors import ReplyError
from phyt2v_cli.roles import ChatReply, ChatRequest, Message, Scores

_BLANK_SIZE = 64
"""Side of the pictures of a probe: small, but not below what image processors take."""


class OpenAIChat:
    """LLM on a server; implements `roles.ChatModel`."""

    def __init__(self, config: LlmConfig) -> None:
        """Set the endpoint; nothing is sent before the first request.

        Raises ConfigError if the base URL is not the URL of a server.
        """
        self._client = OpenAIClient(config, "llm")

    def probe(self) -> None:
        """Ask for one word; raises what `OpenAIClient.probe` raises."""
        self._client.probe()

    def reply(self, request: ChatRequest) -> ChatReply:
        """Ask the model; the reply's text is the answer unchanged.

        A refusal or an answer that is cut off comes as the reply's `problem`. Raises what `OpenAIClient.ask`
        raises.
        """
        answer = self._client.ask(request.messages, schema=request.schema)
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

    def probe(self) -> None:
        """Ask about blank pictures, as many as will be shown; raises what `OpenAIClient.probe` raises."""
        self._client.probe(_blank_pictures(self._config))

    def caption(self, video_path: Path, instruction: str) -> str:
        """Caption sampled frames of a video as `instruction` asks.

        Raises ReplyError for a refusal, and for an answer that is cut off or unusable twice, BackendError if
        the endpoint fails, and VideoError if the video is missing or broken.
        """
        pictures = _pictures(video_path, self._config)
        return ask_for_caption(
            lambda messages: self._client.complete(messages, pictures=pictures).text,
            instruction,
            who=str(self._client),
            hint="Name another `captioner.model`.",
        )


class OpenAIScorer:
    """Scorer on a server; implements `roles.VideoScorer`."""

    def __init__(self, config: ScorerConfig, *, key: str = "scorer") -> None:
        """Set the endpoint of the config section `key`; nothing is sent before the first video.

        Raises ConfigError if the base URL is not the URL of a server.
        """
        self._config = config
        self._key = key
        self._client = OpenAIClient(config, "scorer", key=key)

    @property
    def name(self) -> str:
        """Key of this scorer in the record."""
        return self._config.name or f"openai:{self._config.model}"

    def probe(self) -> None:
        """Ask about blank pictures, as many as will be shown; raises what `OpenAIClient.probe` raises."""
        self._client.probe(_blank_pictures(self._config))

    def score(self, video_path: Path, prompt: str) -> Scores:
        """Semantic adherence to `prompt`, and physical commonsense, asked without the prompt.

        A score is None if the model refused, or if no usable number came, twice; the reasons and the
        `problem` say why. Raises BackendError if the endpoint fails, and VideoError if the video is missing
        or broken.
        """
        pictures = _pictures(video_path, self._config)
        semantic = self._judge(pictures, semantic_question(prompt), semantic_rating_question(prompt))
        physical = self._judge(pictures, PHYSICAL_QUESTION, PHYSICAL_RATING_QUESTION)
        return Scores(
            semantic.score,
            physical.score,
            (f"SA: {semantic.why}", f"PC: {physical.why}"),
            semantic.problem or physical.problem,
        )

    def _judge(self, pictures: Sequence[Part], question: str, rating: str) -> "_Judgement":
        try:
            if self._client.gives_logprobs:
                asked = [Message("user", question)]
                answer = self._client.complete(asked, pictures=pictures, wants_logprobs=True)
                # An answer that begins with another word has not decided yet, so its other candidates for the
                # first token say nothing.
                if yes_or_no(answer.first_token) is not None:
                    chance = probability_of_yes(answer.logprobs)
                    if chance is not None:
                        return _Judgement(round(chance, 4), f"P(yes) {chance:.2f} from logprobs")
            score = ask_for_rating(
                lambda messages: (
                    self._client.complete(messages, pictures=pictures, schema=Rating.model_json_schema()).text
                ),
                rating,
                who=str(self._client),
                hint=f"Name another `{self._key}.model`.",
            )
        except ReplyError as error:
            return _Judgement(None, error.message, error)
        return _Judgement(score, f"answered {score:g}")


class _Judgement(NamedTuple):
    """Answer to one of a scorer's two questions."""

    score: float | None
    why: str
    problem: ReplyError | None = None


def _pictures(video_path: Path, config: VlmConfig) -> list[dict[str, Any]]:
    """Sampled frames as parts of a message."""
    return [_part(image) for image in sampled_images(video_path, config)]


def _blank_pictures(config: VlmConfig) -> list[dict[str, Any]]:
    size = min(_BLANK_SIZE, config.max_frame_size)
    return [_part(Image.new("RGB", (size, size)))] * config.num_frames


def _part(image: Image.Image) -> dict[str, Any]:
    """Picture as a part of a message: a PNG data URI, which every compatible server takes."""
    return {"type": "image_url", "image_url": {"url": _data_uri(image)}}


def _data_uri(image: Image.Image) -> str:
    png = io.BytesIO()
    image.save(png, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode('ascii')}"
