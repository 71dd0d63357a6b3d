"""Findings: faults of a motion, each with its name, severity and one plain sentence."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from phyt2v_cli.tiny import world

Blemish = Literal["smear", "color-change"]


@dataclass(frozen=True)
class Finding:
    """One fault, with `severity` 0..1, and a sentence without its subject."""

    name: world.Violation | Blemish
    severity: float
    frame: int
    text: str
    object: int = 0
    """Index of the object in the tracks; meaningless for blemishes of the whole picture."""


def graded(value: float, full: float, least: float = 0.4) -> float:
    """Severity of a fault of size `value`, of which `full` is as bad as can be."""
    return float(np.clip(value / full, least, 1))
