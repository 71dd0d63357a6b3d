"""Sound of a video: whole, in time with the frames, equal for equal runs, and said if it is not there."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from phyt2v_cli.errors import VideoError
from phyt2v_cli.files import sound as sound_module
from phyt2v_cli.files.sound import Sound, cut, is_same, read_sound, why_not_storable
from phyt2v_cli.files.video import VideoMetadata, read_frames, read_video, seconds_of, write_video
from tests.files.test_video import moving_square

METADATA = VideoMetadata("a ball drops", seed=7, steps=20, round=1)
FPS = 12
NUM_FRAMES = 18


def tone(seconds: float = NUM_FRAMES / FPS, rate: int = 24000, num_channels: int = 2) -> Sound:
    """Tones that swell, so that no two moments sound alike."""
    time = np.arange(round(seconds * rate)) / rate
    pitches = [np.sin(2 * np.pi * pitch * time) * time / 3 for pitch in (440, 300)]
    return Sound(np.stack(pitches[:num_channels]).astype(np.float32), rate)


def write(path: Path, sound: Sound | None) -> str:
    return write_video(path, moving_square(NUM_FRAMES), fps=FPS, metadata=METADATA, sound=sound)


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("rate", [16000, 24000, 44100, 48000])
def test_what_is_written_is_heard_at_the_same_moment(rate: int, num_channels: int, tmp_path: Path) -> None:
    sound = tone(rate=rate, num_channels=num_channels)
    write(tmp_path / "a.mp4", sound)
    heard = read_sound(tmp_path / "a.mp4")
    assert heard is not None
    assert (heard.sample_rate, len(heard.samples)) == (rate, num_channels)
    num_samples = sound.samples.shape[1]

    def error_at(lag: int) -> float:
        shifted = heard.samples[:, 2000 + lag : num_samples - 2000 + lag]
        return float(np.square(shifted - sound.samples[:, 2000:-2000]).mean())

    errors = {lag: error_at(lag) for lag in (-1024, -2, -1, 0, 1, 2, 1024)}
    assert min(errors, key=errors.__getitem__) == 0
    assert errors[0] < 0.01 * np.square(sound.samples).mean()


def test_the_frames_and_what_is_said_of_them_are_those_without_sound(tmp_path: Path) -> None:
    loud, silent = tmp_path / "loud.mp4", tmp_path / "silent.mp4"
    write(loud, tone())
    write(silent, None)
    np.testing.assert_array_equal(read_frames(loud), read_frames(silent))
    assert read_video(loud)[1] == METADATA
    assert seconds_of(loud) == seconds_of(silent) == NUM_FRAMES / FPS
    assert read_sound(silent) is None


def test_equal_sounds_give_equal_bytes_in_another_process_too(tmp_path: Path) -> None:
    digests = {write(tmp_path / "a.mp4", tone()), write(tmp_path / "b.mp4", tone())}
    assert len(digests) == 1
    code = (
        "import sys; from pathlib import Path; from tests.files.test_sound import tone, write;"
        "print(write(Path(sys.argv[1]), tone()))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "c.mp4")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert {other.stdout.strip()} == digests
    assert write(tmp_path / "d.mp4", Sound(-tone().samples, 24000)) not in digests


def test_what_goes_on_after_the_last_frame_is_cut_off(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", tone(seconds=4))
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert file.duration == pytest.approx(1e6 * NUM_FRAMES / FPS, abs=2000)
    assert cut(tone(seconds=1), Fraction(3)).seconds == 1  # nothing is put behind a shorter one
    write(tmp_path / "b.mp4", tone(seconds=0.5))
    heard = read_sound(tmp_path / "b.mp4")
    assert heard is not None
    assert 0.5 <= heard.seconds < 0.6


def test_silence_is_kept_and_too_loud_is_clipped(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", Sound(np.zeros((1, 24000), np.float32), 24000))
    heard = read_sound(tmp_path / "a.mp4")
    assert heard is not None
    assert heard.is_silent
    write(tmp_path / "b.mp4", Sound(tone().samples * 100, 24000))
    heard = read_sound(tmp_path / "b.mp4")
    assert heard is not None
    assert 0.9 < np.abs(heard.samples).max() < 1.5


@pytest.mark.parametrize(
    ("samples", "rate", "said"),
    [
        (np.zeros((2, 0)), 24000, "it has no samples"),
        (np.zeros((3, 9)), 24000, "3 channels, and only one or two are stored"),
        (np.zeros((1, 9)), 17000, "AAC has no sample rate of 17000 Hz"),
        (np.array([[0, np.nan]]), 24000, "it holds NaN or infinity"),
        (np.zeros((1, 9)), 24000, ""),
    ],
)
def test_what_cannot_be_stored_is_said(samples: np.ndarray, rate: int, said: str) -> None:
    assert why_not_storable(Sound(samples.astype(np.float32), rate)) == said


def test_a_video_whose_sound_got_lost_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mp4"
    original = sound_module.mux_sound
    half = lambda file, sound: original(file, cut(sound, Fraction(1, 2)))  # noqa: E731
    monkeypatch.setattr("phyt2v_cli.files.video.mux_sound", half)
    with pytest.raises(VideoError, match="its sound was not read back as written"):
        write(path, tone())
    monkeypatch.setattr("phyt2v_cli.files.video.mux_sound", lambda *_: None)
    with pytest.raises(VideoError, match="its sound was not read back as written"):
        write(path, tone())
    assert list(tmp_path.iterdir()) == []


def test_a_sound_is_compared_by_what_aac_keeps() -> None:
    sound = tone()
    assert is_same(sound, sound)
    assert is_same(None, None)
    assert not is_same(sound, None)
    assert not is_same(Sound(sound.samples[:1], 24000), sound)
    assert not is_same(Sound(sound.samples, 48000), sound)
    assert not is_same(Sound(sound.samples[:, :-1], 24000), sound)


def test_a_broken_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(json.dumps({"no": "mp4"}).encode())
    with pytest.raises(VideoError, match="cannot be read"):
        read_sound(path)
