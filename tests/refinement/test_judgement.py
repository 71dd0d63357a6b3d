"""Captions and scores that do not come: what is flagged, told, and not asked for again."""

import json
from pathlib import Path
from typing import Any

import pytest

from phyt2v_cli.errors import RefusalError, ReplyError
from phyt2v_cli.events import Notice
from phyt2v_cli.roles import Scores
from phyt2v_cli.testing.fakes import FakeCaptioner, FakeRoles, FakeScorer
from tests.fake_runs import make_config, run_through

REASONING = ReplyError("The captioner gave no usable answer, twice", "Name another `captioner.model`.")


def read(path: Path, name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((path / name).read_text())
    return record


def notices(cast: FakeRoles) -> list[str]:
    return [event.text for event in cast.events if isinstance(event, Notice)]


@pytest.mark.parametrize(
    ("error", "flags"),
    [
        (REASONING, ["caption_unusable"]),
        (RefusalError("The captioner refused"), ["caption_unusable", "refused"]),
    ],
)
def test_a_caption_that_does_not_come_is_flagged_and_keeps_the_prompt(
    error: ReplyError, flags: list[str], tmp_path: Path
) -> None:
    cast = FakeRoles(captioner=FakeCaptioner(error=error))
    path = tmp_path / "run"
    run_through(path, make_config(rounds=1), cast)
    first, second = read(path, "round1.json"), read(path, "round2.json")
    assert first["flags"] == second["flags"] == flags
    assert (first["caption"], first["mismatch"]) == (None, None)
    assert second["prompt"] == first["prompt"]
    assert cast.llm.tasks() == ["analysis"]  # nothing to compare
    assert first["scores"] == {"semantic_adherence": 0.5, "physical_commonsense": 0.5}
    assert f"{error.message}; the video has no caption" in notices(cast)


def test_a_caption_that_did_not_come_is_not_asked_for_again(tmp_path: Path) -> None:
    path, config = tmp_path / "run", make_config(rounds=0)
    run_through(path, config, FakeRoles(captioner=FakeCaptioner(error=REASONING)))
    again = FakeRoles()
    run_through(path, config, again)
    assert not again.worked()


@pytest.mark.parametrize("which", [0, 1])
def test_a_score_that_does_not_come_is_flagged(which: int, tmp_path: Path) -> None:
    problem = ReplyError("The scorer gave no usable answer, twice")
    lost = {"output1.mp4": Scores(0.5, None, ("PC: no usable answer",), problem)}
    scorers = [FakeScorer("one"), FakeScorer("two")]
    scorers[which].by_video = lost
    cast, path = FakeRoles(scorer=scorers[0], other_scorers=scorers[1:]), tmp_path / "run"
    run_through(path, make_config(rounds=1), cast)
    assert read(path, "round1.json")["flags"] == ["score_unusable"]
    assert read(path, "round2.json")["flags"] == []
    assert notices(cast) == [f"{problem.message}; a score is missing"]


def test_a_control_that_is_a_rounds_video_has_its_flags(tmp_path: Path) -> None:
    path = tmp_path / "run"
    cast = FakeRoles(captioner=FakeCaptioner(error=REASONING))
    run_through(path, make_config(rounds=0, control=True), cast)
    assert read(path, "control.json")["flags"] == ["caption_unusable"]
    assert cast.captioner.calls == 1


def test_a_video_that_is_made_again_is_captioned_again(tmp_path: Path) -> None:
    path, config = tmp_path / "run", make_config(rounds=0)
    run_through(path, config, FakeRoles(captioner=FakeCaptioner(error=REASONING)))
    (path / "output1.mp4").write_bytes(b"lost")
    record = read(path, "round1.json")
    (path / "round1.json").write_text(json.dumps(record | {"sha256": "0" * 64}))
    run_through(path, config)
    again = read(path, "round1.json")
    assert again["caption"]
    assert again["flags"] == ["rerendered"]
