import json
import math
from pathlib import Path

import pytest

from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.schema import Config
from phyt2v_cli.schedule import PlannedControl, PlannedRound
from phyt2v_cli.timing import speeds
from phyt2v_cli.timing.speeds import Speed
from phyt2v_cli.video_id import BLIND, CONTROL

HERE = GeneratorConfig(model="tiny", height=64)


def test_the_newest_measurement_of_the_same_settings_is_found() -> None:
    assert speeds.find(HERE) is None
    speeds.keep(HERE, "off", 0.5, 2.0, "an old card")
    speeds.keep(HERE, "off", 0.25, 1.0, "a new card")
    assert speeds.find(HERE) == Speed(0.25, 0.25, 1.0, "a new card")
    assert speeds.find(HERE.model_copy(update={"height": 128})) is None
    assert speeds.find(HERE.model_copy(update={"compile": "on"})) is None
    assert speeds.find(HERE.model_copy(update={"negative_prompt": "blur"})) is not None


def test_drafts_with_a_cache_have_their_own_speed() -> None:
    cached = HERE.model_copy(update={"draft_cache": "taylor"})
    speeds.keep(cached, "taylor", 0.1, 1.0, "cpu")
    assert speeds.find(cached) is None, "a draft says nothing about a final"
    speeds.keep(cached, "off", 0.3, 1.0, "cpu")
    assert speeds.find(cached) == Speed(0.3, 0.1, 1.0, "cpu")
    assert speeds.find(HERE) == Speed(0.3, 0.3, 1.0, "cpu"), "without the cache"
    stronger = cached.model_copy(update={"draft_cache_strength": 8.0})
    assert speeds.find(stronger) == Speed(0.3, 0.3, 1.0, "cpu"), "nor of another strength"


def test_loading_is_remembered_from_the_last_time_that_there_was_any() -> None:
    speeds.keep(HERE, "off", 0.5, 2.0, "cpu", 24.0)
    speeds.keep(HERE, "off", 0.25, 1.0, "cpu")
    assert speeds.find(HERE) == Speed(0.25, 0.25, 1.0, "cpu", load_s=24.0)


def test_judges_have_their_own_times() -> None:
    config = Config()
    assert speeds.find_judges(config) == {}
    speeds.keep_judges(config, {"caption": 5.0, "refine": 3.0})
    speeds.keep_judges(config, {"caption": 4.0})
    speeds.keep(HERE, "off", 0.25, 1.0, "cpu")
    assert speeds.find_judges(config) == {"caption": 4.0, "refine": 3.0}
    other = config.model_copy(update={"llm": config.llm.model_copy(update={"model": "another"})})
    assert speeds.find_judges(other) == {}


def test_a_plan_takes_its_drafts_and_its_final() -> None:
    planned = [PlannedRound(1, 20, "draft"), PlannedRound(2, 50, "final")]
    assert Speed(1.0, 0.5, 2.0).total_s(planned) == 20 * 0.5 + 2 + 50 * 1 + 2
    controls = [PlannedControl(CONTROL, 50), PlannedControl(BLIND, 50)]
    assert Speed(1.0, 0.5, 2.0).total_s(planned, controls) == 64 + 2 * (50 * 1 + 2)
    is_round_1 = [PlannedControl(CONTROL, 0)]
    assert Speed(1.0, 0.5, 2.0).total_s(planned, is_round_1) == 64, "it is rendered already"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"schema": "phyt2v.speeds/2", "measurements": []}',
        b'{"schema": "phyt2v.speeds/1", "measurements": [{"host": 1}]}',
        b'{"schema": "phyt2v.speeds/1", "measurements": 3}',
        b'{"schema": "phyt2v.speeds/1", "measurements": [], "judges": [{"host": 1}]}',
        b'{"schema": "phyt2v.speeds/1", "measurements": [], '
        b'"judges": [{"host": "h", "judges": {}, "seconds": 1}]}',
        b"[" * 10**5,
    ],
)
def test_a_broken_file_is_nothing_known_and_is_replaced(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "phyt2v" / "speeds.json"
    path.parent.mkdir()
    path.write_bytes(content)
    assert speeds.find(HERE) is None
    speeds.keep(HERE, "off", 1.0, 0.0, "cpu")
    assert speeds.find(HERE) is not None


def test_no_cache_folder_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    speeds.keep(HERE, "off", 1.0, 0.0, "cpu")
    assert speeds.find(HERE) is None


@pytest.mark.slow
def test_the_file_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for height in range(16, 16 + 2 * speeds.MAX_MEASUREMENTS, 2):
        speeds.keep(HERE.model_copy(update={"height": height}), "off", 1.0, 0.0, "cpu")
    speeds.keep(HERE.model_copy(update={"width": 16}), "off", 1.0, 0.0, "cpu")
    kept = json.loads((tmp_path / "phyt2v" / "speeds.json").read_text())["measurements"]
    assert len(kept) == speeds.MAX_MEASUREMENTS
    assert speeds.find(HERE.model_copy(update={"height": 16})) is None, "the oldest goes"


@pytest.mark.parametrize("wrong", [0, -1.0, math.inf, "1", None])
def test_a_speed_that_cannot_be_is_not_believed(
    wrong: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    speeds.keep(HERE, "off", 1.0, 0.0, "cpu")
    path = tmp_path / "phyt2v" / "speeds.json"
    content = json.loads(path.read_text())
    content["measurements"][0]["step_s"] = wrong
    path.write_text(json.dumps(content))
    assert speeds.find(HERE) is None
