"""Short names of settings. Knows no layer and no type."""

from collections.abc import Mapping

KEYWORDS: Mapping[str, str] = {
    "rounds": "refinement.rounds",
    "min_steps": "schedule.min_steps",
    "max_steps": "schedule.max_steps",
    "schedule": "schedule.kind",
    "steps": "schedule.steps",
    "model": "generator.model",
    "solver": "generator.solver",
    "gpus": "generator.gpus",
    "image": "generator.image",
    "video": "generator.video",
    "candidates": "search.candidates",
    "calibration": "search.calibration",
    "seed": "run.seed",
    "allow_truncation": "generator.allow_truncation",
    "select": "refinement.select",
    "control": "refinement.control",
    "controls": "refinement.controls",
    "early_stop": "refinement.early_stop",
    "probe": "run.probe",
    "max_seconds": "run.max_seconds",
    "max_cost": "run.max_cost",
    "executor": "execution.executor",
    "ray_address": "execution.ray_address",
}
"""Settings with a short name: a keyword argument of the API, and an option of the commands."""
