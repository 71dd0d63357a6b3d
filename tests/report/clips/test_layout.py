"""The layout of a clip: sizes, places and the common clock."""

import pytest

from phyt2v_cli.report.clips.layout import MAX_WIDTH, fit, frame_times, grid_columns, lay_out


@pytest.mark.parametrize(
    ("num_videos", "columns"), [(2, 2), (3, 3), (4, 2), (5, 3), (6, 3), (7, 4), (8, 4), (9, 3), (17, 5)]
)
def test_a_grid_is_about_as_wide_as_high(num_videos: int, columns: int) -> None:
    assert grid_columns(num_videos) == columns


def test_small_videos_are_enlarged_by_a_whole_number_and_large_ones_fit() -> None:
    small = lay_out([(64, 48), (64, 64)], 2, num_lines=1, num_frames=8)
    assert small.cell == (320, 320)
    large = lay_out([(1280, 720)] * 2, 2, num_lines=2, num_frames=100)
    assert large.size[0] <= MAX_WIDTH
    assert large.cell[0] / large.cell[1] == pytest.approx(1280 / 720, rel=0.01)
    long = lay_out([(1280, 720)] * 4, 2, num_lines=1, num_frames=10_000)
    assert 3 * 10_000 * long.cell[0] * long.cell[1] * 4 <= 2**29
    for layout in (small, large, long, lay_out([(99, 77)] * 3, 3, num_lines=1, num_frames=1)):
        assert layout.size[0] % 2 == layout.size[1] % 2 == 0


def test_a_video_fits_its_room() -> None:
    assert fit((64, 48), (320, 320)) == (320, 240)
    assert fit((1280, 720), (640, 360)) == (640, 360)
    assert fit((100, 100), (150, 150)) == (100, 100)


def test_videos_have_one_clock_and_the_shorter_holds_its_last_frame() -> None:
    fps, (slow, fast, short) = frame_times([4.0, 8.0, 8.0], [4, 8, 3])
    assert fps == 8
    assert slow == [0, 0, 1, 1, 2, 2, 3, 3]
    assert fast == [0, 1, 2, 3, 4, 5, 6, 7]
    assert short == [0, 1, 2, 2, 2, 2, 2, 2]
