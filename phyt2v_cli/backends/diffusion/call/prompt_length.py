"""Prompt length limit in tokens, learnt once from the pipeline's own code.

Pipelines put prompts into templates, clean them, and truncate them at limits that no signature shows. So the
pipeline is called with a probe prompt. The first tokenizer call that would truncate it shows which tokenizer
reads prompts, the template around the prompt, and the largest number of tokens. An unknown family works too.

Only that first tokenizer counts. If there are more, the model reads every token of the first encoder's
output. A second encoder gives one pooled vector for the mood of the whole (CLIP beside Llama or Qwen) or
spells words in quotes (ByT5). Its far lower limit is meant to be exceeded: its truncation loses no part of
the prompt that the model would follow.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

_PROBE = "qxphyprobexq"
"""Lower-case letters only, which no cleaning changes."""


@dataclass(frozen=True)
class PromptLength:
    """Tokenizer, template and token limit of a pipeline's prompts."""

    tokenizer: Any
    """A copy, because tokenizers are not thread-safe and the pipeline may run in another thread."""
    template: str
    """Text given to the tokenizer, with `_PROBE` in place of the prompt."""
    add_special_tokens: bool
    max_tokens: int

    def count_excess(self, prompt: str) -> int:
        """Count the tokens of `prompt` that the pipeline would cut off; 0 if it fits."""
        text = self.template.replace(_PROBE, prompt)
        # Not verbose: it would warn that the model fails with so many tokens, which it never gets.
        options = {"add_special_tokens": self.add_special_tokens, "truncation": False, "verbose": False}
        return max(0, len(self.tokenizer(text, **options).input_ids) - self.max_tokens)


class _Tokenizing(Exception):  # noqa: N818 - no error: leaves the pipeline's call early
    def __init__(self, tokenizer: Any, text: str, options: dict[str, Any]) -> None:
        self.tokenizer = tokenizer
        self.text = text
        self.options = options


class _Denoising(Exception):  # noqa: N818 - no error either
    pass


def find_prompt_length(pipeline: Any, call: Callable[[str], object]) -> PromptLength | None:
    """Find the prompt length limit with `call`, which calls the pipeline with a prompt.

    None if the pipeline truncates no prompt. Nothing is denoised. Raises what `call` raises.
    """

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
        del pipeline.progress_bar  # uncovers the class's own method
        pipeline.maybe_free_model_hooks()
    return None


@contextmanager
def _watched(pipeline: Any) -> Iterator[None]:
    """Make every tokenizer of the pipeline raise `_Tokenizing` before it truncates a text with the probe."""
    parts = [part for name, part in pipeline.components.items() if name.startswith("tokenizer") and part]
    classes = [type(part) for part in parts]
    for part, original in zip(parts, classes, strict=True):
        # On the class, because the tokenizer's own methods for chat templates call it there.
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
