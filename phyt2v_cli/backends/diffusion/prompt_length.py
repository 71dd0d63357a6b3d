"""How long a prompt may be, learnt once from the pipeline's own code.

Pipelines put prompts into templates, clean them, and cut them at limits that no signature tells. So a made-up
prompt is sent on its way, and the first call of a tokenizer that would cut it says which tokenizer reads
prompts, in what words it is wrapped and how many tokens may come of that. A family that nobody has heard of
works too.

That first tokenizer alone counts. Where there are more, the model reads every token of the first encoder's
output, while a second gives one pooled vector for the mood of the whole (CLIP beside Llama or Qwen) or
spells words in quotes (ByT5); its far lower limit is meant to be passed, and its cut loses no part of the
prompt that the model would follow.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

_PROBE = "qxphyprobexq"
"""Small letters only, which survive every cleaning."""


@dataclass(frozen=True)
class PromptLength:
    """What the pipeline makes of a prompt before it cuts it."""

    tokenizer: Any
    """A copy: tokenizers change while they work, and the pipeline may be at work in another thread."""
    template: str
    """With `_PROBE` in the place of the prompt."""
    add_special_tokens: bool
    max_tokens: int

    def count_excess(self, prompt: str) -> int:
        """Return how many tokens of `prompt` would be cut off."""
        text = self.template.replace(_PROBE, prompt)
        tokens = self.tokenizer(text, add_special_tokens=self.add_special_tokens, truncation=False).input_ids
        return max(0, len(tokens) - self.max_tokens)


class _Tokenizing(Exception):  # noqa: N818 - no error: the way out of the pipeline's call
    def __init__(self, tokenizer: Any, text: str, options: dict[str, Any]) -> None:
        self.tokenizer = tokenizer
        self.text = text
        self.options = options


class _Denoising(Exception):  # noqa: N818 - no error either
    pass


def find_prompt_length(pipeline: Any, call: Callable[[str], object]) -> PromptLength | None:
    """Return what `call`, which calls the pipeline with a prompt, does to it; None where nothing is cut."""

    def denoising(*_: object, **__: object) -> None:
        raise _Denoising

    pipeline.progress_bar = denoising
    try:
        with _watched(pipeline), suppress(_Denoising):
            call(_PROBE)
    except _Tokenizing as seen:
        return PromptLength(
            tokenizer=copy.deepcopy(getattr(seen.tokenizer, "tokenizer", seen.tokenizer)),
            template=seen.text,
            add_special_tokens=seen.options.get("add_special_tokens", True),
            max_tokens=seen.options["max_length"],
        )
    finally:
        del pipeline.progress_bar  # the class's own method shows again
        pipeline.maybe_free_model_hooks()
    return None


@contextmanager
def _watched(pipeline: Any) -> Iterator[None]:
    """Make every tokenizer of the pipeline raise where it is about to cut a text that has the probe in it."""
    parts = [part for name, part in pipeline.components.items() if name.startswith("tokenizer") and part]
    classes = [type(part) for part in parts]
    for part, original in zip(parts, classes, strict=True):
        # On the class, because chat templates reach it by way of the tokenizer's own methods.
        part.__class__ = type(original.__name__, (original,), {"__call__": _stop_or_tokenize(original)})
    try:
        yield
    finally:
        for part, original in zip(parts, classes, strict=True):
            part.__class__ = original


def _stop_or_tokenize(original: type) -> Callable[..., Any]:
    def tokenize(self: Any, *args: Any, **options: Any) -> Any:
        given = args[0] if args else options.get("text")
        text = given[0] if isinstance(given, list | tuple) and given else given
        cuts = options.get("truncation") and options.get("max_length")
        if cuts and isinstance(text, str) and _PROBE in text:
            raise _Tokenizing(self, text, options)
        return original.__call__(self, *args, **options)

    return tokenize
