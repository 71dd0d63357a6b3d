"""Sizes that a model's configs ask for, checked before a library obeys them.

Whoever wrote a config can ask for a million layers, which take hours and all memory to build, long before
anybody finds that there are no weights for them. This file knows names of settings; it must not know any
architecture.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from phyt2v_cli.errors import ModelLoadError

_COUNTS = re.compile(r"(^|_)(n_layer|layers|blocks|depths?|layers_per_block)$")
"""Names of numbers of layers, such as `num_hidden_layers` and `encoder_layers`. Each layer has weights."""

_HARMLESS_LAYERS = 1000
"""Number of layers that costs little in any case. Some configs name more than they have, for no use."""

_SIDES = re.compile(r"(^|_)(height|width)$")

_NO_SIZES = re.compile(r"theta|base|_id$|token|seed")
"""Names of numbers that nothing is as large as."""

_LARGEST = 2**26
"""Limit of any other number. Longest contexts have 10 million tokens, vocabularies 300,000."""


_LARGEST_SIDE = 2**14
"""Limit of heights and widths in pixels."""

_REMEDY = "Fetch the model again, from a source that you trust."


def check_sizes(config: Any, *, path: Path, num_tensors: int = _LARGEST) -> None:
    """Check the numbers of a parsed config, at `path`, also against the number of tensors of its weights.

    Raises ModelLoadError for the first that cannot be.
    """
    for name, value in _integers(config):
        asks = f"{path} asks for {name} {value:,}"
        if _COUNTS.search(name) and value > max(num_tensors, _HARMLESS_LAYERS):
            raise ModelLoadError(f"{asks}, and the weights have {num_tensors:,} tensors.", _REMEDY)
        most = _LARGEST_SIDE if _SIDES.search(name) else _LARGEST
        if value > most and not _NO_SIZES.search(name):
            raise ModelLoadError(f"{asks}, and no model needs more than {most:,}.", _REMEDY)


def _integers(config: Any, name: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(config, dict):
        for key, value in config.items():
            yield from _integers(value, str(key))
    elif isinstance(config, list):
        for value in config:
            yield from _integers(value, name)
    elif isinstance(config, int) and not isinstance(config, bool):
        yield name, config
