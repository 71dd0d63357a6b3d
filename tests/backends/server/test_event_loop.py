"""The loop that all requests of a process share: from notebooks, threads, forks, and out by Ctrl-C."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from phyt2v_cli.backends.server import event_loop
from tests.scripted_server import Exchange, ScriptedServer, answer, stall
from tests.server_clients import MESSAGES, client_of

pytestmark = pytest.mark.usefixtures("loopback")

ROOT = Path(__file__).parents[3]


def start_asking(server: ScriptedServer, *lines: str) -> "subprocess.Popen[str]":
    """Start a process that does `lines` with a client of `server`, which waits longer than any test."""
    first = (
        "import os, sys, threading",
        "from tests.server_clients import MESSAGES, client_of",
        f"client = client_of({server.url!r}, timeout_s=3600)",
    )
    return subprocess.Popen(
        [sys.executable, "-c", "\n".join((*first, *lines))],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for_a_request(server: ScriptedServer) -> None:
    deadline = time.monotonic() + 60
    while not server.requests:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_role_is_asked_inside_of_a_running_loop() -> None:
    with ScriptedServer(answer("hi")) as server:
        client = client_of(server.url)

        async def cell() -> tuple[str, bool]:
            mine = asyncio.get_running_loop()
            text = client.complete(MESSAGES).text
            await asyncio.sleep(0)
            return text, asyncio.get_running_loop() is mine

        assert asyncio.run(cell()) == ("hi", True)


def test_the_callers_own_loop_stays_the_current_one() -> None:
    loop = asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        with ScriptedServer(answer("hi")) as server:
            client_of(server.url).complete(MESSAGES)
        assert asyncio.get_event_loop_policy().get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_threads_are_served_at_once_and_share_one_loop() -> None:
    num_threads = 8
    all_are_here = threading.Barrier(num_threads)

    def answer_once_all_are_here(exchange: Exchange) -> None:
        all_are_here.wait(60)
        answer(threading.current_thread().name)(exchange)

    with ScriptedServer(answer_once_all_are_here) as server:
        client = client_of(server.url)
        answers: set[str] = set()
        threads = [
            threading.Thread(target=lambda: answers.add(client.complete(MESSAGES).text))
            for _ in range(num_threads)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == num_threads
    loops = [thread for thread in threading.enumerate() if thread.name == "phyt2v requests"]
    assert [loop.daemon for loop in loops] == [True]


def test_a_deadline_cancels_what_is_waited_for() -> None:
    ended = threading.Event()

    async def work() -> None:
        try:
            async with asyncio.timeout(0.05):
                await asyncio.sleep(60)
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        event_loop.wait_for(work())
    assert ended.is_set()


@pytest.mark.slow
def test_ctrl_c_gets_out_and_hangs_up() -> None:
    hung_up = threading.Event()

    def see_the_end(exchange: Exchange) -> None:
        assert exchange.connection.recv(1) == b""
        hung_up.set()

    with ScriptedServer(see_the_end) as server:
        process = start_asking(
            server,
            "try: client.complete(MESSAGES)",
            "except KeyboardInterrupt: print('out', flush=True)",
            "sys.stdin.read()",
        )
        wait_for_a_request(server)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None and process.stdout.readline() == "out\n"
        assert hung_up.wait(60)
        assert process.poll() is None, "it was the request that ended, not the process"
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


def test_a_process_that_has_asked_ends_by_itself() -> None:
    with ScriptedServer(answer("hi")) as server:
        process = start_asking(server, "print(client.complete(MESSAGES).text)")
        assert process.communicate(timeout=60) == ("hi\n", "")
    assert process.returncode == 0


def test_a_request_that_nobody_waits_for_does_not_keep_the_process() -> None:
    with ScriptedServer(stall) as server:
        process = start_asking(
            server,
            "threading.Thread(target=client.complete, args=(MESSAGES,), daemon=True).start()",
            "sys.stdin.read()",
        )
        wait_for_a_request(server)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


@pytest.mark.slow
def test_a_fork_has_a_loop_of_its_own() -> None:
    with ScriptedServer(answer("hi")) as server:
        process = start_asking(
            server,
            "print(client.complete(MESSAGES).text, flush=True)",
            "child = os.fork()",
            "print(client.complete(MESSAGES).text, flush=True)",
            "if child: sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))",
        )
        out, _ = process.communicate(timeout=60)  # newer Pythons warn of forks beside threads
    # Two processes write at once, and a line's end may come after the other's line.
    assert (process.returncode, out.replace("\n", "")) == (0, "hi" * 3)
