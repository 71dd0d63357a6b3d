"""Judges on servers are asked before anything is rendered, and only then."""

from pathlib import Path
from typing import Any

import pytest

from phyt2v_cli import calls
from phyt2v_cli.errors import BackendError
from phyt2v_cli.testing.fakes import FakeCaptioner, FakeChat, FakeGenerator, FakeScorer
from tests.scripted_server import ScriptedServer, answer_of_any_task, answer_with, status

pytestmark = pytest.mark.usefixtures("loopback")

GOOD = answer_with(answer_of_any_task)
DEAD = status(404)


def section(server: ScriptedServer) -> dict[str, Any]:
    return {"backend": "openai", "base_url": server.url, "model": "m", "num_frames": 3, "max_retries": 0}


def refine(path: Path, config: dict[str, Any], generator: FakeGenerator | None = None) -> None:
    """Refine with doubles of the roles that the config does not have."""
    doubles = {"llm": FakeChat(), "captioner": FakeCaptioner(), "scorer": FakeScorer()}
    roles: dict[str, Any] = {name: role for name, role in doubles.items() if name not in config}
    generator = generator or FakeGenerator()
    calls.refine("a ball", out=path, generator=generator, config=config, steps="2", **roles)


@pytest.mark.parametrize(
    ("name", "key"),
    [("captioner", "captioner"), ("scorer", "scorer"), ("others", r"scorer\.others\[0\]")],
)
def test_fault_59_a_judge_that_is_dead_costs_no_gpu_time(name: str, key: str, tmp_path: Path) -> None:
    generator = FakeGenerator()
    with ScriptedServer(DEAD) as server:
        config = {name: section(server)}
        if name == "others":
            config = {"scorer": {"backend": "tracker", "others": [section(server)]}}
        with pytest.raises(BackendError, match=rf"`{key}\.base_url`"):
            refine(tmp_path / "run", config, generator)
        assert len(server.requests) == 1
    assert generator.denoised == []
    assert '"status": "failed"' in (tmp_path / "run" / "run.json").read_text()


def test_a_probe_shows_as_many_pictures_as_there_will_be(tmp_path: Path) -> None:
    with ScriptedServer(GOOD) as server:
        refine(tmp_path / "run", {"captioner": section(server)})
        first, second = (body["messages"][0]["content"] for body in server.bodies)
    assert [part["type"] for part in first] == [*["image_url"] * 3, "text"]
    assert len(second) == 4
    assert len(str(first)) < len(str(second))


def test_what_has_answered_is_not_probed_again(tmp_path: Path) -> None:
    with ScriptedServer(GOOD) as server:
        config = {"captioner": section(server), "scorer": section(server)}
        refine(tmp_path / "one", config)
        first = len(server.requests)
        refine(tmp_path / "two", config)
        assert len(server.requests) - first < first


def test_without_a_probe_nothing_is_asked_before_the_video(tmp_path: Path) -> None:
    generator = FakeGenerator()
    with ScriptedServer(DEAD) as server:
        config = {"captioner": section(server), "run": {"probe": False}}
        with pytest.raises(BackendError, match="is not there"):
            refine(tmp_path / "run", config, generator)
    assert len(generator.denoised) == 1


def test_a_complete_run_asks_nobody(tmp_path: Path) -> None:
    with ScriptedServer(GOOD) as server:
        config = {"captioner": section(server)}
        refine(tmp_path / "run", config)
        asked = len(server.requests)
        refine(tmp_path / "run", config)
        assert len(server.requests) == asked
