"""Use of a calibration in a run, and files that are none."""

import json
from pathlib import Path

import pytest

from phyt2v_cli import Studio
from phyt2v_cli.calibration.record import CalibrationRecord
from phyt2v_cli.calibration.use import Subject, apply_calibration, read_calibration
from phyt2v_cli.config.layers import LoadedConfig, load_config
from phyt2v_cli.errors import ConfigError
from phyt2v_cli.events import Notice
from phyt2v_cli.runs.identity import run_key
from phyt2v_cli.schedule import plan_run
from phyt2v_cli.testing.fakes import FakeRoles
from tests.calibrations import calibration_for
from tests.fake_studio import studio_of


def loaded(calibration: Path | None, *assignments: str) -> LoadedConfig:
    words = [*([f"search.calibration={calibration}"] if calibration else []), *assignments]
    return load_config(environment={}, assignments=words)


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    path = tmp_path / "calibration.json"
    record = calibration_for(loaded(None).config, tie=0.25, draft_cache="taylor")
    path.write_text(record.model_dump_json())
    return path


def test_a_matching_calibration_sets_the_tie_and_the_cache_and_is_recorded(calibration: Path) -> None:
    before = loaded(calibration, "search.candidates=3", "refinement.early_stop=true")
    after = apply_calibration(before)
    assert after.config.search.tie == 0.25
    assert after.config.generator.draft_cache == "taylor"
    assert after.config.search.calibration_sha256 == read_calibration(str(calibration))[1]
    told = "\n".join(after.notices)
    assert "search.tie 0.25, the noise floor" in told
    assert "generator.draft_cache auto: taylor" in told
    assert "refinement.stop_score 0.9: of 8 drafts that reached it, 7 had a final that did" in told


def test_only_what_a_run_reads_is_changed(calibration: Path) -> None:
    plain = apply_calibration(loaded(calibration, "generator.draft_cache=off"))
    assert plain.config.search.tie == 1e-6, "nothing is chosen in it"
    assert plain.config.search.calibration_sha256 is None
    assert run_key("p", plain.config) == run_key("p", loaded(None, "generator.draft_cache=off").config)


def test_a_calibration_that_changes_choices_makes_another_run(calibration: Path, tmp_path: Path) -> None:
    words = ("search.candidates=3", "generator.draft_cache=off")
    key = run_key("p", apply_calibration(loaded(calibration, *words)).config)
    assert key != run_key("p", loaded(None, *words).config)
    moved = calibration.rename(tmp_path / "moved.json")
    assert run_key("p", apply_calibration(loaded(moved, *words)).config) == key


def test_given_settings_are_kept(calibration: Path) -> None:
    words = ("search.candidates=3", "search.tie=0.1", "generator.draft_cache=pab")
    after = apply_calibration(loaded(calibration, *words))
    assert (after.config.search.tie, after.config.generator.draft_cache) == (0.1, "pab")


@pytest.mark.parametrize("words", [("generator.gpus=2",), ("schedule.kind=constant",)])
def test_no_cache_is_taken_where_none_could_be_used(words: tuple[str, ...], calibration: Path) -> None:
    assert apply_calibration(loaded(calibration, *words)).config.generator.draft_cache == "auto"


@pytest.mark.parametrize(
    ("word", "difference"),
    [
        ("generator.width=80", "generator.width: 64 -> 80"),
        ("generator.guidance_scale=3", "generator.guidance_scale: 2.0 -> 3.0"),
        ("schedule.max_steps=40", "schedule.max_steps: 50 -> 40"),
        ("scorer.name=other", 'scorer.name: default -> "other"'),
    ],
)
def test_a_calibration_of_something_else_is_ignored_and_that_is_said(
    word: str, difference: str, calibration: Path
) -> None:
    before = loaded(calibration, "search.candidates=3", word)
    after = apply_calibration(before)
    assert after.config == before.config
    (notice,) = after.notices
    assert f"is ignored: it was measured with other settings: {difference}" in notice


def test_where_it_would_run_makes_no_difference(calibration: Path) -> None:
    after = apply_calibration(loaded(calibration, "search.candidates=3", "generator.device=cpu"))
    assert after.config.search.tie == 0.25


def test_without_a_calibration_it_is_said_that_nothing_was_measured() -> None:
    words = ("search.candidates=2", "refinement.early_stop=true", "generator.draft_cache=auto")
    before = loaded(None, *words)
    after = apply_calibration(before)
    assert after.config == before.config
    (notice,) = after.notices
    for name in ("nothing was measured", "search.tie", "refinement.stop_score", "draft_cache auto is off"):
        assert name in notice


def test_nothing_is_said_to_a_run_that_would_read_nothing() -> None:
    assert apply_calibration(loaded(None)).notices == ()


def test_what_was_measured_too_little_is_said(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(calibration_for(loaded(None).config).model_dump_json())
    after = apply_calibration(loaded(path, "search.candidates=2", "refinement.stop_score=0.8"))
    assert (after.config.search.tie, after.config.generator.draft_cache) == (1e-6, "auto")
    assert any("search.tie is 1e-06: too few seeds" in notice for notice in after.notices)
    assert any("generator.draft_cache auto: off; too few pairs" in notice for notice in after.notices)
    early = apply_calibration(
        loaded(path, "refinement.early_stop=true", "refinement.stop_score=0.8", "generator.draft_cache=off")
    )
    assert any("0.8: nothing was measured; it was measured for 0.9" in notice for notice in early.notices)


def told_of_looks(path: Path | None, *words: str) -> tuple[float | str | None, str]:
    """What `search.look_at` becomes, and the notices."""
    after = apply_calibration(loaded(path, "search.candidates=2", *words))
    return after.config.search.look_at, "\n".join(after.notices)


def test_a_look_is_chosen_by_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(calibration_for(loaded(None).config, look_at=0.2).model_dump_json())
    look_at, told = told_of_looks(path, "search.look_at=auto")
    assert look_at == 0.2
    assert "search.look_at auto: 0.2; none keeps the order" in told
    after = apply_calibration(loaded(path, "search.candidates=2", "search.look_at=auto"))
    assert plan_run(after.config)[1].look_steps == 6
    assert after.config.search.calibration_sha256 is not None
    given, told = told_of_looks(path, "search.look_at=0.2")
    assert given == 0.2
    assert (
        "search.look_at 0.2: look after 10 steps of 50 keep the order of 75% of 12 pairs of rewrites; of 3 "
        "videos below 0.9 there, 1 became good" in told
    )
    assert "0.5: nothing was measured of looks after 25 steps" in told_of_looks(path, "search.look_at=0.5")[1]
    assert told_of_looks(path)[0] is None, "nobody asked for looks"


def test_without_a_recommendation_auto_is_off(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(calibration_for(loaded(None).config).model_dump_json())
    look_at, told = told_of_looks(path, "search.look_at=auto")
    assert look_at is None
    assert "search.look_at auto: off; none keeps the order" in told
    look_at, told = told_of_looks(None, "search.look_at=auto")
    assert look_at is None
    assert "so search.look_at auto is off" in told
    assert "(search.look_at 0.2)" in told_of_looks(None, "search.look_at=0.2")[1]
    without = told_of_looks(path, "search.look_at=auto", "schedule.max_steps=40")
    assert without[0] is None, "a calibration of something else"


WHOLE = calibration_for(load_config(environment={}).config, tie=0.25).model_dump(mode="json")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "is not JSON, or is cut off"),
        ("\0" * 9, "is not JSON, or is cut off"),
        ("[" * 100_000, "is not JSON, or is cut off"),
        (json.dumps(WHOLE)[:-20], "is not JSON, or is cut off"),
        ("[]", "is no calibration: it has no schema"),
        ('{"schema": "phyt2v.run/2"}', 'is no calibration: it has the schema "phyt2v.run/2"'),
        ('{"schema": "phyt2v.calibration/2"}', "is no calibration: it has the schema"),
        ('{"schema": ["x"]}', "is no calibration: it has the schema"),
        ('{"schema": "phyt2v.calibration/1"}', "is broken: generator: Field required"),
        (json.dumps(WHOLE | {"recommended": {"tie": 7}}), "is broken: recommended.tie"),
        (json.dumps(WHOLE | {"recommended": {"tie": float("nan")}}), "is broken: recommended.tie"),
        (
            json.dumps(WHOLE | {"recommended": {"draft_cache": "rm -rf"}}),
            "is broken: recommended.draft_cache",
        ),
        (json.dumps(WHOLE | {"final_steps": 10**30}), "is broken: final_steps"),
        (" " * 2**20 + json.dumps(WHOLE), "cannot be read: it is larger than"),
    ],
)
def test_a_broken_file_is_one_clear_line(content: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        apply_calibration(loaded(path, "search.candidates=2"))
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith(f"search.calibration: {path} {why}")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", ["missing.json", "", "\0", "x" * 5000])
def test_a_file_that_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_calibration(f"{tmp_path}/{name}")


def test_a_record_of_a_later_version_with_more_in_it_is_read() -> None:
    assert CalibrationRecord.model_validate(WHOLE | {"later": 1}).recommended.tie == 0.25


def test_the_subject_is_the_same_for_equal_settings() -> None:
    first = Subject.of(loaded(None, "generator.width=64").config)
    assert first.differences(Subject.of(loaded(None).config)) == []


def test_a_studio_chooses_the_draft_cache_once_for_all_of_its_runs(calibration: Path) -> None:
    with Studio(calibration=str(calibration)) as studio:
        assert studio.config.generator.draft_cache == "taylor"
        assert studio.config.search.calibration_sha256 == read_calibration(str(calibration))[1]
    with Studio(calibration=str(calibration), max_steps=40) as studio:
        assert studio.config.generator.draft_cache == "auto", "it is of another number of steps"


def test_a_run_of_a_studio_says_what_it_uses(calibration: Path, tmp_path: Path) -> None:
    fakes = FakeRoles()
    config = loaded(calibration).config
    measured = calibration_for(studio_of(fakes).config, tie=0.3, draft_cache="pab")
    calibration.write_text(measured.model_dump_json())
    with studio_of(fakes, calibration=str(calibration), candidates=2) as studio:
        studio.refine("a red ball drops", out=tmp_path / "run", on_event=fakes.events.append)
    told = [event.text for event in fakes.events if isinstance(event, Notice)]
    assert any("search.tie 0.3, the noise floor" in text for text in told)
    record = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert (record["search"]["tie"], record["generator"]["draft_cache"]) == (0.3, "auto")
    assert record["search"]["calibration_sha256"] == read_calibration(str(calibration))[1]
    assert config.search.tie == 1e-6


def test_a_config_object_is_taken_as_it_is(calibration: Path) -> None:
    config = loaded(calibration).config
    calibration.unlink()
    with Studio(config=config) as studio:
        assert studio.config.generator.draft_cache == "auto"
