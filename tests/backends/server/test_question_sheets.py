"""Judges with questions of their own behind a server: the request that each gets, and the grades it gives."""

import base64
import math
from pathlib import Path

import pytest

from phyt2v_cli import backends
from phyt2v_cli.backends.server.roles import OpenAISheetScorer
from phyt2v_cli.backends.vlm import read_grade
from phyt2v_cli.config.judges import ScorerConfig
from phyt2v_cli.config.questions import QuestionSheet
from phyt2v_cli.errors import BackendError
from phyt2v_cli.files.video import read_frames, seconds_of
from phyt2v_cli.replies import UnusableReplyError
from phyt2v_cli.roles import Scores
from tests.question_sheets import graded_sheet, plausibility_sheet, save
from tests.scripted_server import Body, ScriptedServer, answer, answer_with, status

pytestmark = pytest.mark.usefixtures("loopback")


def scorer_at(server: ScriptedServer, sheet: object, tmp_path: Path, **settings: object) -> OpenAISheetScorer:
    config = {
        "backend": "openai",
        "model": "judge",
        "base_url": server.url,
        "questions": save(tmp_path / "sheet.json", sheet),
        "max_tokens": 1024,
        "max_retries": 0,
        **settings,
    }
    made = backends.make_scorer(ScorerConfig.model_validate(config))
    assert isinstance(made, OpenAISheetScorer)
    return made


def key_in(body: Body) -> str:
    """Return the key of the question that a request asks."""
    text = body["messages"][1]["content"][-1]["text"]
    return next(key for key in ("SA", "persistence", "gravity", "collision") if f'{{"{key}": 3}}' in text)


def graded(grades: dict[str, object]) -> object:
    return answer_with(lambda body: str(grades[key_in(body)]))


def test_the_request_is_that_of_the_sheet(video_path: Path, tmp_path: Path) -> None:
    with ScriptedServer(answer('{"SA": 4}')) as server:
        scorer_at(server, graded_sheet(), tmp_path, ask=["SA"]).score(video_path, 'a "red" ball')
        [body] = server.bodies
    system, user = body.pop("messages")
    assert system == {"role": "system", "content": "You grade videos."}
    shown, text = user["content"]
    assert text == {"type": "text", "text": 'Does it match?\n"a "red" ball"\nReply {"SA": 3}'}
    kind, _, data = shown["video_url"]["url"].partition(",")
    assert (shown["type"], kind) == ("video_url", "data:video/mp4;base64")
    (tmp_path / "shown.mp4").write_bytes(base64.b64decode(data))
    original, sent = read_frames(video_path), read_frames(tmp_path / "shown.mp4")
    assert sent.shape == (len(original), 36, 48, 3)  # 24 x 32 before
    assert math.isclose(seconds_of(tmp_path / "shown.mp4"), seconds_of(video_path), rel_tol=0.01)
    assert body == {
        "model": "judge",
        "max_tokens": 1024,
        "temperature": 1.0,
        "top_k": 20,
        "chat_template_kwargs": {"enable_thinking": False},
    }


def test_a_judge_with_one_question_is_shown_the_file_itself(video_path: Path, tmp_path: Path) -> None:
    reply = "<think>\nIt falls.\n</think>\n<answer>\n2\n</answer>"
    with ScriptedServer(answer(reply)) as server:
        scores = scorer_at(server, plausibility_sheet(), tmp_path).score(video_path, "a red ball")
        [body] = server.bodies
    assert scores == Scores(None, 0.25, ("plausibility: 2, from 1 to 5",))
    shown, text = body["messages"][1]["content"]
    assert base64.b64decode(shown["video_url"]["url"].partition(",")[2]) == video_path.read_bytes()
    assert text["text"] == "Is it plausible?"
    assert body["mm_processor_kwargs"] == {"fps": 16}
    assert "a red ball" not in str(body["messages"])  # its format does not show the prompt
    assert "response_format" not in body


def test_frames_are_shown_where_the_sheet_says_so(video_path: Path, tmp_path: Path) -> None:
    with ScriptedServer(answer("4")) as server:
        sheet = plausibility_sheet(shows="frames")
        scorer_at(server, sheet, tmp_path, num_frames=3).score(video_path, "a ball")
        [body] = server.bodies
    kinds = [part["type"] for part in body["messages"][1]["content"]]
    assert kinds == ["image_url", "image_url", "image_url", "text"]


def test_a_score_is_the_mean_of_its_grades(video_path: Path, tmp_path: Path) -> None:
    grades = {"SA": '{"SA": 5}', "persistence": '{"persistence": 3}', "gravity": '{"gravity": 1}'}
    with ScriptedServer(graded({**grades, "collision": '{"grade": 2}'})) as server:
        scores = scorer_at(server, graded_sheet(), tmp_path).score(video_path, "a ball")
        assert len(server.requests) == 4
    assert (scores.semantic_adherence, scores.physical_commonsense) == (1.0, round((0.5 + 0 + 0.25) / 3, 4))
    assert scores.reasons[2] == "gravity: 1, from 1 to 5"
    assert scores.problem is None


def test_a_grade_that_is_missing_is_asked_for_again_and_then_left_out(
    video_path: Path, tmp_path: Path
) -> None:
    grades = {"SA": "I cannot say.", "persistence": '{"persistence": 5}', "gravity": '{"gravity": 9}'}
    with ScriptedServer(graded({**grades, "collision": '{"collision": true}'})) as server:
        scores = scorer_at(server, graded_sheet(), tmp_path).score(video_path, "a ball")
        assert len(server.requests) == 1 + 2 * 3
        again = server.bodies[1]["messages"]
    assert [message["role"] for message in again] == ["system", "user", "assistant", "user"]
    assert (scores.semantic_adherence, scores.physical_commonsense) == (None, 1.0)
    assert scores.problem is not None
    assert "not one JSON object" in scores.problem.message
    assert "gravity is 9, not from 1 to 5" in scores.reasons[2]


def test_the_settings_of_the_scorer_come_before_those_of_the_sheet(video_path: Path, tmp_path: Path) -> None:
    with ScriptedServer(answer('{"SA": 4}')) as server:
        scorer_at(server, graded_sheet(), tmp_path, ask=["SA"], temperature=0).score(video_path, "a ball")
        [body] = server.bodies
    assert (body["temperature"], body["top_k"]) == (0, 20)


def test_a_probe_shows_what_will_be_shown(tmp_path: Path) -> None:
    with ScriptedServer(answer("yes")) as server:
        scorer_at(server, graded_sheet(), tmp_path).probe()
        [body] = server.bodies
    assert [part["type"] for part in body["messages"][0]["content"]] == ["video_url", "text"]


def test_a_server_that_takes_no_video_is_an_error(video_path: Path, tmp_path: Path) -> None:
    refusal = status(400, {"error": {"message": "Unknown part type: video_url"}})
    with ScriptedServer(refusal) as server, pytest.raises(BackendError, match="video_url"):
        scorer_at(server, graded_sheet(), tmp_path).score(video_path, "a ball")


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        ("3", 3),
        ("[Score between 1 and 5.]\n\n4.\n", 4),
        ("5\n\nOkay, the ball falls in 3 s.", 5),
        ("<answer>2</answer>", 2),
        ("It took 3 tries.\n<answer>\n 1.5 \n</answer>", 1.5),
    ],
)
def test_a_number_is_found_where_the_format_has_it(reply: str, grade: float) -> None:
    sheet = QuestionSheet.model_validate(plausibility_sheet())
    assert read_grade(reply, "plausibility", sheet) == grade


@pytest.mark.parametrize("reply", ["It took 3 tries.", "0", "6", "<answer>no</answer>\n3", "", "nan", "3/5"])
def test_what_is_no_grade_is_none(reply: str) -> None:
    sheet = QuestionSheet.model_validate(plausibility_sheet())
    with pytest.raises(UnusableReplyError):
        read_grade(reply, "plausibility", sheet)


@pytest.mark.parametrize(
    "reply", ['{"SA": "4"}', '{"SA": null, "other": 3}', "{}", '{"a": 1, "b": 2}', '{"SA": true}']
)
def test_json_without_a_grade_is_none(reply: str) -> None:
    with pytest.raises(UnusableReplyError):
        read_grade(reply, "SA", QuestionSheet.model_validate(graded_sheet()))
