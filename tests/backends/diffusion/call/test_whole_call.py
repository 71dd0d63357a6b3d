"""Videos and sounds in the forms in which pipelines return them, and what is said of a sound."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from phyt2v_cli.backends.diffusion.call.whole_call import pack, run_whole, sound_of, unpack
from phyt2v_cli.errors import BackendError, FaultyFramesError, LatentsError
from phyt2v_cli.files.sound import Sound

PICTURE = np.full((4, 6, 3), 0.5)
FRAMES = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)


@pytest.mark.parametrize(
    "output",
    [
        {"frames": np.stack([[PICTURE] * 5])},
        {"frames": [np.stack([PICTURE] * 5)]},
        {"frames": [[Image.new("RGB", (6, 4), (128,) * 3)] * 5]},
        {"video": torch.full((5, 3, 4, 6), 0.5), "sound": None},
        {"frames": torch.full((1, 5, 3, 4, 6), 0.5, dtype=torch.bfloat16), "audio": np.zeros((1, 9))},
    ],
)
def test_videos_come_in_many_forms(output):
    frames, heard = run_whole(lambda: output)
    assert (frames.shape, frames.dtype, set(frames.flat)) == ((5, 4, 6, 3), np.uint8, {128})
    assert heard is output.get("audio")


@pytest.mark.parametrize(
    ("heard", "num_channels"),
    [
        (torch.full((1, 2, 9), 0.25, dtype=torch.bfloat16), 2),  # LTX-2
        (np.full((1, 9), 0.25), 1),  # Kandinsky 6
        (torch.full((2, 9), 0.25), 2),  # Cosmos 3
        ([np.full(9, 0.25)], 1),
    ],
)
def test_sounds_come_in_many_forms(heard, num_channels):
    sound, _ = sound_of(pipeline(), heard, video_seconds=0)
    samples = sound.samples
    assert (samples.shape, samples.dtype, set(samples.flat)) == ((num_channels, 9), np.float32, {0.25})


def test_what_is_no_video_is_told():
    with pytest.raises(BackendError, match="holds no video"):
        run_whole(lambda: {"images": np.zeros((4, 6, 3))})
    with pytest.raises(FaultyFramesError):
        run_whole(lambda: {"frames": np.full((1, 2, 4, 6, 3), np.nan)})


def pipeline(rate: int | None = 24000) -> SimpleNamespace:
    # `audio_sampling_rate` is the one of LTX-2's spectrograms, which is not the sound's.
    config = SimpleNamespace(**({} if rate is None else {"output_sampling_rate": rate}))
    return SimpleNamespace(vocoder=SimpleNamespace(config=config), audio_sampling_rate=16000)


@pytest.mark.parametrize(
    ("samples", "rate", "how"),
    [
        (np.ones((2, 24000)), 24000, {"audio": "24000 Hz, 2 channels"}),
        (np.zeros((1, 24000)), 24000, {"audio": "24000 Hz, 1 channel, silent"}),
        (
            np.ones((1, 12000)),
            24000,
            {"audio": "24000 Hz, 1 channel", "sound": "0.5 s, of a video of 1.0 s"},
        ),
        (np.ones((2, 9)), None, {"sound": "left out: the model does not say its sample rate"}),
        (np.ones((2, 2, 9)), 24000, {"sound": "left out: it is no array of samples by channel"}),
        (np.ones((1, 9), np.int16), 24000, {"sound": "left out: it is no array of samples by channel"}),
        ([np.ones(9), np.ones(8)], 24000, {"sound": "left out: it is no array of samples by channel"}),
        (np.full((1, 9), np.inf), 24000, {"sound": "left out: it holds NaN or infinity"}),
        (np.ones((1, 9)), 10, {"sound": "left out: AAC has no sample rate of 10 Hz"}),
    ],
)
def test_what_is_recorded_of_a_sound(samples, rate, how):
    sound, said = sound_of(pipeline(rate), samples, video_seconds=1)
    assert said == how
    assert (sound is None) == ("audio" not in how)
    assert sound is None or sound.sample_rate == 24000


def test_frames_and_sound_are_kept_in_one_array():
    sound = Sound(np.linspace(-1, 1, 18, dtype=np.float32).reshape(2, 9), 24000)
    kept = pack(FRAMES, sound)
    assert (kept.ndim, kept.dtype) == (1, np.uint8)
    frames, again = unpack(kept)
    np.testing.assert_array_equal(frames, FRAMES)
    np.testing.assert_array_equal(again.samples, sound.samples)
    assert again.sample_rate == 24000


def test_frames_alone_are_kept_as_they_are():
    assert pack(FRAMES, None) is FRAMES
    frames, sound = unpack(FRAMES)
    np.testing.assert_array_equal(frames, FRAMES)
    assert sound is None


@pytest.mark.parametrize(
    "kept",
    [
        np.zeros((1, 4, 2, 2, 2), np.float32),
        np.zeros(100, np.uint8),
        pack(FRAMES[..., :2], Sound(np.zeros((1, 9), np.float32), 24000)),
        pack(FRAMES, Sound(np.full((1, 9), np.nan, np.float32), 24000)),
    ],
)
def test_what_another_model_left_is_refused(kept):
    with pytest.raises(LatentsError, match="none of this model's"):
        unpack(kept)
