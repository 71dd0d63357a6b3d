"""Processes of a local Ray, found in the process table."""

import os
import time
from pathlib import Path

PATIENCE_S = 120


def workers(kind: str = "GeneratorWithLanes") -> list[int]:
    """Process ids of Ray's workers of this user whose title names an actor of the `kind`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                title = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::") and kind.encode() in title:
                found.append(int(entry.name))
    return sorted(found)


def is_ray_of(driver: int) -> list[int]:
    """Process ids of what Ray started for a driver: its raylet and its control store."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                title = (entry / "cmdline").read_bytes()
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if (b"raylet" in title or b"gcs_server" in title) and parent == driver:
                found.append(int(entry.name))
    return found


def wait_until_gone(processes: list[int]) -> None:
    """Wait until none of the processes is there."""
    deadline = time.monotonic() + PATIENCE_S
    while any(_is_there(process) for process in processes):
        assert time.monotonic() < deadline, f"still there: {processes}"
        time.sleep(0.1)


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
