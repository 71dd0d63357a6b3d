"""Read pictures as viewers show them: upright, in sRGB, with 16-bit grey scaled. Knows no setting.

Only the formats below are tried, by content. Pillow knows dozens, and starts Ghostscript for one of them.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from phyt2v_cli.errors import FilesError
from phyt2v_cli.files.atomic import describe_os_error

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")

MAX_PIXELS = 64 * 2**20
"""Most pixels of a picture; a larger one is a decompression bomb rather than a first frame."""


def read_picture(path: Path) -> "Image":
    """Read a picture as RGB, transparent parts over black. Raises FilesError if it is none, or too large."""
    return _read(path)[0]


def is_transparent(path: Path) -> bool:
    """Whether a picture has parts that are transparent; raises as `read_picture` does."""
    return _read(path)[1]


def _read(path: Path) -> "tuple[Image, bool]":
    from PIL import Image

    try:
        with path.open("rb") as file, Image.open(file, formats=_FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise FilesError(f"{path} has {opened.width} x {opened.height} pixels", "Shrink it.")
            opened.load()
            image = _upright(opened)
        if image.mode.startswith("I"):  # 16-bit grey; a conversion would clip it to its lowest 8 bits
            image = image.convert("I").point(lambda value: value / 257).convert("L")
        if not image.has_transparency_data:
            return _in_srgb(image), False
        layered = image.convert("RGBA")
        is_seen_through = layered.getchannel("A").getextrema() != (255, 255)
        black = Image.new("RGBA", layered.size, "black")
        flat = Image.alpha_composite(black, layered).convert("RGB")
        flat.info = image.info
        return _in_srgb(flat), is_seen_through
    except Image.DecompressionBombError as error:
        raise FilesError(f"{path} has more than {MAX_PIXELS:,} pixels", "Shrink it.") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # not Pillow's, which have no number
            raise describe_os_error(error, f"{path} could not be read") from error
        raise FilesError(
            f"{path} is no image that can be read", f"These can: {', '.join(_FORMATS)}."
        ) from error


def _upright(image: "Image") -> "Image":
    """Turn an image as its EXIF data say, as viewers do; broken data say nothing."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow parses them with whatever errors that brings
        return image.copy()


def _in_srgb(image: "Image") -> "Image":
    """Convert an image to RGB, by its colour profile if it has one that can be used, as viewers do."""
    import io

    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    if image.mode not in ("L", "RGB", "CMYK") or not profile:
        return image.convert("RGB")
    try:
        found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, found, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):  # a broken profile, or one of another colour space
        return image.convert("RGB")
    assert converted is not None  # None only for a conversion in place
    return converted
