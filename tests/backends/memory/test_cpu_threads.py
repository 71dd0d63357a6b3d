"""Torch's threads sleep while they wait, and only while we work."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from phyt2v_cli.backends.memory.cpu_threads import asleep_while_waiting

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[3]
PROGRAM = """
import json, time, torch
from contextlib import nullcontext
from phyt2v_cli.backends.memory.cpu_threads import asleep_while_waiting

def spent(waiting):
    large, before = torch.zeros(2**20), time.process_time()
    with waiting:
        for _ in range(150):
            large.add_(1)
            time.sleep(0.005)
    return time.process_time() - before

torch.set_num_threads(2)
spent(nullcontext())
seconds = {"alone": spent(nullcontext()), "asleep": spent(asleep_while_waiting(torch.device("cpu")))}
print(json.dumps(seconds | {"after": spent(nullcontext()), "threads": torch.get_num_threads()}))
"""


@pytest.mark.slow
def test_cpu_time_is_saved_in_the_block_and_nothing_is_changed_by_it() -> None:
    if (os.cpu_count() or 1) < 2 or sys.platform != "linux":
        pytest.skip("no GNU OpenMP with a core for each of two threads")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**inherited, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    seconds = json.loads(ended.stdout)
    assert seconds["threads"] == 2
    assert 2 * seconds["asleep"] < min(seconds["alone"], seconds["after"]), seconds


def test_no_thread_is_left_even_after_an_error() -> None:
    torch.set_num_threads(max(2, torch.get_num_threads()))
    before = threading.active_count()
    with pytest.raises(ValueError, match="x"), asleep_while_waiting(CPU):
        assert threading.active_count() == before + 1
        raise ValueError("x")
    assert threading.active_count() == before


def test_work_elsewhere_needs_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    with asleep_while_waiting(torch.device("cuda")):
        assert threading.active_count() == before

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with asleep_while_waiting(CPU):
        assert threading.active_count() == before
