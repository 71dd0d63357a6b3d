"""Checks of this machine, each by trying it: one check for each thing that a run needs.

Knows the machine, the config and the backends' own checks. It loads no model, shows no key, prints nothing.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from phyt2v_cli.config.judges import (
    VENDOR_URL,
    CaptionerConfig,
    LlmConfig,
    ScorerConfig,
    ServiceConfig,
    server_url,
)
from phyt2v_cli.config.schema import Config
from phyt2v_cli.errors import BackendError, FilesError, ModelLoadError, Phyt2vError

State = Literal["ok", "missing", "problem"]
"""State of a check. `missing` is optional; a `problem` is broken."""

ENDPOINT_TIMEOUT_S = 3.0

_MIN_FREE_BYTES = 100 * 10**6
"""Minimum free disk space: a few runs of the embedded model."""


@dataclass(frozen=True)
class Check:
    """Result of one check, in words for a person."""

    what: str
    state: State
    detail: str
    todo: str = ""
    essential: bool = False
    """Whether not even the embedded model runs without it."""


@dataclass(frozen=True)
class Gpu:
    """GPU that a model would be loaded on; memory in GB of 10^9 bytes."""

    name: str
    free_gb: float
    total_gb: float


def check_computer() -> Iterator[Check]:
    """Name the versions of phyt2v, Python and the system, the CPU and the RAM. Nothing is imported for it."""
    import platform

    from phyt2v_cli import __version__

    system = f"{platform.system()} {platform.release()}"
    yield Check("versions", "ok", f"phyt2v {__version__}, Python {platform.python_version()}, {system}")
    yield Check("CPU", "ok", f"{platform.machine()}, {os.cpu_count() or 1} cores")
    with suppress(OSError, ValueError):  # a system that does not tell
        total_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
        yield Check("RAM", "ok", f"{total_gb:.1f} GB")


def verdict(checks: Sequence[Check]) -> Check:
    """Sum of the checks: whether the embedded model runs here, and what is broken."""
    broken = [check for check in checks if check.state == "problem"]
    names = ", ".join(dict.fromkeys(check.what for check in broken))
    if any(check.essential for check in broken):
        return Check("verdict", "problem", f"not even the embedded model runs here: {names}")
    if broken:
        return Check("verdict", "missing", f"the embedded model runs here; this needs fixing: {names}")
    return Check("verdict", "ok", "the embedded model runs here, and nothing is broken")


def check_libraries() -> Check:
    """Check that torch can be imported, and list the versions of the large libraries."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        import torch  # noqa: F401  to check that it can be imported

        versions = [f"{name} {version(name)}" for name in ("torch", "diffusers", "transformers")]
    except (ImportError, OSError, PackageNotFoundError) as error:
        return Check(
            "libraries", "problem", _first_line(error), "install phyt2v again, in a fresh environment", True
        )
    return Check("libraries", "ok", ", ".join(versions), essential=True)


def find_gpu() -> Gpu | None:
    """Find the first CUDA device that torch can use; None if there is none."""
    try:
        import torch

        if not torch.cuda.is_available():
            return None
        free, total = torch.cuda.mem_get_info(0)
        return Gpu(torch.cuda.get_device_name(0), free / 1e9, total / 1e9)
    except (ImportError, OSError, RuntimeError):
        return None


def check_gpu(gpu: Gpu | None) -> Check:
    """Check which GPU there is, and how much of its memory is free."""
    if gpu is None:
        return Check(
            "GPU",
            "missing",
            "none that torch can use: the embedded model runs on the CPU, larger ones want a GPU",
            "only for larger models: a CUDA GPU, its driver, and a torch built for CUDA",
        )
    return Check("GPU", "ok", f"{gpu.name}, {gpu.free_gb:.1f} of {gpu.total_gb:.1f} GB free")


def check_disks() -> Iterator[Check]:
    """Check the free disk space for runs, by writing here, and for weights."""
    from huggingface_hub.constants import HF_HUB_CACHE

    from phyt2v_cli.checks.preflight import check_disk

    runs_dir = Path("runs").absolute()
    try:
        check_disk(runs_dir, _MIN_FREE_BYTES)
    except FilesError as error:
        yield Check("disk for runs", "problem", error.message, "work in another folder", essential=True)
    else:
        yield Check("disk for runs", "ok", _free_text(runs_dir), essential=True)
    yield Check("disk for weights", "ok", f"{_free_text(Path(HF_HUB_CACHE))}; HF_HOME chooses another")


def check_codecs() -> Check:
    """Check the codecs: encode a tiny clip, decode it, and compare."""
    try:
        import numpy as np

        from phyt2v_cli.files.video import VideoMetadata, read_frames, write_video

        frames = np.zeros((5, 32, 32, 3), np.uint8)
        frames[:, 8:24, 8:24] = np.linspace(60, 250, 5, dtype=np.uint8)[:, None, None, None]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "clip.mp4"
            write_video(path, frames, fps=8, metadata=VideoMetadata("doctor", 0, 1))
            off_by = int(np.abs(read_frames(path).astype(np.int16) - frames).mean())
    except (ImportError, OSError, Phyt2vError) as error:
        return Check("codecs", "problem", _first_line(error), "install the package av again", essential=True)
    if off_by > 8:
        return Check(
            "codecs",
            "problem",
            f"colours come back {off_by} levels off",
            "install the package av again",
            True,
        )
    return Check("codecs", "ok", "an H.264 clip was written and read back", essential=True)


def check_embedded_model() -> Check:
    """Check that the files of the embedded model are whole."""
    from phyt2v_cli.backends.checkpoints.diffusers_folder import find_model

    try:
        find_model("tiny")
    except ModelLoadError as error:
        return Check("embedded model", "problem", error.message, "install phyt2v again", essential=True)
    return Check("embedded model", "ok", "whole", essential=True)


def check_keys(config: Config) -> Iterator[Check]:
    """Check for each variable that holds an API key if it is set. Nothing of a key is ever shown."""
    servers = _servers(config)
    default = ServiceConfig.model_fields["api_key_env"].default
    named = [section.api_key_env for _, section in (*_services(config), *servers)]
    for name in dict.fromkeys([default, *named]):
        # A self-hosted server often needs no key; the vendor's always does.
        needed_by = [
            role
            for role, section in servers
            if section.api_key_env == name and server_url(section) == VENDOR_URL
        ]
        if os.environ.get(name):
            yield Check("key", "ok", f"{name} is set")
        elif needed_by:
            yield Check("key", "problem", f"{name} is not set", f"export it: {', '.join(needed_by)} needs it")
        else:
            yield Check(
                "key", "missing", f"{name} is not set", "export it where a server of yours asks for it"
            )


def check_endpoints(config: Config) -> Iterator[Check]:
    """Check that each endpoint of the config answers.

    Any HTTP status counts as an answer: healthy servers may fail at /models.
    """
    roles_of: dict[str, list[str]] = {}
    for role, section in _servers(config):
        roles_of.setdefault(server_url(section), []).append(role)
    if not roles_of:
        yield Check("server", "ok", "no role of this config asks one")
    for base_url, roles in roles_of.items():
        of = ", ".join(roles)
        try:
            shown, status = _ask(base_url)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            yield Check(
                "server",
                "problem",
                f"{of}: no answer: {_first_line(reason)}",
                f"start it, or fix {roles[0]}.base_url",
            )
        else:
            yield Check("server", "ok", f"{of}: {shown} answers (HTTP {status})")


def check_programs(config: Config) -> Iterator[Check]:
    """Check that the programs of `command` scorers exist."""
    from phyt2v_cli.backends.program.scorer import find_program

    for role, section in _services(config):
        if isinstance(section, ScorerConfig) and section.backend == "command" and section.command:
            try:
                yield Check("program", "ok", f"{role}: {find_program(section.command)}")
            except BackendError as error:
                yield Check(
                    "program", "problem", f"{role}: {error.message}", error.hint or f"fix {role}.command"
                )


def quick_checks(config: Config) -> Iterator[Check]:
    """Run the checks of the machine that do without torch, the quickest first."""
    yield from check_computer()
    yield check_embedded_model()
    yield from check_keys(config)
    yield from check_programs(config)
    yield from check_disks()
    yield check_codecs()
    yield from check_endpoints(config)


def _services(config: Config) -> list[tuple[str, LlmConfig | CaptionerConfig | ScorerConfig]]:
    others = ((f"scorer.others[{n}]", other) for n, other in enumerate(config.scorer.others))
    return [("llm", config.llm), ("captioner", config.captioner), ("scorer", config.scorer), *others]


def _servers(config: Config) -> list[tuple[str, ServiceConfig]]:
    """Roles on servers, with their servers."""
    judges = [(role, section) for role, section in _services(config) if section.backend == "openai"]
    at_server = config.generator.backend == "server" and config.generator.base_url is not None
    return [*([("generator", config.generator.service)] if at_server else []), *judges]


def _ask(base_url: str) -> tuple[str, int]:
    """Request /models: the address without what may be secret in it, and the HTTP status."""
    from urllib.error import HTTPError
    from urllib.parse import urlsplit
    from urllib.request import ProxyHandler, Request, build_opener

    from phyt2v_cli.backends import network

    parts = urlsplit(base_url)
    port = f":{parts.port}" if parts.port else ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    shown = f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"
    request = Request(f"{shown}/models", headers={"User-Agent": "phyt2v"})
    try:
        # The key is not sent: whether it is right is not checked.
        opener = build_opener(*([ProxyHandler({})] if network.is_loopback(base_url) else []))
        with opener.open(request, timeout=ENDPOINT_TIMEOUT_S) as answer:
            return shown, answer.status
    except HTTPError as error:
        with error:
            return shown, error.code


def _free_text(folder: Path) -> str:
    existing = folder
    while not existing.exists():
        existing = existing.parent
    return f"{shutil.disk_usage(existing).free / 1e9:,.1f} GB free at {folder}"


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
