"""What the documentation shows is what phyt2v reads, and what it names is there."""

import re
from pathlib import Path

import pytest

from phyt2v_cli.config.layers import LoadedConfig, load_config

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
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


PYTHON_PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PYTHON_PAGE, re.DOTALL)


@pytest.mark.parametrize(
    "example",
    [EXAMPLES[0], *(pytest.param(example, marks=pytest.mark.slow) for example in EXAMPLES[1:])],
    ids=lambda example: example.splitlines()[0],
)
def test_every_python_example_runs(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "python.md", "exec"), {"__name__": "__main__"})
    if "except Phyt2vError" in example:
        assert "there is no preset 'huge'" in capsys.readouterr().out


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 7


def test_every_file_that_contributors_are_sent_to_is_there() -> None:
    named = re.findall(r"`([a-z0-9_]+/[\w/]+\.\w+)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    files = [name for name in named if not re.search("NAME|KIND", name)]
    assert len(files) > 20
    assert [name for name in files if not (ROOT / name).exists()] == []
