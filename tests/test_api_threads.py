"""phyt2v from Python in threads and event loops."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import phyt2v_cli
from phyt2v_cli import Studio
from phyt2v_cli.errors import RunDirError, RunInterruptedError
from phyt2v_cli.events import Event, RoundStarted
from phyt2v_cli.testing.fakes import FakeGenerator, FakeRoles
from tests.fake_studio import PROMPT, QUICK, studio_of
from tests.scripted_server import ScriptedServer, answer_of_any_task, answer_with


@pytest.fixture(autouse=True)
def _works_in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class CriticalGenerator(FakeGenerator):
    """Fails if it is asked for two things at once, as a pipeline would in worse ways."""

    def __init__(self) -> None:
        super().__init__()
        self.at_work = threading.Lock()

    def _alone(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        assert self.at_work.acquire(blocking=False), "two at once"
        try:
            return call(*args, **kwargs)
        finally:
            self.at_work.release()

    def denoise(self, *args: Any, **kwargs: Any) -> Any:
        return self._alone(super().denoise, *args, **kwargs)

    def decode(self, *args: Any, **kwargs: Any) -> Any:
        return self._alone(super().decode, *args, **kwargs)


@pytest.mark.slow
def test_threads_share_a_studio() -> None:
    fakes = FakeRoles(generator=CriticalGenerator())
    prompts = [f"a ball drops, number {n}" for n in range(6)]
    with studio_of(fakes) as studio, ThreadPoolExecutor(6) as threads:
        results = list(threads.map(lambda prompt: studio.refine(prompt), prompts))
    with studio_of(FakeRoles(generator=CriticalGenerator())) as alone:
        for prompt, result in zip(prompts, results, strict=True):
            assert result.original_prompt == prompt
            again = alone.refine(prompt, out=f"alone-{prompts.index(prompt)}")
            assert [one.prompt for one in again.rounds] == [one.prompt for one in result.rounds]
            np.testing.assert_array_equal(again.frames(), result.frames())


def test_two_threads_do_not_work_on_one_run() -> None:
    is_rendering, may_go_on = threading.Event(), threading.Event()

    def wait(event: Event) -> None:
        if isinstance(event, RoundStarted):
            is_rendering.set()
            assert may_go_on.wait(60)

    with studio_of(FakeRoles()) as studio, ThreadPoolExecutor(1) as thread:
        first = thread.submit(studio.refine, PROMPT, out="run", on_event=wait)
        assert is_rendering.wait(60)
        with pytest.raises(RunDirError, match="is in use by process"):
            studio.refine(PROMPT, out="run")
        may_go_on.set()
        assert first.result(60).video.is_file()


def test_a_thread_that_waits_for_its_turn_can_be_cancelled() -> None:
    is_denoising, may_go_on = threading.Event(), threading.Event()

    class Slow(CriticalGenerator):
        def denoise(self, *args: Any, **kwargs: Any) -> Any:
            is_denoising.set()
            assert may_go_on.wait(60)
            return super().denoise(*args, **kwargs)

    with studio_of(FakeRoles(generator=Slow())) as studio, ThreadPoolExecutor(1) as thread:
        first = thread.submit(studio.refine, PROMPT, out="first")
        assert is_denoising.wait(60)
        with pytest.raises(RunInterruptedError, match="waited for its turn"):
            studio.refine("another ball", out="second", cancelled=Later(3))
        may_go_on.set()
        assert first.result(60).video.is_file()


class Later:
    """False so many times, and then true."""

    def __init__(self, num_times: int) -> None:
        self.left = num_times

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.usefixtures("loopback")
def test_inside_a_running_event_loop_as_in_a_notebook() -> None:
    fakes = FakeRoles()

    async def cell(url: str) -> phyt2v_cli.RunResult:
        config = {"llm": {"backend": "openai", "model": "m", "base_url": url, "api_key_env": "CANARY_KEY"}}
        studio = Studio(
            generator=fakes.generator, captioner=fakes.captioner, scorer=fakes.scorer, config=config, **QUICK
        )
        with studio:
            return studio.refine(PROMPT)

    with ScriptedServer(answer_with(answer_of_any_task)) as server:
        result = asyncio.run(cell(server.url))
    assert result.prompt == "a ball falls"
    assert len(server.requests) == 3
