"""Which device a model computes on, as its section of the config says. Knows no model and no memory."""

from typing import Literal

import torch

from phyt2v_cli.errors import ConfigError


def choose_device(wanted: Literal["auto", "cpu", "cuda"], section: str) -> torch.device:
    """Return the device that `section`.device names; raise ConfigError where it is not there."""
    is_there = torch.cuda.is_available()
    if wanted == "cuda" and not is_there:
        raise ConfigError(f"{section}.device: torch sees no CUDA device here; use auto or cpu")
    if wanted == "auto":
        return torch.device("cuda" if is_there else "cpu")
    return torch.device(wanted)
