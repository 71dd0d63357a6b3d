"""Scorer by surprise: how far a video model of transformers (V-JEPA 2) is from predicting the next frames.

The model does not see the prompt, so there is no semantic adherence. Its surprise depends on the model, the
frames and the kind of scene; it becomes a score only by `scorer.scale`, which somebody has measured. This
file must not know questions or language models.
"""

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from torch.nn import functional

from phyt2v_cli.backends.background import model_load_turn
from phyt2v_cli.backends.checkpoints.transformers_folder import find_language_model
from phyt2v_cli.backends.failures import silenced, translated
from phyt2v_cli.backends.local.models import model_name
from phyt2v_cli.backends.memory import residency
from phyt2v_cli.backends.memory.cpu_threads import asleep_while_waiting
from phyt2v_cli.backends.memory.device import choose_device
from phyt2v_cli.config.judges import ScorerConfig
from phyt2v_cli.errors import ModelLoadError
from phyt2v_cli.files.video import Frames, sample_frames
from phyt2v_cli.roles import Scores
from phyt2v_cli.turns import Turns

MODEL_TYPE = "vjepa2"

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Normalization of the published image processor: that of ImageNet."""
_UNCROPPED = 256 / 224
"""Shortest side of a frame before it is cropped, in parts of the crop, as published."""
_SPARE_BYTES = 2 * 1024**3
"""Estimate for activations."""


class SurpriseModel:
    """Loaded model; implements `residency.Holder`. Thread-safe; one call computes at a time."""

    def __init__(self, network: Any, device: torch.device) -> None:
        self.network = network
        """Model of transformers, for inspection."""
        self._device = device
        self._turns = Turns()
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

    def surprise(self, frames: Frames) -> float:
        """Mean of 1 - cosine between predicted and seen tokens, from 0 (as predicted) to 2.

        `frames`: uint8 (num_frames, height, width, 3), evenly spread. From the middle on, the predictor is
        shown all frames before a pair (a tubelet), and predicts the tokens of that pair. They are compared
        with those that the encoder finds with the whole video before it. Raises BackendError if the model
        fails or memory runs out.
        """
        config = self.network.config
        shown = prepared(frames, config.crop_size).to(self._device, self.network.dtype)
        tubelet, num_positions = config.tubelet_size, len(frames) // config.tubelet_size
        num_tokens = (config.crop_size // config.patch_size) ** 2
        with (
            translated("judging how surprising a video is"),
            residency.on_device(self, spare_bytes=_SPARE_BYTES),
            self._turns.taken(),
            asleep_while_waiting(self._device),
            torch.inference_mode(),
        ):
            seen = self.network(shown[None], skip_predictor=True).last_hidden_state
            # As in training, the predictor's targets are normalized.
            seen = functional.layer_norm(seen.float(), seen.shape[-1:])
            distances = []
            for position in range(num_positions // 2, num_positions):
                # The frames to come are kept from the encoder too, which would look at them.
                known = self.network(shown[None, : position * tubelet], skip_predictor=True).last_hidden_state
                start = position * num_tokens
                context = torch.arange(start, device=self._device)[None]
                target = torch.arange(start, start + num_tokens, device=self._device)[None]
                predicted = self.network.predictor(
                    encoder_hidden_states=known, context_mask=[context], target_mask=[target]
                ).last_hidden_state
                actual = seen[:, start : start + num_tokens]
                distances.append(1 - functional.cosine_similarity(predicted.float(), actual, dim=-1).mean())
            return float(torch.stack(distances).mean())


def prepared(frames: Frames, crop_size: int) -> torch.Tensor:
    """Frames as the model takes them: scaled, cropped around the center, normalized.

    Returns float32 (num_frames, 3, crop_size, crop_size).
    """
    height, width = frames.shape[1:3]
    factor = int(crop_size * _UNCROPPED) / min(height, width)
    size = (max(round(width * factor), crop_size), max(round(height * factor), crop_size))
    left, top = ((side - crop_size) // 2 for side in size)
    box = (left, top, left + crop_size, top + crop_size)
    cropped = [
        np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR).crop(box))
        for frame in frames
    ]
    pixels = torch.from_numpy(np.stack(cropped)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _STD))
    return (pixels - mean) / std


class SurpriseScorer:
    """Scorer on a video model in this process; implements `roles.VideoScorer`. It gives PC only."""

    def __init__(self, config: ScorerConfig) -> None:
        """Set the model; it is loaded for the first video. Raises ConfigError if none is named."""
        self._config = config
        self._name = config.name or f"surprise:{Path(model_name(config, 'scorer')).name}"
        self._model: SurpriseModel | None = None
        self._turn = Lock()

    @property
    def name(self) -> str:
        """Key of this scorer in the record."""
        return self._name

    def close(self) -> None:
        """Free the model's memory. Closing twice does nothing."""
        with self._turn:
            model, self._model = self._model, None
        if model is not None:
            residency.forget(model)

    def score(self, video_path: Path, prompt: str) -> Scores:  # noqa: ARG002  it is blind to the prompt
        """Physical commonsense by the surprise of the frames, on `scorer.scale`; None without a scale.

        Raises ModelLoadError if the model cannot be loaded, ConfigError if the device is missing,
        BackendError if it fails, and VideoError if the video is missing or broken.
        """
        model = self._get()
        # Two positions at least: one to be known, one to be predicted.
        tubelet = model.network.config.tubelet_size
        num_frames = max(self._config.num_frames // tubelet, 2) * tubelet
        surprise = model.surprise(sample_frames(video_path, num_frames))
        told = f"PC: surprise {surprise:.4f}"
        if self._config.scale is None:
            return Scores(None, None, (_BLIND, f"{told}; without scorer.scale it is no score"))
        best, worst = self._config.scale
        score = min(max((worst - surprise) / (worst - best), 0.0), 1.0)
        return Scores(
            None, round(score, 4), (_BLIND, f"{told}, where {best:g} scores 1 and {worst:g} scores 0")
        )

    def _get(self) -> SurpriseModel:
        with self._turn:
            if self._model is None:
                self._model = load(self._config)
            return self._model


_BLIND = "SA: this judge does not see the prompt"


def load(config: ScorerConfig) -> SurpriseModel:
    """Load the model that `config` names.

    Raises ConfigError if no model is named or the device is missing; ModelLoadError if the model is missing,
    broken, unsafe or of another kind; and BackendError if memory runs out.
    """
    with model_load_turn:
        folder = find_language_model(model_name(config, "scorer"))
        if folder.model_type != MODEL_TYPE:
            raise ModelLoadError(
                f"{folder.source} ({folder.model_type}) does not predict frames.",
                f"Name a model of the type {MODEL_TYPE}.",
            )
        device = choose_device(config.device, "scorer")
        dtype = config.dtype if config.dtype != "auto" else "float32" if device.type == "cpu" else "auto"
        with silenced(transformers), translated(f"loading {folder.source}", raised=ModelLoadError):
            network, report = transformers.VJEPA2Model.from_pretrained(
                folder.source,
                revision=folder.revision,
                dtype=dtype if dtype == "auto" else getattr(torch, dtype),
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    if lacking := sorted(report["missing_keys"]):
        # transformers fills them with random numbers and goes on.
        raise ModelLoadError(
            f"{folder.source} lacks {len(lacking)} of its weights, {lacking[0]} for one.",
            "Fetch the model again, or name another.",
        )
    return SurpriseModel(network.eval().requires_grad_(False), device)
