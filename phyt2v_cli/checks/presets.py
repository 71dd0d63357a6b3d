"""Presets on this machine: weights present, GPU large enough, and the expected time of a refine.

Knows presets, the hub's cache and sizes as data. It downloads nothing, loads no model and prints nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from phyt2v_cli.backends.checkpoints.diffusers_folder import find_cached
from phyt2v_cli.backends.checkpoints.sizes import Fit, size_of
from phyt2v_cli.checks.machine import Check, Gpu
from phyt2v_cli.config.layers import load_config
from phyt2v_cli.config.presets import list_presets
from phyt2v_cli.quantities import duration
from phyt2v_cli.schedule import plan_run
from phyt2v_cli.timing import speeds


@dataclass(frozen=True)
class PresetReport:
    """Report on one preset on this machine."""

    name: str
    model: str
    is_present: bool
    """Whether its weights are here in full."""
    download_gb: float | None
    """Approximate size in GB; None if it is not published, and for the embedded model, which needs no
    download."""
    fit: Fit | None
    """How it fits the GPU; None if that is not known."""
    total_steps: int
    refine_s: float | None
    """Rendering time of one refine with its defaults in s, if this machine has measured it."""
    h200_refine_s: float | None = None
    """The same on one H200, if that was measured."""


def survey(gpu: Gpu | None) -> Iterator[PresetReport]:
    """Report on each preset."""
    for name in list_presets():
        config = load_config(preset=name, environment={}).config
        model = config.generator.model
        size = size_of(model)
        fit: Fit | None = None
        if model == "tiny":  # it is a few MB and runs on any CPU
            fit = "resident"
        elif gpu is None:
            fit = "no"
        elif size is not None:
            fit = size.fit(gpu.free_gb)
        planned = plan_run(config)
        speed = speeds.find(config.generator)
        yield PresetReport(
            name=name,
            model=model,
            is_present=model == "tiny" or find_cached(model, config.generator.revision) is not None,
            download_gb=size.download_gb if size else None,
            fit=fit,
            total_steps=sum(entry.total_steps for entry in planned),
            refine_s=None if speed is None else speed.total_s(planned),
            h200_refine_s=size.h200_refine_s if size else None,
        )


def preset_check(report: PresetReport, gpu: Gpu | None) -> Check:
    """Report on a preset as a check."""
    time = "not measured here"
    if report.refine_s:
        time = f"{duration(report.refine_s)} of rendering"
    elif report.h200_refine_s:
        time += f" ({duration(report.h200_refine_s)} of rendering on one H200)"
    fits = {
        "resident": "fits the GPU" if gpu else "fits the CPU",
        "offloading": "fits the GPU with offloading",
        "no": "does not fit the GPU" if gpu else "needs a GPU",
        None: "of unknown size",
    }[report.fit]
    about = f"about {report.download_gb:.0f} GB" if report.download_gb else "size unknown"
    weights = "weights here" if report.is_present else f"weights not here ({about})"
    return Check(
        f"preset {report.name}",
        "ok" if report.is_present else "missing",
        f"{weights}; {fits}; a refine ({report.total_steps} steps): {time}",
        "" if report.is_present else "fetch its weights",
    )


def fit_check(reports: list[PresetReport], gpu: Gpu | None) -> Check:
    """Check which presets fit the GPU."""
    if gpu is None:
        return Check("fits here", "ok", "tiny, on the CPU; every other preset wants a GPU")
    named = {
        fit: [report.name for report in reports if report.fit == fit] for fit in ("resident", "offloading")
    }
    detail = ", ".join(named["resident"])
    if named["offloading"]:
        detail += f"; with offloading, slower: {', '.join(named['offloading'])}"
    return Check("fits here", "ok", f"{detail} (by published sizes, in half precision)")
