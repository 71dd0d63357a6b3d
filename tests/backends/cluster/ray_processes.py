"""Processes of a local Ray, found in the process table."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PATIENCE_S = 120


class Process(NamedTuple):
    """Process of any user, as the table has it."""

    id: int
    parent: int
    title: bytes


def is_ray_of(driver: int) -> list[int]:
    """Process ids of what Ray started for a driver: its raylet and its control store."""
    parts = (b"raylet", b"gcs_server")
    return [p.id for p in _processes() if p.parent == driver and any(part in p.title for part in parts)]


def workers(kind: str = "GeneratorWithLanes", *, driver: int | None = None) -> list[int]:
    """Process ids of the actors of a kind that work for a driver, by default for this process."""
    above = is_ray_of(os.getpid() if driver is None else driver)
    found = [p for p in _processes() if p.parent in above and p.title.startswith(b"ray::")]
    return sorted(p.id for p in found if kind.encode() in p.title)


def wait_until_gone(processes: list[int]) -> None:
    """Wait until none of the processes is there."""
    deadline = time.monotonic() + PATIENCE_S
    while any(_is_there(process) for process in processes):
        assert time.monotonic() < deadline, f"still there: {processes}"
        time.sleep(0.1)


def _processes() -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                title = (entry / "cmdline").read_bytes()
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            yield Process(int(entry.name), parent, title)


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
