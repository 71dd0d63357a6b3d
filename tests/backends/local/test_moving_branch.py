"""A local model that is named by its hub id, while somebody pushes to the hub."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import shutil, sys
from pathlib import Path
from phyt2v_cli.backends.local import models
from phyt2v_cli.config.judges import LlmConfig

repo = Path(sys.argv[1])
config = LlmConfig(backend="transformers", model="some-one/some-model")
first, second = models.ModelHandle(config, "llm"), models.ModelHandle(config, "llm")
model = first.get()
(repo / "refs" / "main").write_text("b" * 40)
assert first.get() is second.get() is model
assert len(models.loaded_models()) == 1
first.close()
assert second.get() is model
second.close()
assert models.loaded_models() == ()
later = models.ModelHandle(config, "llm").get()  # another run
assert later is not model
shutil.rmtree(repo / "snapshots" / ("a" * 40))
assert models.load(config, role="llm") is later
"""


@pytest.mark.slow
def test_a_name_means_one_model_while_it_is_loaded(tiny_llama_dir: Path, tmp_path: Path) -> None:
    repo = tmp_path / "hub" / "models--some-one--some-model"
    for commit in ("a" * 40, "b" * 40):
        shutil.copytree(tiny_llama_dir, repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("a" * 40)
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(repo)],
        env={
            **os.environ,
            "HF_HUB_CACHE": str(tmp_path / "hub"),
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": str(Path(__file__).parents[3]),
        },
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
