"""Language models and VLMs of transformers in this process, loaded on first use and shared.

Roles that name the same model with the same dtype and device share one copy. This file knows weights, devices
and memory; it must not know what is asked or how an answer is parsed.
"""

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, GenerationConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
)

from phyt2v_cli.backends.background import model_load_turn
from phyt2v_cli.backends.checkpoints.transformers_folder import LanguageFolder, find_language_model
from phyt2v_cli.backends.failures import first_line, is_out_of_memory, silenced
from phyt2v_cli.backends.local.inputs import ChatInputs, load_chat_inputs
from phyt2v_cli.backends.memory import residency
from phyt2v_cli.backends.memory.cpu_threads import asleep_while_waiting
from phyt2v_cli.backends.memory.device import choose_device
from phyt2v_cli.config.judges import ServiceConfig
from phyt2v_cli.errors import BackendError, ConfigError, ModelLoadError
from phyt2v_cli.turns import Turns

Role = Literal["llm", "captioner", "scorer"]
Result = TypeVar("Result")

_REMEDIES: Mapping[Role, str] = {
    "llm": "Name a smaller model, lower `llm.max_tokens`, or use `llm.device=cpu`.",
    "captioner": "Name a smaller model, lower `captioner.num_frames` or `captioner.max_frame_size`, "
    "or use `captioner.device=cpu`.",
    "scorer": "Name a smaller model, lower `scorer.num_frames` or `scorer.max_frame_size`, "
    "or use `scorer.device=cpu`.",
}


@dataclass(frozen=True)
class Answer:
    """Text that a model generated, its tokens, and the reason why it ended."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    ended_by: Literal["itself", "length", "time"]


class LocalModel:
    """Loaded model with inputs; implements `residency.Holder`. Thread-safe; one call computes at a time."""

    def __init__(self, network: Any, inputs: ChatInputs, label: str, device: torch.device) -> None:
        self.network = network
        """Model of transformers, for inspection."""
        self._label = label
        self._device = device
        self._turns = Turns()
        self.inputs = inputs
        self.num_users = 0
        """Number of roles that hold it by a `ModelHandle`."""
        tensors = (*network.parameters(), *network.buffers())
        self._num_bytes: int = sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    @property
    def device(self) -> torch.device:
        """Device on which it computes."""
        return self._device

    @property
    def num_bytes(self) -> int:
        """Size of its weights in bytes."""
        return self._num_bytes

    def to_device(self) -> None:
        """Move the weights to `device`."""
        self.network.to(self._device)

    def to_cpu(self) -> None:
        """Move the weights to the CPU."""
        self.network.to("cpu")

    def write(
        self,
        inputs: Mapping[str, Any],
        *,
        role: Role,
        max_new_tokens: int,
        max_time: float,
        logits_processor: Sequence[Any] = (),
    ) -> Answer:
        """Generate an answer by greedy decoding, after `logits_processor`.

        It ends after `max_new_tokens` tokens or `max_time` seconds. Raises BackendError if the model fails or
        memory runs out.
        """
        output = self._generate(
            inputs,
            role,
            max_new_tokens=max_new_tokens,
            max_time=max_time,
            logits_processor=list(logits_processor),
        )
        num_read = inputs["input_ids"].shape[-1]
        written = output.sequences[0, num_read:].tolist()
        ends = self.network.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        text = self.inputs.tokenizer.decode(written, skip_special_tokens=True)
        ended_by: Literal["itself", "length", "time"] = "time"
        if written and written[-1] in ends:
            ended_by = "itself"
        elif len(written) >= max_new_tokens:
            ended_by = "length"
        return Answer(text, num_read, len(written), ended_by)

    def first_token_logits(self, inputs: Mapping[str, Any], *, role: Role) -> torch.Tensor:
        """Raw logits of the answer's first token: float32, shape (vocabulary,), on the CPU.

        Raises BackendError as `write` does, and if a logit is NaN.
        """
        output = self._generate(inputs, role, max_new_tokens=1, output_logits=True)
        logits: torch.Tensor = output.logits[0][0].float().cpu()
        if logits.isnan().any():
            raise BackendError(
                f"{self._label} computes no numbers in {_name_of(self.network.dtype)}.",
                f"Use `{role}.dtype=bfloat16`, or float32.",
            )
        return logits

    def _generate(self, inputs: Mapping[str, Any], role: Role, **options: Any) -> Any:
        def compute() -> Any:
            with self._turns.taken(), asleep_while_waiting(self._device), torch.inference_mode():
                return self.network.generate(
                    **self._placed(inputs), do_sample=False, return_dict_in_generate=True, **options
                )

        with _failures_translated(self._label, role):
            return self._with_room(compute)

    def _placed(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        placed = {
            name: value.to(self._device, self.network.dtype if value.is_floating_point() else value.dtype)
            for name, value in inputs.items()
            if isinstance(value, torch.Tensor)
        }
        # Many tokenizers always return it, and networks without that parameter raise.
        if "token_type_ids" not in inspect.signature(self.network.forward).parameters:
            placed.pop("token_type_ids", None)
        return placed

    def _with_room(self, compute: Callable[[], Result]) -> Result:
        """Compute on the device; after an out-of-memory error, retry once with the whole device."""
        # An estimate for attention, activations and the KV cache.
        spare_bytes = 2 * 1024**3 + self._num_bytes // 5
        try:
            with residency.on_device(self, spare_bytes=spare_bytes):
                return compute()
        except Exception as error:
            if self._device.type == "cpu" or not is_out_of_memory(error):
                raise
        with residency.on_device(self, spare_bytes=residency.WHOLE_DEVICE):
            return compute()


_KEPT = (
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "decoder_start_token_id",
    "repetition_penalty",
    "suppress_tokens",
    "begin_suppress_tokens",
)

_Key = tuple[str, str, str, str]
_loaded: dict[_Key, LocalModel] = {}
_found: dict[str, LanguageFolder] = {}
"""Folder of each name that a loaded model was found by. A branch of the hub may move while a run goes on, and
its roles must not get two models for one name."""
_registry_turn = threading.Lock()


def load(config: ServiceConfig, *, role: Role) -> LocalModel:
    """Load the model that `config` names, or take it from this process's cache of loaded models.

    A name is resolved once, and means the same weights for as long as these are loaded.
    Captioners and scorers need a model that takes images. Raises ConfigError if no model is named or the
    device is missing; ModelLoadError if the model is missing, broken, unsafe or of the wrong kind; and
    BackendError if memory runs out.
    """
    name = model_name(config, role)
    with model_load_turn:
        folder = _found.get(name) or find_language_model(name)
        device = choose_device(config.device, role)
        # float32 on a CPU, where half precision is slower; on a GPU the published dtype.
        dtype = config.dtype if config.dtype != "auto" else "float32" if device.type == "cpu" else "auto"
        key = (folder.source, folder.revision, dtype, device.type)
        if key not in _loaded:
            _loaded[key] = _load(folder, role, dtype, device)
        model = _loaded[key]
        _found[name] = folder
    if role != "llm" and not model.inputs.sees_images:
        raise _no_images(folder)
    return model


def loaded_models() -> tuple[LocalModel, ...]:
    """Models in this process's cache."""
    return tuple(_loaded.values())


class ModelHandle:
    """Counted reference of a role to a shared local model.

    The model is loaded on first use. It is freed when the last role that uses it is closed.
    """

    def __init__(self, config: ServiceConfig, role: Role) -> None:
        """Set the config and the role; nothing is loaded yet. Raises ConfigError if no model is named."""
        model_name(config, role)
        self._config = config
        self._role: Role = role
        self._model: LocalModel | None = None
        self._turn = threading.Lock()

    def get(self) -> LocalModel:
        """Get the model, loaded on the first call; raises what `load` raises."""
        with self._turn:
            if self._model is None:
                self._model = load(self._config, role=self._role)
                with _registry_turn:
                    self._model.num_users += 1
            return self._model

    def close(self) -> None:
        """Release the model; the last role to do so frees its memory. Closing twice does nothing."""
        with self._turn:
            model, self._model = self._model, None
        if model is None:
            return
        with _registry_turn:
            model.num_users -= 1
            is_unused = model.num_users == 0
            for key in [key for key, loaded in _loaded.items() if is_unused and loaded is model]:
                del _loaded[key]
            kept = {key[:2] for key in _loaded}
            for name in [name for name, at in _found.items() if (at.source, at.revision) not in kept]:
                del _found[name]
        if is_unused:
            residency.forget(model)


def model_name(config: ServiceConfig, role: Role) -> str:
    """Model that `config` names; raise ConfigError if none is set."""
    if config.model is None:
        raise ConfigError(f"{role}.model: none is set", "Give a local folder or a hub id of a model.")
    return config.model


def _load(folder: LanguageFolder, role: Role, dtype: str, device: torch.device) -> LocalModel:
    options: dict[str, Any] = {"revision": folder.revision, "trust_remote_code": False}
    with silenced(transformers), _failures_translated(folder.source, role, loading=True):
        config = AutoConfig.from_pretrained(folder.source, **options)
        sees_images = type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
        if not sees_images and role != "llm":
            raise _no_images(folder)
        if not sees_images and type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
            raise ModelLoadError(
                f"{folder.source} ({folder.model_type}) is no model that answers in text.", "Name another."
            )
        inputs = load_chat_inputs(folder.source, config=config, sees_images=sees_images, **options)
        auto_class = AutoModelForImageTextToText if sees_images else AutoModelForCausalLM
        network, report = auto_class.from_pretrained(
            folder.source,
            config=config,
            dtype=dtype if dtype == "auto" else getattr(torch, dtype),
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    if lacking := sorted(report["missing_keys"]):
        # transformers fills them with random numbers and goes on.
        raise ModelLoadError(
            f"{folder.source} lacks {len(lacking)} of its weights, {lacking[0]} for one.",
            "Fetch the model again, or name another.",
        )
    network.generation_config = _kept_settings(network.generation_config)
    return LocalModel(network.eval().requires_grad_(False), inputs, folder.source, device)


def _kept_settings(published: GenerationConfig) -> GenerationConfig:
    """Settings of a published generation config that shape one greedy answer.

    The others, such as a number of beams or of answers, could ask for any time and memory.
    """
    return GenerationConfig(**{name: getattr(published, name, None) for name in _KEPT})


@contextmanager
def _failures_translated(label: str, role: Role, *, loading: bool = False) -> Iterator[None]:
    """Translate errors of transformers and torch, of a dozen types, to BackendError or ModelLoadError."""
    try:
        yield
    except BackendError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise BackendError(
                f"Out of memory with {label} as {role}: {first_line(error)}.", _REMEDIES[role]
            ) from error
        if not loading:
            raise BackendError(f"{label} failed as {role}: {first_line(error)}.") from error
        remedy = "Install what is missing" if isinstance(error, ImportError) else "Fetch the model again"
        raise ModelLoadError(
            f"{label} cannot be loaded: {first_line(error)}.", f"{remedy}, or name another."
        ) from error


def _no_images(folder: LanguageFolder) -> ModelLoadError:
    return ModelLoadError(
        f"{folder.source} ({folder.model_type}) cannot be shown pictures, so it can neither caption nor "
        "score a video.",
        "Name a model that takes images and text.",
    )


def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
