"""Sound of a video: its AAC track in an mp4, written, read and checked. Knows no model and no run.

Equal samples give equal bytes: FFmpeg's own encoder, no date, a fixed bit rate.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phyt2v_cli.errors import VideoError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from av.container import OutputContainer

_LAYOUTS = {1: "mono", 2: "stereo"}
_SAMPLE_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
"""Sample rates of AAC, in Hz."""
_BIT_RATE = 128_000
"""Bits per second of one channel."""
_FRAME = 1024
"""Samples that AAC encodes together."""


@dataclass(frozen=True, eq=False)
class Sound:
    """Sound of a video."""

    samples: "npt.NDArray[np.float32]"
    """Amplitudes from -1 to 1, float32 (num_channels, num_samples)."""
    sample_rate: int
    """Samples per second of a channel."""

    @property
    def seconds(self) -> float:
        """Length in s."""
        return float(self.samples.shape[1] / self.sample_rate)

    @property
    def is_silent(self) -> bool:
        """Whether every sample is 0."""
        return not self.samples.any()


def why_not_storable(sound: Sound) -> str:
    """Say why a sound cannot be a track of an mp4; empty if it can."""
    import numpy as np

    num_channels, num_samples = sound.samples.shape
    if num_samples == 0:
        return "it has no samples"
    if num_channels not in _LAYOUTS:
        return f"{num_channels} channels, and only one or two are stored"
    if sound.sample_rate not in _SAMPLE_RATES:
        return f"AAC has no sample rate of {sound.sample_rate} Hz"
    return "" if np.isfinite(sound.samples).all() else "it holds NaN or infinity"


def cut(sound: Sound, seconds: Fraction) -> Sound:
    """Cut what goes on after `seconds`; a shorter sound stays as it is."""
    num_samples = round(seconds * sound.sample_rate)
    return replace(sound, samples=sound.samples[:, :num_samples])


def mux_sound(file: "OutputContainer", sound: Sound) -> None:
    """Encode a sound into a file whose other tracks are there, but empty; it clips what is louder than 1."""
    import av
    import numpy as np

    layout = _LAYOUTS[len(sound.samples)]
    stream: Any = file.add_stream("aac", rate=sound.sample_rate, options={"flags": "+bitexact"})
    stream.codec_context.layout = layout
    stream.bit_rate = _BIT_RATE * len(sound.samples)
    samples = sound.samples.clip(-1, 1).astype(np.float32)
    for start in range(0, samples.shape[1], _FRAME):
        block = np.ascontiguousarray(samples[:, start : start + _FRAME])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base = sound.sample_rate, Fraction(1, sound.sample_rate)
        frame.pts = start  # without it the encoder's delay is heard
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def read_sound(path: Path) -> Sound | None:
    """Decode the sound of an mp4; None if it has none. Raises VideoError if it is broken."""
    import av
    import numpy as np

    try:
        with path.open("rb") as content, av.open(content, "r", format="mp4") as file:
            if not file.streams.audio:
                return None
            stream = file.streams.audio[0]
            blocks = [np.asarray(frame.to_ndarray(), np.float32) for frame in file.decode(stream)]
            return Sound(np.concatenate(blocks, axis=1), stream.codec_context.sample_rate)
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(f"The sound of {path} cannot be read: {error}") from error


def is_same(stored: Sound | None, sound: Sound | None) -> bool:
    """Check if a sound is there as it was stored: as many channels, of the same rate and length.

    The samples are not compared, because AAC does not keep them.
    """
    if stored is None or sound is None:
        return stored is sound
    excess = stored.samples.shape[1] - sound.samples.shape[1]
    return (
        len(stored.samples) == len(sound.samples)
        and stored.sample_rate == sound.sample_rate
        and 0 <= excess < 2 * _FRAME
    )
