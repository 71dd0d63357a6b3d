"""What the documentation shows is what phyt2v reads."""

import re
from pathlib import Path

import pytest

from phyt2v_cli.config.layers import LoadedConfig, load_config

PAGE = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def load(block: str, tmp_path: Path) -> LoadedConfig:
    path = tmp_path / "shown.toml"
    path.write_text(block, encoding="utf-8")
    return load_config(config=path, environment={})


@pytest.mark.parametrize("block", BLOCKS)
def test_every_config_file_of_the_page_is_valid(block: str, tmp_path: Path) -> None:
    config = load(block, tmp_path).config
    assert None not in {role.backend for role in (config.llm, config.captioner, config.scorer)}


def test_the_config_for_no_network_asks_no_server(tmp_path: Path) -> None:
    (block,) = re.findall(r"`local\.toml`.*?```toml\n(.*?)```", PAGE, re.DOTALL)
    config = load(block, tmp_path).config
    judges = [config.llm, config.captioner, config.scorer, *config.scorer.others]
    assert {judge.backend for judge in judges} == {"transformers"}
    assert config.captioner.model == config.scorer.model  # one copy plays both
