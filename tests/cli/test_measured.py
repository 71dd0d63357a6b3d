import json
from pathlib import Path

import pytest

from phyt2v_cli.cli.measured import seconds_per_step
from phyt2v_cli.settings import GeneratorConfig
from tests.doubles import make_config, run_through


def test_the_newest_run_like_this_is_asked(tmp_path: Path) -> None:
    run_through(tmp_path / "runs" / "one", make_config(rounds=1))
    for number, seconds in ((1, 6.0), (2, 12.0)):
        path = tmp_path / "runs" / "one" / f"round{number}.json"
        record = json.loads(path.read_text())
        record["seconds"]["denoise"] = seconds
        path.write_text(json.dumps(record))
    assert seconds_per_step(GeneratorConfig(), tmp_path / "runs") == pytest.approx(18 / 9)  # 3 + 6 steps
    assert seconds_per_step(GeneratorConfig(height=480), tmp_path / "runs") is None


def test_nothing_is_made_up(tmp_path: Path) -> None:
    assert seconds_per_step(GeneratorConfig(), tmp_path / "none") is None
    for name, content in (("a", b"{"), ("b", b"[]"), ("c", b"\xff")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_bytes(content)
    assert seconds_per_step(GeneratorConfig(), tmp_path) is None
