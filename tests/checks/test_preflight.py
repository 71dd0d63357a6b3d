import json
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from phyt2v_cli.checks.preflight import check_disk, check_model, complete, needed_bytes
from phyt2v_cli.config.generator import GeneratorConfig
from phyt2v_cli.config.layers import load_config
from phyt2v_cli.config.schema import Config, ScheduleConfig
from phyt2v_cli.errors import ConfigError, FilesError


def test_a_disk_with_too_little_room_is_said_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match=r"about [\d,.]+ MiB are needed and [\d,.]+ MiB are free"):
        check_disk(tmp_path / "runs" / "new", 2**62)
    check_disk(tmp_path / "runs" / "new", 1)
    assert list(tmp_path.iterdir()) == []


def test_the_need_grows_with_the_videos() -> None:
    small = Config(generator=GeneratorConfig(num_frames=25, height=64, width=64))
    assert needed_bytes(small, 5) < needed_bytes(small, 6) < needed_bytes(Config(), 6)
    assert needed_bytes(small, 5) < 8 * 2**20


def test_further_weights_and_the_device_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for field, value, said in [
        ("gguf", "no/such.gguf", "generator.gguf: there is no file no/such.gguf"),
        ("lora", "no/such/lora", "generator.lora: there is no no/such/lora"),
    ]:
        with pytest.raises(ConfigError, match=said):
            check_model(Config(generator=GeneratorConfig.model_validate({field: value})))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"generator\.device: torch sees no CUDA device"):
        check_model(Config(generator=GeneratorConfig(device="cuda")))
    check_model(Config())


def test_a_model_without_a_preset_takes_the_steps_of_its_family(tmp_path: Path) -> None:
    for name in ("transformer", "vae"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        save_file({}, tmp_path / name / "model.safetensors")
    index = {"_class_name": "MochiPipeline", "transformer": ["diffusers", "X"], "vae": ["diffusers", "Y"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    model = f"generator.model={tmp_path}"
    loaded = load_config(environment={}, assignments=[model])
    assert complete(loaded).config.schedule == ScheduleConfig(min_steps=20, max_steps=64)
    named = load_config(environment={}, assignments=[model, "schedule.max_steps=30"])
    assert complete(named).config.schedule.max_steps == 30
    above = load_config(environment={}, assignments=[model, "schedule.min_steps=60"])
    assert complete(above).config.schedule == ScheduleConfig(min_steps=60, max_steps=64)
    far_above = complete(load_config(environment={}, assignments=[model, "schedule.min_steps=70"]))
    assert far_above.config.schedule == ScheduleConfig(min_steps=70, max_steps=70)
    assert far_above.origins["schedule.max_steps"].endswith("from 64 (the model's family)")
    with_preset = load_config(preset="tiny", environment={}, assignments=[model])
    assert complete(with_preset).config.schedule.max_steps == 50
