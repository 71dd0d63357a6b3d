"""How large published models are, whether that fits a GPU, and what one took. Data from sizes.toml."""

import tomllib
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple

Fit = Literal["resident", "offloading", "no"]


class ModelSize(NamedTuple):
    """Approximate published sizes in GB of 10^9 bytes; sizes.toml says what each means."""

    download_gb: float
    half_gb: float
    group_gb: float
    working_gb: float
    h200_refine_s: float | None = None

    def fit(self, free_gb: float) -> Fit:
        """Return how this model fits into so much free GPU memory, in half precision."""
        if free_gb >= self.half_gb + self.working_gb:
            return "resident"
        return "offloading" if free_gb >= self.group_gb + self.working_gb else "no"


def size_of(hub_id: str) -> ModelSize | None:
    """Return the size of a model on the hub, or None where nothing is known of it."""
    return _sizes().get(hub_id)


@cache
def _sizes() -> dict[str, ModelSize]:
    text = resources.files(__package__).joinpath("sizes.toml").read_text(encoding="utf-8")
    return {hub_id: ModelSize(**sizes) for hub_id, sizes in tomllib.loads(text).items()}
