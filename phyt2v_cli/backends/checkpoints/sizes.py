"""Sizes of published models in GB, their fit into GPU memory, and measured times. Data from sizes.toml.

This file must not import torch or any model library.
"""

import tomllib
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple

Fit = Literal["resident", "offloading", "no"]


class ModelSize(NamedTuple):
    """Approximate sizes of a published model in GB of 10^9 bytes; sizes.toml explains each."""

    download_gb: float
    half_gb: float
    group_gb: float
    working_gb: float
    h200_refine_s: float | None = None

    def fit(self, free_gb: float) -> Fit:
        """Fit of this model into `free_gb` GB of free GPU memory, in half precision."""
        if free_gb >= self.half_gb + self.working_gb:
            return "resident"
        return "offloading" if free_gb >= self.group_gb + self.working_gb else "no"


def size_of(hub_id: str) -> ModelSize | None:
    """Size of a model on the hub; None if it is not listed."""
    return _sizes().get(hub_id)


@cache
def _sizes() -> dict[str, ModelSize]:
    text = resources.files(__package__).joinpath("sizes.toml").read_text(encoding="utf-8")
    return {hub_id: ModelSize(**sizes) for hub_id, sizes in tomllib.loads(text).items()}
