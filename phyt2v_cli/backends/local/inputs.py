"""Tokenizer, chat template and image processor of a language model or VLM.

This file knows transformers' processors. It must not know weights, devices, roles or what is asked.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from jinja2 import TemplateError
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, processor_class_from_name
from transformers.processing_utils import ProcessorMixin

from phyt2v_cli.backends.checkpoints.template_check import check_template
from phyt2v_cli.backends.failures import first_line
from phyt2v_cli.errors import BackendError, ModelLoadError
from phyt2v_cli.quantities import count
from phyt2v_cli.roles import Message, without_system


class ChatInputs:
    """Encoder of chat messages, and of images beside the first of them, for one model."""

    def __init__(self, reader: Any, label: str, max_context: int | None) -> None:
        """Wrap `reader`: a processor of transformers if the model takes images, else a tokenizer.

        `label` names the model in errors; `max_context` is its context length in tokens. Raises
        ModelLoadError if there is no chat template.
        """
        self._reader = reader
        self._label = label
        self._max_context = max_context
        self.sees_images = isinstance(reader, ProcessorMixin)
        self.tokenizer: Any = reader.tokenizer if self.sees_images else reader
        special = {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        # transformers' own `sanitize_control_tokens` removes tokens that some processors need.
        self._control_tokens = re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))))
        if reader.chat_template is None:
            raise ModelLoadError(
                f"{label} has no chat template, so it cannot be talked to.",
                "Name a model tuned for chat (often the one whose name ends in Instruct or Chat).",
            )
        check_template(reader.chat_template, self.tokenizer.special_tokens_map, label)

    def encode(
        self, messages: Sequence[Message], images: Sequence[Image.Image] = (), *, max_new_tokens: int = 1
    ) -> tuple[dict[str, Any], int]:
        """Encode a conversation; return the model's inputs and its limit for new tokens.

        The inputs are tensors of batch size 1, with `input_ids` of shape (1, num_tokens). The limit is
        `max_new_tokens`, or less if the context has less room. Control tokens in the text are escaped with a
        space, so that they are read as text. A system message that the template refuses or drops is put
        before the first user message. Raises BackendError if the template or the processor fails, or the
        conversation does not fit into the context.
        """
        messages = [Message(message.role, self._defuse(message.content)) for message in messages]
        try:
            if not self._keeps_system(messages):
                messages = without_system(messages)
            inputs = self._reader.apply_chat_template(
                self._conversation(messages, images),
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        except Exception as error:  # templates and processors raise whatever they like
            shown = f"{count(len(images), 'picture')} and a text" if images else "this conversation"
            raise BackendError(
                f"{self._label} cannot read {shown}: {first_line(error)}.", "Name another model."
            ) from error
        num_tokens = inputs["input_ids"].shape[-1]
        if self._max_context is None:
            return dict(inputs), max_new_tokens
        if num_tokens >= self._max_context:
            remedy = "Show it fewer or smaller frames" if images else "Shorten the prompt"
            raise BackendError(
                f"{self._label} reads at most {self._max_context} tokens, and is asked to read {num_tokens}.",
                f"{remedy}, or name a model with a longer context.",
            )
        return dict(inputs), min(max_new_tokens, self._max_context - num_tokens)

    def _conversation(self, messages: Sequence[Message], images: Sequence[Image.Image] = ()) -> list[Any]:
        if not self.sees_images:
            return [{"role": message.role, "content": message.content} for message in messages]
        # Templates of processors expect a list of parts; some render nothing for a plain text.
        conversation: list[Any] = [
            {"role": message.role, "content": [{"type": "text", "text": message.content}]}
            for message in messages
        ]
        conversation[0]["content"][:0] = [{"type": "image", "image": image} for image in images]
        return conversation

    def _defuse(self, text: str) -> str:
        if not self._control_tokens.pattern:
            return text
        return self._control_tokens.sub(lambda token: f"{token[0][0]} {token[0][1:]}", text)

    def _keeps_system(self, messages: Sequence[Message]) -> bool:
        if messages[0].role != "system":
            return True
        try:
            text = self._reader.apply_chat_template(
                self._conversation(messages), add_generation_prompt=True, tokenize=False
            )
        except TemplateError:
            return False
        return messages[0].content.strip() in text


def load_chat_inputs(source: str, *, config: Any, sees_images: bool, **options: Any) -> ChatInputs:
    """Load a model's tokenizer, and its processor if it `sees_images`; `options` go to `from_pretrained`.

    Raises ModelLoadError if there is no chat template or no processor that can be used, and what transformers
    raises.
    """
    tokenizer = AutoTokenizer.from_pretrained(source, **options)
    reader = _load_processor(source, config, tokenizer, options) if sees_images else tokenizer
    max_context = getattr(config.get_text_config(), "max_position_embeddings", None)
    return ChatInputs(reader, source, max_context)


def _load_processor(source: str, config: Any, tokenizer: Any, options: dict[str, Any]) -> Any:
    """Load a processor part by part, because `AutoProcessor` needs torchvision for the videos of most models.

    Images are always prepared with Pillow, so that a score does not depend on the installed packages.
    """
    processor_class = PROCESSOR_MAPPING.get(type(config), None)
    processor_config, _ = (processor_class or ProcessorMixin).get_processor_dict(source, **options)
    if "processor_class" in processor_config:
        processor_class = processor_class_from_name(processor_config["processor_class"]) or processor_class
    if processor_class is None:
        raise ModelLoadError(f"{source} has no processor that transformers knows.", "Name another model.")
    parts: dict[str, Callable[[], Any]] = {
        "tokenizer": lambda: tokenizer,
        "image_processor": lambda: AutoImageProcessor.from_pretrained(source, backend="pil", **options),
        "video_processor": _NoVideoProcessor,
    }
    attributes = processor_class.get_attributes()
    if unknown := set(attributes) - parts.keys():
        raise ModelLoadError(
            f"{source} needs a {', '.join(sorted(unknown))} to be asked anything.", "Name another model."
        )
    # A processor checks the classes of its parts, and those for videos do not exist without torchvision.
    lenient = {"check_argument_for_proper_class": lambda *_: None}
    lenient_class: Any = type(processor_class.__name__, (processor_class,), lenient)
    return lenient_class.from_args_and_dict([parts[name]() for name in attributes], processor_config)


class _NoVideoProcessor(dict[str, Any]):
    """Placeholder for a video processor, since only images are used; a dict, so that it prints as JSON."""

    num_frames = None
    fps = None
    model_input_names = ()
