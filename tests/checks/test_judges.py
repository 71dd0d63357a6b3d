from pathlib import Path

import pytest

from phyt2v_cli.checks.judges import check_judges
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError
from tests.command_line import CommandLine, assignments


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
