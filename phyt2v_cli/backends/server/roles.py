"""LLM, captioner and scorer on any endpoint that speaks OpenAI's chat completions.

Captioner and scorer need a model that takes images. A score is P(yes) if the endpoint gives logprobs, else
the number that the VLM answers; a judge with a question sheet answers with grades. This file must not know
HTTP or the wording of questions.
"""

import base64
import io
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from phyt2v_cli.backends.server.client import OpenAIClient
from phyt2v_cli.backends.server.questions import Part
from phyt2v_cli.backends.vlm import (
    PHYSICAL_QUESTION,
    PHYSICAL_RATING_QUESTION,
    Rating,
    ask_for_caption,
    ask_for_grade,
    ask_for_rating,
    probability_of_yes,
    sampled_images,
    semantic_question,
    semantic_rating_question,
    video_bytes,
    yes_or_no,
)
from phyt2v_cli.config.judges import CaptionerConfig, LlmConfig, ScorerConfig, VlmConfig
from phyt2v_cli.config.questions import QuestionSheet, SheetQuestion, read_sheet
from phyt2v_cli.errors import ReplyError
from phyt2v_cli.files.video import VideoMetadata, write_video
from phyt2v_cli.roles import ChatReply, ChatRequest, Message, Scores

_BLANK_FRAMES = 8
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


class OpenAISheetScorer:
    """Scorer on a server that is asked the questions of its sheet; implements `roles.VideoScorer`.

    A score is the mean of the grades that count towards it, 0 to 1.
    """

    def __init__(self, config: ScorerConfig, *, key: str = "scorer") -> None:
        """Set the endpoint of the config section `key`; the sheet is read for the probe or the first video.

        Raises ConfigError if the base URL is not the URL of a server.
        """
        self._config = config
        self._key = key
        self._client = OpenAIClient(config, "scorer", key=key)

    @cached_property
    def _sheet(self) -> QuestionSheet:
        return read_sheet(self._config, self._key)

    @property
    def name(self) -> str:
        """Key of this scorer in the record."""
        return self._config.name or f"openai:{self._config.model}"

    def probe(self) -> None:
        """Ask about what is shown, but blank; raises ConfigError and what `OpenAIClient.probe` raises."""
        if self._sheet.shows == "frames":
            self._client.probe(_blank_pictures(self._config))
        else:
            self._client.probe([_video_part(_blank_video())])

    def score(self, video_path: Path, prompt: str) -> Scores:
        """Semantic adherence to `prompt`, and physical commonsense, by the sheet's own questions.

        A score is None if no question counts towards it, or if none of them got a usable grade, twice each;
        the reasons and the `problem` say why. Raises ConfigError if the sheet cannot be used, BackendError
        if the endpoint fails, and VideoError if the video is missing or broken.
        """
        shown = self._shown(video_path)
        questions = self._sheet.chosen(self._config.ask)
        judged = [(question, self._grade(shown, question, prompt)) for question in questions]

        def mean(score: str) -> float | None:
            grades = [
                one.score for question, one in judged if question.score == score and one.score is not None
            ]
            return round(sum(grades) / len(grades), 4) if grades else None

        def problem(score: str) -> ReplyError | None:
            if mean(score) is not None:
                return None
            return next((one.problem for question, one in judged if question.score == score), None)

        return Scores(
            mean("semantic_adherence"),
            mean("physical_commonsense"),
            tuple(f"{question.key}: {one.why}" for question, one in judged),
            problem("semantic_adherence") or problem("physical_commonsense"),
        )

    def _grade(self, shown: Sequence[Part], question: SheetQuestion, prompt: str) -> "_Judgement":
        sheet = self._sheet
        system = [Message("system", sheet.system)] if sheet.system else []
        try:
            grade = ask_for_grade(
                lambda messages: (
                    self._client.complete([*system, *messages], pictures=shown, extra=sheet.request).text
                ),
                question.asked(prompt),
                question.key,
                sheet,
                who=str(self._client),
                hint=f"Does `{self._key}.questions` belong to `{self._key}.model`?",
            )
        except ReplyError as error:
            return _Judgement(None, error.message, error)
        return _Judgement(sheet.fraction(grade), f"{grade:g}, from {sheet.lowest:g} to {sheet.highest:g}")

    def _shown(self, video_path: Path) -> list[dict[str, Any]]:
        if self._sheet.shows == "frames":
            return _pictures(video_path, self._config)
        return [_video_part(video_bytes(video_path, self._sheet.height))]


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


def _blank_video() -> bytes:
    frames = np.zeros((_BLANK_FRAMES, _BLANK_SIZE, _BLANK_SIZE, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "blank.mp4"
        write_video(path, frames, fps=_BLANK_FRAMES, metadata=VideoMetadata("", seed=0, steps=1))
        return path.read_bytes()


def _video_part(content: bytes) -> dict[str, Any]:
    """Video as a part of a message: an mp4 data URI, an extension of the protocol."""
    url = f"data:video/mp4;base64,{base64.b64encode(content).decode('ascii')}"
    return {"type": "video_url", "video_url": {"url": url}}


def _part(image: Image.Image) -> dict[str, Any]:
    """Picture as a part of a message: a PNG data URI, which every compatible server takes."""
    return {"type": "image_url", "image_url": {"url": _data_uri(image)}}


def _data_uri(image: Image.Image) -> str:
    png = io.BytesIO()
    image.save(png, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode('ascii')}"
