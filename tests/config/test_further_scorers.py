"""Further scorers: tables in a file, each of which is checked as the first is."""

from pathlib import Path

import pytest

from phyt2v_cli.config.layers import LoadedConfig, load_config
from phyt2v_cli.errors import ConfigError

OTHERS = """
[scorer]
backend = "tracker"

[[scorer.others]]
base_url = "http://localhost:8000/v1"
model = "a-vlm"

[[scorer.others]]
backend = "command"
command = ["python", "judge.py"]
keep_alive = true
"""


def load_toml(text: str, tmp_path: Path) -> LoadedConfig:
    (tmp_path / "mine.toml").write_text(text)
    return load_config(config=tmp_path / "mine.toml", environment={})


def test_further_scorers_are_tables(tmp_path: Path) -> None:
    scorer = load_toml(OTHERS, tmp_path).config.scorer
    assert [other.backend for other in scorer.others] == ["openai", "command"]  # as base_url says
    assert scorer.others[1].command == ("python", "judge.py")
    assert scorer.others[1].keep_alive


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ('name = "a b"', "scorer.others[1].name: must be at most 64 letters"),
        ('backned = "openai"', "scorer.others[1].backned: no such setting (FILE). Did you mean backend?"),
        ("num_frames = 0", "scorer.others[1].num_frames: 0 does not fit: it should be greater than or equal"),
        ('others = [{backend = "tracker"}]', "scorer.others: a further scorer has no others of its own"),
        ("others = [{x = 1}]", "scorer.others[1].others[0].x: no such setting"),
    ],
)
def test_what_is_wrong_in_a_further_scorer_is_one_line(wrong: str, line: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_toml(f"{OTHERS}{wrong}\n", tmp_path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.startswith(line.replace("FILE", f"config file {tmp_path / 'mine.toml'}"))


def test_an_entry_of_a_list_in_a_further_scorer(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^scorer\.others\[1\]\.command: entry 2: 7 does not fit"):
        load_toml(OTHERS.replace('"judge.py"', "7"), tmp_path)


@pytest.mark.parametrize("text", ["[scorer.others]\nbackend = 'tracker'", "[scorer]\nothers = ['tracker']"])
def test_further_scorers_that_are_no_tables(text: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^scorer\.others: further scorers are \[\[scorer\.others\]\] tables"
    ):
        load_toml(text, tmp_path)
    with pytest.raises(ConfigError, match=r"\(--set scorer\.others\)$"):
        load_config(environment={}, assignments=["scorer.others=tracker"], assigned_by="--set")
