"""The command that a page shows begins a run with the same settings."""

import json
import shlex
from pathlib import Path

import pytest

from phyt2v_cli.config.layers import load_config
from phyt2v_cli.config.presets import list_presets
from phyt2v_cli.config.schema import Config
from phyt2v_cli.runs.history.reproduction import command_of, missing_from_command, settings_named
from phyt2v_cli.runs.reader import ShownRun
from phyt2v_cli.runs.records import PlanRecord, RunRecord, VideoRecord
from phyt2v_cli.video_id import RoundId
from tests.command_line import CommandLine

PROMPT = 'it\'s a "ball"; $(drops)'


def record_of(config: Config) -> RunRecord:
    plan = [PlanRecord(round=1, steps=5, purpose="final")]
    return RunRecord(prompt=PROMPT, seed=config.run.seed, config=config.model_dump(mode="json"), plan=plan)


def test_the_command_has_the_settings_that_are_not_defaults() -> None:
    given = (
        "schedule.steps=3,4,5",
        "refinement.rounds=2",
        "refinement.controls=original,blind",
        "search.candidates=3",
        "search.look_at=0.25",
        "generator.negative_prompt=a blur, dark",
        "run.seed=7",
        "run.probe=false",
    )
    config = load_config(environment={}, assignments=given).config
    program, isolated, command, flag, prompt, *words = shlex.split(command_of(record_of(config)))
    assert (program, isolated, command) == ("phyt2v", "--isolated", "refine")
    assert (flag, prompt) == ("--prompt", PROMPT)
    assert words[::2] == ["--set"] * len(given)
    assert load_config(environment={}, assignments=words[1::2]).config == config
    assert command_of(record_of(load_config(environment={}).config)) == shlex.join(
        ["phyt2v", "--isolated", "refine", "--prompt", PROMPT]
    )


def test_a_strangers_programs_and_servers_are_not_in_what_is_copied() -> None:
    config = Config.model_validate(
        {
            "llm": {"backend": "openai", "base_url": "http://evil.example/v1", "model": "m"},
            "scorer": {"backend": "command", "command": ["rm", "-rf", "/"]},
        }
    )
    command = command_of(record_of(config))
    assert "evil" not in command
    assert "rm" not in shlex.split(command)
    assert settings_named(record_of(config))["scorer.command"] == ["rm", "-rf", "/"]


@pytest.mark.parametrize(
    "given",
    [
        ("generator.guidance_scale=none",),
        ("generator.model=THUDM/CogVideoX-2b",),
        (
            "generator.model=THUDM/CogVideoX-2b",
            *("generator.num_frames=25", "generator.height=64", "generator.guidance_scale=2.0"),
            *("llm.backend=rulebook", "captioner.backend=tracker", "scorer.backend=tracker"),
        ),
    ],
)
def test_values_of_the_default_model_are_named_for_another(given: tuple[str, ...]) -> None:
    config = load_config(environment={}, assignments=given).config
    words = shlex.split(command_of(record_of(config)))[5:]
    assert load_config(environment={}, assignments=words[1::2]).config == config


@pytest.mark.parametrize("preset", sorted(list_presets()))
def test_the_command_gives_what_each_preset_does(preset: str) -> None:
    config = load_config(preset=preset, environment={}).config
    words = shlex.split(command_of(record_of(config)))[5:]
    assert load_config(environment={}, assignments=words[1::2]).config == config


def test_the_command_is_the_same_whoever_reads_it_and_whoever_runs_it(
    tmp_path: Path, phyt2v: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of(load_config(environment={}, assignments=["run.seed=7"]).config)
    before = command_of(record)
    (tmp_path / "phyt2v.toml").write_text("[run]\nseed = 7\n[refinement]\nrounds = 2\n")
    monkeypatch.setenv("PHYT2V_RUN__SEED", "7")
    monkeypatch.chdir(tmp_path)
    assert command_of(record) == before
    monkeypatch.delenv("PHYT2V_RUN__SEED")
    monkeypatch.delenv("PHYT2V_ISOLATED")
    (words := shlex.split(before)[1:]).remove("--isolated")
    assert len(json.loads(phyt2v(*words, "--dry-run", "--json").out)["videos"]) == 3
    planned = phyt2v(*shlex.split(before)[1:], "--dry-run", "--json")
    assert planned.code == 0, planned.err
    assert len(json.loads(planned.out)["videos"]) == 5, "the rounds of the default, not those of the file"


def test_what_the_command_does_not_repeat_is_said(tmp_path: Path) -> None:
    assert [*missing_from_command(shown(tmp_path, Config()))] == []
    config = Config.model_validate({"llm": {"model": "object: mine.Chat"}})
    run = shown(tmp_path, config, extended_after=1)
    run.videos[0].decide("a red ball falls")
    assert [*missing_from_command(run)] == [
        "The roles that were Python objects have their defaults here: llm.",
        "The run was extended: phyt2v extend RUN --rounds 0",
        "Prompts that were written by hand are not in it.",
    ]
    words = shlex.split(command_of(run.record))
    assert not any(word.startswith("llm.") for word in words), "no command makes the object"


def shown(path: Path, config: Config, *, extended_after: int = 0) -> ShownRun:
    record = record_of(config).model_copy(update={"extended_after": extended_after})
    video = VideoRecord(
        id=RoundId(1),
        video="output1.mp4",
        prompt=PROMPT,
        refined_prompt="a ball",
        seed=0,
        steps=5,
        purpose="final",
        run_key="k",
    )
    return ShownRun(path, record, (video,), ())
