"""Captioner and scorer behind a server that sees, or says that it does."""

import base64
import io
import math
from pathlib import Path

import pytest
from PIL import Image

from phyt2v_cli.backends.server.roles import OpenAICaptioner, OpenAIScorer
from phyt2v_cli.config.judges import CaptionerConfig, ScorerConfig
from phyt2v_cli.errors import BackendError
from tests.scripted_server import ScriptedServer, answer, either, status
from tests.server_clients import captioner_at, scorer_at, text_of

SURE = {"Yes": math.log(0.6), " yes": math.log(0.2), "No": math.log(0.2)}

pytestmark = pytest.mark.usefixtures("loopback")


def test_a_caption_is_asked_with_pictures(video_path: Path) -> None:
    with ScriptedServer(answer(" A square moves.\n")) as server:
        assert captioner_at(server).caption(video_path, "Say what you see.") == "A square moves."
        [body] = server.bodies
    *pictures, text = body["messages"][0]["content"]
    assert text["text"].endswith("Say what you see.")
    assert len(pictures) == 4
    for picture in pictures:
        kind, _, data = picture["image_url"]["url"].partition(",")
        assert kind == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (32, 24)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (400, "Invalid content type. image_url is only supported by certain models."),
        (500, "image input is not supported - hint: you may need to provide the mmproj"),
        (422, "messages.0.content: Input should be a valid string"),
        (400, "vlm is not a multimodal model"),
    ],
)
def test_a_model_without_eyes_is_one_clear_line(code: int, message: str, video_path: Path) -> None:
    with ScriptedServer(status(code, {"error": {"message": message}})) as server:
        with pytest.raises(BackendError, match=r"does not take pictures .*\nSet `captioner\.model`"):
            captioner_at(server).caption(video_path, "Say what you see.")
        assert len(server.requests) == 1


def test_a_model_with_a_short_name_without_eyes(video_path: Path) -> None:
    config = CaptionerConfig(model="m", max_retries=0)
    with ScriptedServer(status(400, "m: image_url is not supported")) as server:
        captioner = OpenAICaptioner(config.model_copy(update={"base_url": server.url}))
        with pytest.raises(BackendError, match="does not take pictures"):
            captioner.caption(video_path, "Say what you see.")


def test_a_model_that_is_called_vision_may_still_be_missing(video_path: Path) -> None:
    config = CaptionerConfig(model="x/vision-1", max_retries=0)
    with ScriptedServer(status(404, "no model x/vision-1")) as server:
        captioner = OpenAICaptioner(config.model_copy(update={"base_url": server.url}))
        with pytest.raises(BackendError, match=r"is not there .*\nCheck `captioner\.model`"):
            captioner.caption(video_path, "Say what you see.")


def test_scores_from_logprobs(video_path: Path) -> None:
    with ScriptedServer(
        answer("Yes", logprobs=SURE, finish_reason="length"), answer("No", logprobs={"No": 0.0})
    ) as server:
        scores = scorer_at(server).score(video_path, "a square moves")
        semantic, physical = server.bodies
    assert (scores.semantic_adherence, scores.physical_commonsense) == (0.8, 0.0)
    assert scores.reasons == ("SA: P(yes) 0.80 from logprobs", "PC: P(yes) 0.00 from logprobs")
    assert (semantic["logprobs"], semantic["top_logprobs"]) == (True, 20)
    assert '"a square moves"' in text_of(semantic)
    assert "a square moves" not in str(physical)


def test_scores_as_answered_where_there_are_no_logprobs(video_path: Path) -> None:
    with ScriptedServer(answer("Yes"), answer('{"score": 0.7}'), answer('{"score": 0.25}')) as server:
        scores = scorer_at(server).score(video_path, "a square moves")
        bodies = server.bodies
    assert (scores.semantic_adherence, scores.physical_commonsense) == (0.7, 0.25)
    assert scores.reasons == ("SA: answered 0.7", "PC: answered 0.25")
    # It was asked for logprobs once, and then never again.
    assert ["logprobs" in body for body in bodies] == [True, False, False]
    assert bodies[1]["response_format"]["json_schema"]["schema"]["required"] == ["score"]


def test_a_server_that_rejects_logprobs(video_path: Path) -> None:
    rejects = either(
        lambda body: "logprobs" in body, status(400, "logprobs are not available"), answer('{"score": 1}')
    )
    with ScriptedServer(rejects) as server:
        assert scorer_at(server).score(video_path, "p").semantic_adherence == 1
        assert ["logprobs" in body for body in server.bodies] == [True, False, False, False]


def test_an_answer_that_begins_with_another_word_is_asked_for_a_number(video_path: Path) -> None:
    undecided = answer("The", logprobs={"The": -0.1, "yes": -4.0, "no": -9.0})
    with ScriptedServer(undecided, answer('{"score": 0.5}'), undecided, answer('{"score": 0.5}')) as server:
        scores = scorer_at(server).score(video_path, "p")
    assert (scores.semantic_adherence, scores.physical_commonsense) == (0.5, 0.5)


def test_a_server_that_is_down_is_an_error_and_no_score(video_path: Path) -> None:
    with ScriptedServer(status(401)) as server, pytest.raises(BackendError, match=r"scorer\.api_key_env"):
        scorer_at(server).score(video_path, "p")


@pytest.mark.parametrize(("name", "expected"), [(None, "openai:org/vlm"), ("mine", "mine")])
def test_names(name: str | None, expected: str) -> None:
    assert OpenAIScorer(ScorerConfig(model="org/vlm", name=name)).name == expected
