"""Pictures of cameras and programs, read as viewers show them; what is no picture is not even tried."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from phyt2v_cli.errors import FilesError
from phyt2v_cli.files.picture import is_transparent, read_picture

RED, BLUE = (200, 30, 40), (30, 40, 200)


def two_halves() -> Image.Image:
    """A picture, 64 wide and 32 high, whose left half is red and whose right is blue."""
    image = Image.new("RGB", (64, 32), RED)
    image.paste(BLUE, (32, 0, 64, 32))
    return image


def pixels(path: Path) -> npt.NDArray[np.uint8]:
    return np.asarray(read_picture(path))


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp"])
def test_these_formats_are_read_whatever_they_are_called(ending: str, tmp_path: Path) -> None:
    two_halves().save(tmp_path / f"a.{ending}")
    (tmp_path / f"a.{ending}").rename(tmp_path / "a")
    read = pixels(tmp_path / "a")
    assert read.shape == (32, 64, 3)
    assert np.abs(read[:, 8].astype(int) - RED).max() < 8


def test_a_picture_that_is_turned_by_its_exif_data_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6  # to be shown turned clockwise by 90 degrees
    two_halves().save(tmp_path / "a.jpg", exif=exif)
    read = pixels(tmp_path / "a.jpg")
    assert read.shape == (64, 32, 3)
    assert np.abs(read[8].astype(int) - RED).max() < 12, "left is on top now"


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
@pytest.mark.parametrize("exif", [b"MM\0*\xff\xff", b"junk", b"II*\0\x08\0\0\0\xff\xff\x12\x01"])
def test_broken_exif_data_turn_nothing(ending: str, exif: bytes, tmp_path: Path) -> None:
    two_halves().save(tmp_path / f"a.{ending}", exif=exif)
    read = pixels(tmp_path / f"a.{ending}")
    assert read.shape == (32, 64, 3)
    assert np.abs(read[:, 8].astype(int) - RED).max() < 12


def test_a_picture_that_is_too_large_is_said_to_be(tmp_path: Path) -> None:
    for width, said in ((8300, "has 8300 x 8200 pixels"), (22_000, "has more than 67,108,864 pixels")):
        Image.new("1", (width, 8200)).save(tmp_path / "a.png")
        with pytest.raises(FilesError, match=f"{said}\nShrink it"):
            read_picture(tmp_path / "a.png")


def test_grey_of_16_bits_keeps_its_shades(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)[None].repeat(8, axis=0)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    read = pixels(tmp_path / "a.png")
    assert np.abs(read[0, :, 1] - ramp[0] / 257).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_black_and_told(mode: str, tmp_path: Path) -> None:
    image = Image.new("RGBA", (16, 16), (*RED, 255))
    image.save(tmp_path / "opaque.png")
    assert not is_transparent(tmp_path / "opaque.png")
    image.paste((255, 255, 255, 0), (0, 0, 8, 16))
    image.convert(mode).save(tmp_path / "a.png")
    assert is_transparent(tmp_path / "a.png")
    read = pixels(tmp_path / "a.png")
    assert read[:, :8].max() == 0
    assert read[:, 8:].max() > 50


def test_a_colour_profile_is_followed(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    image = two_halves()
    image.save(tmp_path / "srgb.png", icc_profile=srgb.tobytes())
    assert np.abs(pixels(tmp_path / "srgb.png").astype(int) - np.asarray(image)).max() <= 1
    for broken in (b"no profile", lab.tobytes()):  # as viewers do
        image.save(tmp_path / "broken.png", icc_profile=broken)
        assert np.array_equal(pixels(tmp_path / "broken.png"), image)


def test_fault_62_other_formats_are_refused_by_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pillow would start Ghostscript, which is any program of this name, to draw an EPS file.
    for name in ("gs", "gswin64c"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "a.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n%%EOF\n"
    )
    with pytest.raises(FilesError, match="no image that can be read\nThese can: PNG, JPEG, WEBP, BMP"):
        read_picture(tmp_path / "a.png")
    assert not (tmp_path / "started").exists()
    for ending in ("gif", "tiff", "ico"):
        two_halves().save(tmp_path / f"b.{ending}")
        with pytest.raises(FilesError, match="no image that can be read"):
            read_picture(tmp_path / f"b.{ending}")
