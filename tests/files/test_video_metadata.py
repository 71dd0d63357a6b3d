"""Videos that somebody else encoded: kept byte for byte, with our metadata beside them."""

import json
from pathlib import Path

import pytest

from phyt2v_cli.errors import FilesError
from phyt2v_cli.files.video import VideoMetadata, keep_video, read_video, sha256_of, write_video
from phyt2v_cli.files.video.metadata import path_beside, read_beside
from tests.files.test_video import moving_square
from tests.video_server import clip

METADATA = VideoMetadata("a ball\ndrops ✓", seed=7, steps=20, round=1, pixels_key="0123456789abcdef")


def keep(path: Path, content: bytes = b"", *, must_be_new: bool = False) -> str:
    return keep_video(
        path, content or clip(), metadata=METADATA, how={"backend": "server"}, must_be_new=must_be_new
    )


def test_the_bytes_are_kept_and_the_metadata_are_read_from_beside(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    assert keep(path) == sha256_of(path)
    assert path.read_bytes() == clip()
    frames, metadata = read_video(path)
    assert frames.shape == (9, 32, 32, 3)
    assert metadata == METADATA
    assert json.loads(path_beside(path).read_text())["generator"] == {"backend": "server"}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.mp4", "a.mp4.phyt2v.json"]


def test_metadata_of_another_file_count_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    keep(path)
    own = VideoMetadata("p", seed=0, steps=1)
    write_video(path, moving_square(), fps=8, metadata=own)
    assert read_video(path)[1] == own
    path.write_bytes(clip(5))
    assert read_video(path)[1] is None


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.update(schema="phyt2v.video-metadata/2"),
        lambda tree: tree.update(seed="7"),
        lambda tree: tree.update(prompt=["x"]),
        lambda tree: tree.update(unknown=1),
        lambda tree: tree.pop("steps"),
        lambda tree: tree.pop("sha256"),
    ],
)
def test_unsound_metadata_count_for_nothing(change: object, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    keep(path)
    tree = json.loads(path_beside(path).read_text())
    change(tree)  # type: ignore[operator]
    path_beside(path).write_text(json.dumps(tree))
    assert read_beside(path) is None
    assert read_video(path)[1] is None


@pytest.mark.parametrize("text", [b"", b"[1]", b"[" * 100_000, b"\xff"])
def test_a_broken_file_beside_counts_for_nothing(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    keep(path)
    path_beside(path).write_bytes(text)
    assert read_video(path)[1] is None


def test_a_video_in_the_way_keeps_its_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    keep(path)
    with pytest.raises(FilesError, match="is there already"):
        keep(path, clip(5), must_be_new=True)
    assert read_video(path)[1] == METADATA
