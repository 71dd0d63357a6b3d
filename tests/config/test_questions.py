"""Question sheets: which files count, and that another sheet means another run."""

import json
from pathlib import Path
from typing import Any

import pytest

from phyt2v_cli.config.judges import ScorerConfig
from phyt2v_cli.config.questions import read_sheet, with_sheet_digests
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.runs.identity import list_differences, run_key
from tests.question_sheets import graded_sheet, plausibility_sheet, save


def scorer(path: str, **more: Any) -> ScorerConfig:
    return ScorerConfig(backend="openai", model="m", questions=path, **more)


def test_questions_of_our_own_need_no_sheet() -> None:
    assert not ScorerConfig().has_sheet
    assert with_sheet_digests(ScorerConfig()) == ScorerConfig()


def test_only_the_prompt_is_a_placeholder(tmp_path: Path) -> None:
    sheet = read_sheet(scorer(save(tmp_path / "s.json", graded_sheet())))
    asked = sheet.questions[0].asked("a {law} of a ball")
    assert asked == 'Does it match?\n"a {law} of a ball"\nReply {"SA": 3}'
    assert [question.key for question in sheet.chosen(["gravity", "SA"])] == ["SA", "gravity"]
    assert [sheet.fraction(grade) for grade in (1, 3, 5)] == [0, 0.5, 1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is no question sheet: Expecting value"),
        ("[]", "is no question sheet: "),
        ("{}", "is no question sheet: schema: Field required"),
        (graded_sheet(schema="phyt2v.judge-questions/2"), "is no question sheet: schema: "),
        (graded_sheet(lowest=5), "lowest must be below highest"),
        (graded_sheet(request={"messages": []}), "request may not set messages"),
        (graded_sheet(questions=[]), "questions: "),
        (graded_sheet(questions=[*plausibility_sheet()["questions"]] * 2), "two questions have one key"),
        (graded_sheet(answers="json"), "answers: Extra inputs are not permitted"),
        ("[" * 50_000, "is no question sheet: "),
    ],
)
def test_a_file_that_is_no_sheet_is_one_line(content: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_sheet(scorer(save(tmp_path / "s.json", content)), "scorer.others[1]")
    assert caught.value.message.startswith("scorer.others[1].questions: ")
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert "docs/judges.md" in caught.value.hint


def test_a_missing_sheet_and_an_unknown_question(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^scorer\.questions: there is no file .*s\.json\ndocs/judges\.md"):
        read_sheet(scorer(str(tmp_path / "s.json")))
    path = save(tmp_path / "s.json", graded_sheet())
    with pytest.raises(ConfigError, match=r"^scorer\.ask: no question is called magic; there are SA, "):
        read_sheet(scorer(path, ask=("gravity", "magic")))


def test_another_sheet_is_another_run_and_another_layout_or_place_is_the_same(tmp_path: Path) -> None:
    def begun(path: str, **more: Any) -> Config:
        others = (scorer(path, name="second"),)
        return Config(scorer=with_sheet_digests(scorer(path, others=others, **more)))

    mine = begun(save(tmp_path / "a.json", graded_sheet()))
    moved = begun(save(tmp_path / "b.json", json.dumps(graded_sheet(), indent=3)))
    other = begun(save(tmp_path / "c.json", graded_sheet(system="Be kind.")))
    fewer = begun(save(tmp_path / "a.json", graded_sheet()), ask=("gravity",))
    keys = [run_key("a ball", config) for config in (mine, moved, other, fewer, Config())]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4
    lines = list_differences("a ball", other, "a ball", mine.model_dump(mode="json"))
    assert any(line.startswith("scorer.questions_sha256: ") for line in lines)


def test_a_changed_sheet_is_refused(tmp_path: Path) -> None:
    config = with_sheet_digests(scorer(save(tmp_path / "s.json", graded_sheet())))
    assert config.questions == str(tmp_path / "s.json")
    assert read_sheet(config) is not None
    save(tmp_path / "s.json", graded_sheet(highest=10))
    with pytest.raises(ConfigError, match=r"s\.json has changed since the run began"):
        read_sheet(config)
