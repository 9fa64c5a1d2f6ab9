"""Picture files to arrays and back, through Pillow."""

from __future__ import annotations

import io
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from manypath.errors import ImageError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm"})
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM")
_MAX_SIDE = 16384  # pixels; the container's limit, checked here before Pillow decodes anything
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L")

# Pillow would refuse large pictures by its own measure, and only after warnings; ours is checked instead.
Image.MAX_IMAGE_PIXELS = None


def read_picture(data: bytes, background: str | None = None) -> npt.NDArray[np.uint8]:
    """Return a picture file as uint8 [H, W, 3], turned upright as its EXIF orientation says.

    Grey and palette pictures become RGB. Of an animation the first frame is taken. Colour profiles are not
    applied.

    Args:
        data: the file's bytes: JPEG, PNG, WebP, BMP or PPM.
        background: a colour such as ``white`` or ``#ffffff`` on which transparent pixels are blended.

    Raises:
        ImageError: no such file, damaged, too large, of more than 8 bits, or transparent without background.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata
            picture = Image.open(io.BytesIO(data), formats=_FORMATS)
            if max(picture.size) > _MAX_SIDE:
                raise ImageError(f"each side must have 1 to {_MAX_SIDE} pixels, got {picture.width}x{picture.height}")
            if picture.mode in _DEEP_MODES:
                raise ImageError(f"the picture has more than 8 bits a sample ({picture.mode}); convert it first")
            upright = ImageOps.exif_transpose(picture)
            return np.array(_opaque(upright, background).convert("RGB"))  # a copy, so writable
    except UnidentifiedImageError as err:
        raise ImageError("not a JPEG, PNG, WebP, BMP or PPM picture") from err
    except (OSError, ValueError, SyntaxError, EOFError) as err:
        raise ImageError(f"the picture is damaged: {err}") from err


def _opaque(picture: Image.Image, background: str | None) -> Image.Image:
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    if picture.getchannel("A").getextrema() == (255, 255):
        return picture
    if background is None:
        raise ImageError("the picture is transparent, which is not coded; choose a colour with --background")
    canvas = Image.new("RGBA", picture.size, ImageColor.getrgb(background))
    return Image.alpha_composite(canvas, picture)


def write_png(picture: npt.NDArray[np.uint8]) -> bytes:
    """Return uint8 [H, W, 3] as a PNG file."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


def check_colour(colour: str) -> None:
    """Refuse what is no colour.

    Raises:
        ImageError: it is none.
    """
    try:
        ImageColor.getrgb(colour)
    except ValueError as err:
        raise ImageError(f"a background is a colour such as white or #20242c, got {colour!r}") from err
