"""A pipeline's call in one piece: its frames, and its sound if it makes one, kept in place of latents.

For pipelines that cannot be split at their autoencoder. This file must not know families or prompts.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from phyt2v_cli.errors import BackendError, FaultyFramesError, LatentsError
from phyt2v_cli.files.sound import Sound, why_not_storable
from phyt2v_cli.files.video import Frames
from phyt2v_cli.quantities import count
from phyt2v_cli.roles import HowItRan, Latents

_FRAMES_NAMES = ("frames", "video", "videos", "images")
"""Names of the frames in the outputs of pipelines."""
_SOUND_NAMES = ("audio", "sound")
_RATES = (
    ("vocoder", "config", "output_sampling_rate"),
    ("audio_sample_rate",),
    ("sound_tokenizer", "config", "sampling_rate"),
)
"""Where pipelines say the sample rate of their sound. Others, such as `audio_sampling_rate`, are those of
spectrograms."""
_MAX_SECONDS_OFF = 0.25
"""A sound is rounded to whole latents, which are tens of ms each."""


def run_whole(call: Callable[[], Any]) -> tuple[Frames, Any]:
    """Run `call`, which calls the pipeline, to its end: frames, and the sound as it is there, or None.

    The frames are uint8 (num_frames, height, width, 3). Raises what `call` raises, BackendError if its output
    holds no video, and FaultyFramesError if the frames are not finite.
    """
    output = call()
    found = next((output[name] for name in _FRAMES_NAMES if output.get(name) is not None), None)
    frames = _as_array(found)
    while frames.ndim > 4 and len(frames) == 1:  # the only video of the batch
        frames = frames[0]
    if frames.ndim != 4:
        raise BackendError(f"{type(output).__name__} holds no video.", "Name another model.")
    if frames.shape[-1] != 3:  # channels first, as tensors have them
        frames = frames.transpose(0, 2, 3, 1)
    if frames.dtype != np.uint8:
        if not np.isfinite(frames).all():
            raise FaultyFramesError("The pipeline's frames hold NaN or infinity")
        frames = (frames.clip(0, 1) * 255).round().astype(np.uint8)
    heard = next((output[name] for name in _SOUND_NAMES if output.get(name) is not None), None)
    return np.ascontiguousarray(frames), heard


def _as_array(found: Any) -> npt.NDArray[Any]:
    if isinstance(found, torch.Tensor):
        return found.float().cpu().numpy()
    # A list has a video for each prompt, or the frames of one; pictures become arrays.
    return np.stack([_as_array(item) for item in found]) if isinstance(found, list) else np.asarray(found)


def sound_of(pipeline: Any, heard: Any, *, video_seconds: float) -> tuple[Sound | None, HowItRan]:
    """Sound that a pipeline returned, with what to record of it; None, with the reason, if it is left out.

    It never raises: the video is there without it too.
    """
    rate = next((found for path in _RATES if (found := _look_up(pipeline, path))), None)
    if rate is None:
        return None, {"sound": "left out: the model does not say its sample rate"}
    samples = _samples_of(heard)
    if samples is None:
        return None, {"sound": "left out: it is no array of samples by channel"}
    sound = Sound(samples, rate)
    if why := why_not_storable(sound):
        return None, {"sound": f"left out: {why}"}
    silent = ", silent" if sound.is_silent else ""
    how = {"audio": f"{rate} Hz, {count(len(samples), 'channel')}{silent}"}
    if abs(sound.seconds - video_seconds) > _MAX_SECONDS_OFF:
        how["sound"] = f"{sound.seconds:.1f} s, of a video of {video_seconds:.1f} s"
    return sound, how


def _samples_of(heard: Any) -> npt.NDArray[np.float32] | None:
    """Samples of a sound, float32 (num_channels, num_samples); None if it has no such form."""
    try:
        samples = np.atleast_2d(_as_array(heard))
    except (ValueError, TypeError):  # arrays of several lengths
        return None
    while samples.ndim > 2 and len(samples) == 1:  # the only sound of the batch
        samples = samples[0]
    is_sound = samples.ndim == 2 and np.issubdtype(samples.dtype, np.floating)
    return samples.astype(np.float32) if is_sound else None


def _look_up(pipeline: Any, path: tuple[str, ...]) -> int | None:
    found = pipeline
    for name in path:
        found = getattr(found, name, None)
    return int(found) if isinstance(found, int | float) and found > 0 else None


def pack(frames: Frames, sound: Sound | None) -> Latents:
    """Put frames and sound into one array, to be kept in place of latents."""
    from safetensors.numpy import save

    if sound is None:
        return frames
    rate = np.array([sound.sample_rate], np.int32)
    packed = save({"frames": frames, "samples": np.ascontiguousarray(sound.samples), "sample_rate": rate})
    return np.frombuffer(packed, np.uint8)


def unpack(kept: Latents) -> tuple[Frames, Sound | None]:
    """Undo `pack`; raises LatentsError if the array is none of its results."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if kept.dtype == np.uint8 and kept.shape[3:] == (3,):
        return kept.astype(np.uint8, copy=False), None
    try:
        if kept.dtype != np.uint8 or kept.ndim != 1:
            raise ValueError(f"an array of {kept.dtype}, {kept.shape}")
        parts = load(kept.tobytes())
        frames, samples, rate = parts["frames"], parts["samples"], int(parts["sample_rate"][0])
        sound = Sound(samples, rate)
        if frames.dtype != np.uint8 or frames.shape[3:] != (3,) or why_not_storable(sound):
            raise ValueError("no frames and sound")
    except (SafetensorError, LookupError, ValueError, TypeError) as error:
        raise LatentsError("The latents are none of this model's.") from error
    return frames, sound
