import json
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from phyt2v_cli.checks.preflight import check_disk, check_judges, check_model, complete, needed_bytes
from phyt2v_cli.config.layers import load_config
from phyt2v_cli.config.schema import Config, GeneratorConfig, ScheduleConfig
from phyt2v_cli.errors import ConfigError, FilesError
from tests.command_line import CommandLine, assignments


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


OPENAI = {"backend": "openai", "model": "m"}


def test_a_missing_key_is_said_for_all_who_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("MY_KEY", raising=False)
    mine = {**OPENAI, "api_key_env": "MY_KEY"}
    config = Config.model_validate(
        {"llm": OPENAI, "captioner": OPENAI, "scorer": {**mine, "others": [OPENAI]}}
    )
    with pytest.raises(ConfigError) as caught:
        check_judges(config)
    first, second = caught.value.message.splitlines()
    assert first.startswith(
        "llm.api_key_env, captioner.api_key_env, scorer.others[0].api_key_env: "
        "the environment variable OPENAI_API_KEY is not set"
    )
    assert second.startswith("scorer.api_key_env: the environment variable MY_KEY is not set")
    assert caught.value.hint == "`generate` renders without judges."
    check_judges(config, will_ask=False)
    monkeypatch.setenv("OPENAI_API_KEY", "a")
    monkeypatch.setenv("MY_KEY", " ")
    with pytest.raises(
        ConfigError, match=r"^scorer\.api_key_env: the environment variable MY_KEY is not set"
    ):
        check_judges(config)
    monkeypatch.setenv("MY_KEY", "b")
    check_judges(config)


def test_a_server_of_ones_own_may_need_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    own = {**OPENAI, "base_url": "http://127.0.0.1:8000/v1"}
    check_judges(Config.model_validate({"llm": own, "captioner": own, "scorer": own}))
    vendors = {**OPENAI, "base_url": "https://api.openai.com/v1/"}
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        check_judges(Config.model_validate({"llm": vendors, "captioner": own, "scorer": own}))


@pytest.mark.parametrize("role", ["llm", "captioner", "scorer"])
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_folder_that_is_no_judge_is_said_before_anything_is_loaded_or_written(
    role: str, more: tuple[str, ...], tiny_cogvideox_dir: Path, tmp_path: Path, phyt2v: CommandLine
) -> None:
    for model, said in (
        (str(tiny_cogvideox_dir), "is a pipeline of diffusers, not a language model"),
        ("./nowhere", "./nowhere does not exist"),
        ("m" * 300, "File name too long"),
    ):
        judge = assignments({f"{role}.backend": "transformers", f"{role}.model": model})
        ended = phyt2v("refine", "--prompt", "a ball", *judge, *more)
        assert (ended.code, ended.out) == (4, "")
        (error,) = ended.errors()
        assert error.startswith(f"error: {role}.model: ")
        assert said in error
    assert list(tmp_path.iterdir()) == []


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
