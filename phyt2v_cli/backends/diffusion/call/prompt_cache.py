"""Cache of the embeddings of prompts. Knows nothing of what it keeps."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

NUM_CACHED_PROMPTS = 16
"""Size of the cache of prompt embeddings; 226 tokens of T5-XXL take 2 MB, so a whole run costs little."""


def remember(encode_prompt: Callable[..., Any]) -> Callable[..., Any]:
    """Cache the last results of `encode_prompt`: rounds, controls and retries encode the same texts.

    The arguments are texts, numbers, a device and sometimes a template, and `repr` tells all of them apart.
    """
    results: OrderedDict[str, Any] = OrderedDict()

    def remembering(*args: Any, **kwargs: Any) -> Any:
        key = repr((args, sorted(kwargs.items())))
        if key not in results:
            results[key] = encode_prompt(*args, **kwargs)
            if len(results) > NUM_CACHED_PROMPTS:
                results.popitem(last=False)
        results.move_to_end(key)
        return results[key]

    return remembering
