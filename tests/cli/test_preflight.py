import json
from pathlib import Path

import pytest

from phyt2v_cli.cli.preflight import check_disk, check_judges, complete, needed_bytes
from phyt2v_cli.config import load_config
from phyt2v_cli.errors import ConfigError, FilesError
from phyt2v_cli.settings import Config, GeneratorConfig, ScheduleConfig


def test_a_disk_with_too_little_room_is_said_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match=r"about [\d,.]+ MiB are needed and [\d,.]+ MiB are free"):
        check_disk(tmp_path / "runs" / "new", 2**62)
    check_disk(tmp_path / "runs" / "new", 1)
    assert list(tmp_path.iterdir()) == []


def test_the_need_grows_with_the_videos() -> None:
    small = Config(generator=GeneratorConfig(num_frames=25, height=64, width=64))
    assert needed_bytes(small, 5) < needed_bytes(small, 6) < needed_bytes(Config(), 6)
    assert needed_bytes(small, 5) < 8 * 2**20


def test_a_scorer_program_that_is_not_there_is_said_before_anything_is_loaded() -> None:
    judges = {"llm": {"backend": "rulebook"}, "captioner": {"backend": "tracker"}}
    for command, said in [
        (None, "scorer.command: the command backend needs a program"),
        (["no-such-judge"], "scorer.command: there is no program no-such-judge on the PATH"),
    ]:
        scorer = {"backend": "command", "command": command}
        with pytest.raises(ConfigError, match=said):
            check_judges(Config.model_validate({**judges, "scorer": scorer}))
        others = {"backend": "tracker", "others": [scorer]}
        with pytest.raises(ConfigError, match=said.replace("scorer.", r"scorer\.others\[0\]\.")):
            check_judges(Config.model_validate({**judges, "scorer": others}))
    scorer = {"backend": "command", "command": ["sh"]}
    check_judges(Config.model_validate({**judges, "scorer": scorer}))


def test_a_model_without_a_preset_takes_the_steps_of_its_family(tmp_path: Path) -> None:
    for name in ("transformer", "vae"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").touch()
    index = {"_class_name": "MochiPipeline", "transformer": ["diffusers", "X"], "vae": ["diffusers", "Y"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    model = f"generator.model={tmp_path}"
    loaded = load_config(environment={}, assignments=[model])
    assert complete(loaded).schedule == ScheduleConfig(min_steps=20, max_steps=64)
    named = load_config(environment={}, assignments=[model, "schedule.max_steps=30"])
    assert complete(named).schedule.max_steps == 30
    with_preset = load_config(preset="tiny", environment={}, assignments=[model])
    assert complete(with_preset).schedule.max_steps == 50
