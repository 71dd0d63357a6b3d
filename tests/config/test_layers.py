import itertools
from pathlib import Path

import pytest

from phyt2v_cli.config.files import Setting
from phyt2v_cli.config.layers import LoadedConfig, load_config
from phyt2v_cli.config.presets import find_preset
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import ConfigError, UsageError

LAYERS = ["preset", "file", "environment", "flags"]


def load_from(layers: tuple[str, ...], tmp_path: Path) -> LoadedConfig:
    """Set run.seed and schedule.min_steps in each of `layers`, to a value that tells the layer."""
    values = {layer: str(10 + LAYERS.index(layer)) for layer in layers}
    config_path = tmp_path / "mine.toml"
    config_path.write_text(f"[schedule]\nmin_steps = {values['file']}\n" if "file" in values else "")
    return load_config(
        preset="tiny",
        config=config_path,
        environment={"PHYT2V_SCHEDULE__MIN_STEPS": values["environment"]} if "environment" in values else {},
        flags={"schedule.min_steps": Setting(values["flags"], "--min-steps")} if "flags" in values else {},
    )


@pytest.mark.parametrize("pair", list(itertools.combinations(LAYERS, 2)))
def test_of_two_layers_the_later_wins(pair: tuple[str, str], tmp_path: Path) -> None:
    loaded = load_from(pair, tmp_path)
    assert loaded.config.schedule.min_steps == 10 + LAYERS.index(pair[1])
    assert (
        loaded.origins["schedule.min_steps"]
        == {
            "file": f"config file {tmp_path / 'mine.toml'}",
            "environment": "environment PHYT2V_SCHEDULE__MIN_STEPS",
            "flags": "--min-steps",
        }[pair[1]]
    )


def test_a_preset_wins_over_the_defaults() -> None:
    loaded = load_config(environment={})
    assert loaded.preset == "tiny"
    assert loaded.config.generator.fps == 12
    assert Config().generator.fps is None
    assert loaded.origins["generator.fps"] == "preset tiny"
    assert loaded.origins["refinement.rounds"] == "default"


def test_a_flag_wins_over_set_for_the_same_key() -> None:
    loaded = load_config(environment={}, assignments=["run.seed=1"], flags={"run.seed": Setting(2, "--seed")})
    assert loaded.config.run.seed == 2
    assert loaded.origins["run.seed"] == "--seed"


MODEL = "generator.model=their/model"


def test_a_key_in_the_environment_chooses_the_judges_of_another_model() -> None:
    environment = {"OPENAI_API_KEY": "secret"}
    loaded = load_config(environment=environment, assignments=[MODEL])
    for role in (loaded.config.llm, loaded.config.captioner, loaded.config.scorer):
        assert (role.backend, role.model) == ("openai", "gpt-4o")
    assert loaded.origins["scorer.backend"] == "OPENAI_API_KEY is set"
    assert "secret" not in repr(loaded)
    assert load_config(environment={"OPENAI_API_KEY": ""}, assignments=[MODEL]).config.llm.backend is None


def test_a_key_overrules_nothing_that_was_chosen() -> None:
    environment = {"OPENAI_API_KEY": "secret"}
    chosen = ["llm.backend=rulebook", "captioner.model=mine", "scorer.api_key_env=OTHER_KEY"]
    config = load_config(environment=environment, assignments=[MODEL, *chosen]).config
    assert (config.llm.backend, config.llm.model) == ("rulebook", None)
    assert (config.captioner.backend, config.captioner.model) == ("openai", "mine")
    assert config.scorer.backend is None
    assert load_config(environment=environment).config.llm.backend == "rulebook"  # tiny stays offline
    other = load_config(environment={"OTHER_KEY": "secret"}, assignments=[MODEL, *chosen])
    assert other.origins["scorer.model"] == "OTHER_KEY is set"


def test_an_unknown_preset_lists_them_and_guesses() -> None:
    with pytest.raises(UsageError, match=r"Did you mean cogvideox-5b\? Presets: .*tiny") as caught:
        find_preset("cogvideo-5b")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("layer", ["file", "environment", "assignment", "flag"])
def test_another_model_takes_nothing_from_tiny(layer: str, tmp_path: Path) -> None:
    config_path = tmp_path / "mine.toml"
    config_path.write_text('[generator]\nmodel = "their/model"\n' if layer == "file" else "")
    loaded = load_config(
        config=config_path,
        environment={"PHYT2V_GENERATOR__MODEL": "their/model"} if layer == "environment" else {},
        assignments=["generator.model=their/model"] if layer == "assignment" else [],
        flags={"generator.model": Setting("their/model", "--model")} if layer == "flag" else {},
    )
    assert loaded.preset is None
    assert loaded.config.generator.model == "their/model"
    assert loaded.config.generator.height is None
    assert loaded.config.scorer.backend is None


def test_another_model_keeps_a_named_preset() -> None:
    loaded = load_config(preset="tiny", environment={}, assignments=["generator.model=my/tiny"])
    assert loaded.config.generator.height == 64


def test_naming_the_tiny_model_keeps_its_preset() -> None:
    assert load_config(environment={}, assignments=["generator.model=tiny"]).preset == "tiny"


def test_values_are_read_from_text() -> None:
    loaded = load_config(
        environment={"PHYT2V_REFINEMENT__EARLY_STOP": "true"},
        assignments=[
            "schedule.steps=10, 20,50",
            "generator.num_frames=none",
            "generator.negative_prompt=a=b",
        ],
    )
    assert loaded.config.refinement.early_stop
    assert loaded.config.schedule.steps == (10, 20, 50)
    assert loaded.config.generator.num_frames is None
    assert loaded.config.generator.negative_prompt == "a=b"


def test_a_list_of_steps_sets_the_rounds_that_nobody_named() -> None:
    loaded = load_config(environment={}, assignments=["schedule.steps=10,20,50"])
    assert loaded.config.refinement.rounds == 2
    assert loaded.origins["refinement.rounds"] == "length of schedule.steps"
    named = load_config(environment={}, assignments=["schedule.steps=10,20,50", "refinement.rounds=4"])
    assert named.config.refinement.rounds == 4


def test_naming_min_steps_later_ends_an_older_list(tmp_path: Path) -> None:
    config_path = tmp_path / "mine.toml"
    config_path.write_text("[schedule]\nsteps = [10, 50]\n")
    loaded = load_config(config=config_path, environment={}, assignments=["schedule.min_steps=5"])
    assert loaded.config.schedule.steps is None
    assert loaded.config.refinement.rounds == 4


def test_each_wrong_value_is_one_line_with_its_origin() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(
            environment={"PHYT2V_RUN__SEED": "1.5"},
            assignments=["schedule.min_steps=-3", "schedule.steps=1,x", "refinement.rounds=-1"],
            assigned_by="--set",
        )
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "schedule.min_steps",
        "schedule.steps",
        "refinement.rounds",
        "run.seed",
    ]
    assert lines[0] == (
        "schedule.min_steps: '-3' does not fit: it should be greater than or equal to 1 "
        "(--set schedule.min_steps)"
    )
    assert lines[1].startswith("schedule.steps: entry 2: 'x'")
    assert lines[3].endswith("(environment PHYT2V_RUN__SEED)")


def test_nothing_is_guessed_where_no_name_is_near() -> None:
    with pytest.raises(ConfigError, match=r"^generator.nope: no such setting \(.*\)\.$"):
        load_config(environment={}, assignments=["generator.nope=1"])


@pytest.mark.parametrize(
    ("assignment", "guess"),
    [
        ("schedule.minsteps=3", "schedule.min_steps"),
        ("schedule.max=3", "schedule.max_steps"),
        ("min_steps=3", "schedule.min_steps"),
        ("shedule.min_steps=3", "schedule.min_steps"),
        ("run.rounds=3", "refinement.rounds"),
    ],
)
def test_an_unknown_key_is_guessed(assignment: str, guess: str) -> None:
    with pytest.raises(ConfigError, match=rf"no such setting .* Did you mean {guess}\?"):
        load_config(environment={}, assignments=[assignment])


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("PHYT2V_GENERATOR_MODEL", " Did you mean PHYT2V_GENERATOR__MODEL?"),
        ("PHYT2V_RUN__ROUNDS", " Did you mean PHYT2V_REFINEMENT__ROUNDS?"),
        ("PHYT2V_SCHEDULE", " Did you mean PHYT2V_SCHEDULE__KIND?"),
        ("PHYT2V_FOO", ""),
    ],
)
def test_a_variable_that_is_no_setting_is_a_note(name: str, suggestion: str) -> None:
    loaded = load_config(environment={name: "x", "PHYT2V_RUN__SEED": "3"})
    assert loaded.notices == (f"the variable {name} is no setting and changes nothing.{suggestion}",)
    assert loaded.config == load_config(environment={"PHYT2V_RUN__SEED": "3"}).config


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"there is no file .*mine\.toml\nGive a TOML file"),
        (b"a b", "is not TOML"),
        (b"\xe9", r"mine\.toml:1: not UTF-8 text\nSave it as UTF-8"),
    ],
)
def test_a_config_file_that_cannot_be_read(content: bytes | None, message: str, tmp_path: Path) -> None:
    config_path = tmp_path / "mine.toml"
    if content is not None:
        config_path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        load_config(config=config_path, environment={})


def test_an_assignment_without_a_value() -> None:
    with pytest.raises(UsageError, match=r"^assignment run\.seed: expected section\.key=value") as caught:
        load_config(environment={}, assignments=["run.seed"])
    assert caught.value.hint == "For example: `run.seed=7`"


def test_an_endpoint_wins_over_the_embedded_judge_of_a_preset(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[llm]\nbase_url = "http://localhost:8000/v1"\n')
    loaded = load_config(config=tmp_path / "mine.toml", environment={})
    assert loaded.preset == "tiny"
    assert loaded.config.llm.backend == "openai"
    assert loaded.origins["llm.backend"] == "llm.base_url is set"
    named = load_config(config=tmp_path / "mine.toml", environment={}, assignments=["llm.backend=rulebook"])
    assert named.config.llm.backend == "rulebook"


@pytest.mark.parametrize(
    ("file", "environment", "flags", "bounds"),
    [
        ({}, {}, {"max": 8}, (8, 8)),
        ({}, {}, {"min": 60}, (60, 60)),
        ({"max": 8}, {}, {}, (8, 8)),
        ({}, {"min": 60}, {}, (60, 60)),
        ({"min": 30}, {}, {"max": 8}, (30, 8)),  # both are the user's: the plan swaps them
        ({}, {}, {"min": 60, "max": 8}, (60, 8)),
        ({}, {}, {"min": 30}, (30, 50)),
        ({}, {}, {"max": 30}, (20, 30)),
    ],
    ids=str,
)
@pytest.mark.parametrize("preset", ["tiny", None])
def test_a_bound_that_nobody_gave_is_clamped_to_the_one_that_was_given(
    file: dict[str, int],
    environment: dict[str, int],
    flags: dict[str, int],
    bounds: tuple[int, int],
    preset: str | None,
    tmp_path: Path,
) -> None:
    path = tmp_path / "mine.toml"
    lines = [f"{bound}_steps = {value}" for bound, value in file.items()]
    path.write_text("\n".join(["[generator]", "model = 'x/y'", "[schedule]", *lines]))
    loaded = load_config(
        preset=preset,
        config=path,
        environment={f"PHYT2V_SCHEDULE__{b.upper()}_STEPS": str(value) for b, value in environment.items()},
        flags={f"schedule.{b}_steps": Setting(value, f"--{b}-steps") for b, value in flags.items()},
    )
    schedule = loaded.config.schedule
    assert (schedule.min_steps, schedule.max_steps) == bounds


def test_the_origin_of_a_clamped_bound_tells_what_it_was() -> None:
    loaded = load_config(environment={}, flags={"schedule.max_steps": Setting(8, "--max-steps")})
    assert loaded.origins["schedule.min_steps"] == "lowered to --max-steps from 20 (preset tiny)"
    assert loaded.origins["schedule.max_steps"] == "--max-steps"


@pytest.mark.parametrize(("given", "number"), [("2", 2), ("auto", "auto"), ("1", 1)])
def test_gpus_of_one_video(given: str, number: object) -> None:
    loaded = load_config(environment={}, assignments=[f"generator.gpus={given}"])
    assert loaded.config.generator.gpus == number


@pytest.mark.parametrize("given", ["0", "-1", "65", "two", "1.5", "true"])
def test_gpus_that_are_no_number(given: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(environment={}, assignments=[f"generator.gpus={given}"])
    assert raised.value.message.startswith("generator.gpus: must be a number of GPUs from 1 to 64, or auto (")


def test_an_endpoint_chooses_the_server_as_generator_and_a_backend_of_its_own_counts_more() -> None:
    words = ["generator.base_url=http://localhost:30000/v1", "generator.model=m"]
    loaded = load_config(preset="cogvideox-5b", assignments=words, environment={})
    assert loaded.config.generator.backend == "server"
    assert loaded.config.generator.num_frames == 49
    assert loaded.origins["generator.backend"] == "generator.base_url is set"
    kept = load_config(assignments=[*words, "generator.backend=diffusers"], environment={})
    assert kept.config.generator.backend == "diffusers"


def test_a_setting_of_several_types_is_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(environment={}, assignments=["search.look_at=half"])
    assert caught.value.message == (
        "search.look_at: 'half' does not fit: it should be a valid number, unable to parse string as a "
        "number (assignment search.look_at)"
    )
