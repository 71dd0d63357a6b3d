import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phyt2v_cli.cli.app import app
from phyt2v_cli.config.layers import KEYS, load_config
from phyt2v_cli.config.presets import list_presets
from phyt2v_cli.config.schema import Config
from tests.faults.processes import PHYT2V
from tests.terminals import shown_by

runner = CliRunner()


def test_show_gives_every_value_and_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHYT2V_RUN__SEED", "7")
    result = runner.invoke(app, ["config", "show", "--set", "schedule.min_steps=10", "--json"])
    shown = json.loads(result.stdout)
    assert shown["schema"] == "phyt2v.config/1"
    assert Config.model_validate(shown["config"]).run.seed == 7
    assert set(shown["origins"]) == set(KEYS)
    assert shown["origins"]["run.seed"] == "environment PHYT2V_RUN__SEED"
    assert shown["origins"]["schedule.min_steps"] == "--set schedule.min_steps"
    assert shown["origins"]["generator.fps"] == "preset tiny"
    assert shown["origins"]["refinement.select"] == "default"


def test_show_as_a_table() -> None:
    result = runner.invoke(app, ["config", "show", "--model", "their/[model]"])
    assert "their/[model]" in result.stdout
    assert "--model" in result.stdout


def test_presets() -> None:
    listed = json.loads(runner.invoke(app, ["config", "presets", "--json"]).stdout)
    assert listed["schema"] == "phyt2v.presets/1"
    assert {"tiny", "cogvideox-2b", "cogvideox-5b"} <= {preset["name"] for preset in listed["presets"]}
    assert "49 x 480 x 720" in runner.invoke(app, ["config", "presets"]).stdout


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_no_name_of_a_preset_a_model_or_a_setting_is_broken_on_a_terminal(columns: int) -> None:
    def words_of(command: str) -> set[str]:
        shown = shown_by([*PHYT2V, "config", command, "--no-color"], columns=columns)
        assert max(map(len, shown.splitlines())) <= columns
        return set(shown.split())

    models = {load_config(preset=name, environment={}).config.generator.model for name in list_presets()}
    assert words_of("presets") >= {*list_presets(), *models, "openai", "tracker"}
    assert words_of("show") >= {*KEYS}


def test_a_pipe_gets_one_line_for_each_preset_and_setting() -> None:
    presets = runner.invoke(app, ["config", "presets"]).stdout.splitlines()
    (hunyuan,) = [line.split() for line in presets if line.startswith("hunyuanvideo ")]
    assert hunyuan[:2] == ["hunyuanvideo", "hunyuanvideo-community/HunyuanVideo"]
    assert len(presets) == 2 + len(list_presets())
    origin = "--set generator.negative_prompt"
    shown = runner.invoke(app, ["config", "show", "--set", f"generator.negative_prompt={'no ' * 90}"]).stdout
    assert [origin in line and "no " * 90 in line for line in shown.splitlines()].count(True) == 1


def test_schema_is_a_json_schema() -> None:
    schema = json.loads(runner.invoke(app, ["config", "schema"]).stdout)
    assert schema["schema"] == "phyt2v.config-schema/1"
    assert set(schema["properties"]) == set(Config.model_fields)


def test_show_gives_further_scorers_a_row_for_each_value_set(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[scorer.others]]\nbackend = "command"\ncommand = ["python", "judge.py"]\n')
    result = runner.invoke(app, ["config", "show", "--config", str(path)])
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line.strip()}
    assert rows["scorer.others[0].backend"][0] == "command"
    assert rows["scorer.others[0].command"][0] == "python,judge.py"
    assert "scorer.others[0].timeout_s" not in rows
    shown = json.loads(runner.invoke(app, ["config", "show", "--config", str(path), "--json"]).stdout)
    assert shown["config"]["scorer"]["others"][0]["command"] == ["python", "judge.py"]
    assert Config.model_validate(shown["config"]).scorer.others[0].backend == "command"
    none = runner.invoke(app, ["config", "show"]).stdout
    assert next(line.split()[1] for line in none.splitlines() if "scorer.others" in line) == "none"


def test_the_schema_knows_further_scorers() -> None:
    schema = json.loads(runner.invoke(app, ["config", "schema"]).stdout)
    others = schema["$defs"]["ScorerConfig"]["properties"]["others"]
    assert others["items"] == {"$ref": "#/$defs/ScorerConfig"}


def test_changed_shows_what_differs_from_the_defaults() -> None:
    command = ["config", "show", "--changed", "--set", "run.seed=7", "--set", "refinement.rounds=4"]
    shown = json.loads(runner.invoke(app, [*command, "--json"]).stdout)
    changed = {f"{section}.{name}" for section, values in shown["config"].items() for name in values}
    assert changed == set(shown["origins"])
    assert shown["config"]["run"] == {"seed": 7}
    assert shown["origins"]["run.seed"] == "--set run.seed"
    assert "refinement.rounds" not in changed  # it was set to what it is anyway
    config = load_config(environment={}, assignments=["run.seed=7"]).config
    assert Config.model_validate(shown["config"]) == config  # all that differs is there
    lines = runner.invoke(app, command).stdout.splitlines()
    assert {line.split()[0] for line in lines[2:] if line.strip()} == changed
