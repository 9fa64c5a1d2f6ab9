"""A picture file's bytes to an array: bounded before anything is decoded, and never any other error than ours."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, PpmImagePlugin, WebPImagePlugin

from manypath_pictures import bitmap, jpeg, png, webp
from manypath_pictures.colour import background_colour, to_srgb
from manypath_pictures.errors import (
    DepthError,
    PictureDamagedError,
    PictureError,
    PictureFormatError,
    PictureLimitError,
    SamplesError,
    TransparencyError,
)
from manypath_pictures.orientation import orientation, turned
from manypath_pictures.parts import Parts

MAX_SIDE = 16384
"""Pixels: the longest side that a bitstream carries."""
MAX_PIXELS = MAX_SIDE**2
SERVICE_MAX_PIXELS = 2**24
"""Width times height that a service accepts unless it is told otherwise: files of a few bytes may claim any size."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".dib", ".ppm", ".pgm", ".pbm", ".pnm"}
)

Samples = npt.NDArray[np.uint8]

_SOURCES: Mapping[str, Callable[[io.BytesIO], Image.Image]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
}


class _Format(NamedTuple):
    """How a format is taken apart."""

    stored_size: Callable[[bytes], tuple[int, int]]
    dissect: Callable[[bytes], Parts]


_WEBP = _Format(webp.stored_size, webp.dissect)
_READ: Mapping[bytes, _Format] = {
    b"\xff\xd8": _Format(jpeg.stored_size, jpeg.dissect),
    png.SIGNATURE: _Format(png.stored_size, png.dissect),
    b"RIFF": _WEBP,
    b"BM": _Format(bitmap.bmp_size, bitmap.dissect_bmp),
    **dict.fromkeys(
        (b"P%d%c" % (kind, space) for kind in range(1, 7) for space in b"\t\n\v\f\r "),
        _Format(bitmap.ppm_size, bitmap.dissect_ppm),
    ),
}
_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "CMYK"})
_OTHERS = (
    (0, b"GIF8", "GIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (4, b"ftypavi", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (0, b"%PDF", "PDF"),
    (0, b"MPTH", "Manypath bitstream"),
)


class Size(NamedTuple):
    """Width and height in pixels, as they are stored: before a picture is turned upright."""

    width: int
    height: int


def read_picture(data: bytes, *, background: str | None = None, max_pixels: int = MAX_PIXELS) -> Samples:
    """Return a picture file as uint8 [H, W, 3], sRGB, turned upright as its EXIF orientation says.

    Grey, palette and CMYK pictures become RGB, and an ICC profile is converted to sRGB. Metadata never cost a picture:
    what of them cannot be read is as if it were not there. A JPEG without its end marker is read if all pixels are
    there; of a multi-picture JPEG (MPO) the first picture is taken.

    Args:
        data: the file's bytes, or anything that offers them: JPEG, PNG, WebP, BMP or PPM (PBM, PGM).
        background: a colour such as ``white`` or ``#ffffff`` on which transparent pixels are laid.
        max_pixels: largest width times height, checked before anything is decoded.

    Raises:
        PictureFormatError: another format, or no picture.
        PictureDamagedError: the bytes are not what the format promises.
        PictureLimitError: too large, or a JPEG of too many scans.
        DepthError: more than 8 bits a sample.
        AnimationError: more than one frame.
        TransparencyError: transparent pixels without a background.
        BackgroundError: the background is no colour.
    """
    colour = None if background is None else background_colour(background)
    parts = dissect(data, max_pixels)
    picture = _load(parts)
    if parts.kind == "JPEG" and not parts.ended:
        _check_last_scan(parts, picture)
    with _library():
        rgb = to_srgb(picture, parts.profile)
        if picture.has_transparency_data:
            rgb = _laid_on(rgb, picture.convert("RGBA").getchannel("A"), colour)
        return np.array(turned(rgb, orientation(parts.exif, parts.xmp)))  # a copy: it may be written to


def read_indexes(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Samples:
    """Return a grey or palette picture's samples as they are stored, uint8 [H, W]: a mask's classes.

    Raises:
        SamplesError: it has colours.
        PictureError: see ``read_picture``.
    """
    picture = _load(dissect(data, max_pixels))
    if picture.mode not in ("L", "P", "1"):
        raise SamplesError(f"a mask is a grey or palette picture, got samples of kind {picture.mode}")
    with _library():
        return np.array(picture, dtype=np.uint8)


def stored_size(data: bytes) -> Size:
    """Return the size that a picture file claims, at the cost of reading its header: to refuse, or to plan work.

    Raises:
        PictureError: its format, its header or its sides are refused; see ``read_picture``.
    """
    data = _bytes(data)
    size = Size(*_format(data).stored_size(data))
    check_size(size, MAX_PIXELS)
    return size


def dissect(data: bytes, max_pixels: int = MAX_PIXELS) -> Parts:
    """Return the parts of a picture file, its metadata among them, without decoding it.

    Raises:
        PictureError: its format, header or size is refused; see ``read_picture``.
    """
    data = _bytes(data)
    how = _format(data)
    check_size(Size(*how.stored_size(data)), max_pixels)
    parts = how.dissect(data)
    check_size(Size(parts.width, parts.height), max_pixels)  # of what will be decoded, whatever a header said
    return parts


def check_size(size: Size, max_pixels: int) -> None:
    """Refuse a size that is not accepted.

    Raises:
        PictureLimitError: a side is outside 1..16384 pixels, or there are more than ``max_pixels``.
    """
    width, height = size
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise PictureLimitError(f"a picture's sides are 1..{MAX_SIDE} pixels, got {width}x{height}")
    if width * height > max_pixels:
        raise PictureLimitError(
            f"a picture has at most {max_pixels} pixels here, got {width}x{height} = {width * height}; "
            "shrink it, or raise the limit"
        )


def _bytes(data: object) -> bytes:
    if isinstance(data, bytes):
        return data
    try:
        return memoryview(data).tobytes()  # type: ignore[arg-type]  # that is what is found out
    except TypeError as err:
        raise PictureFormatError(
            f"a picture file comes as bytes, got {type(data).__name__}; read the file first"
        ) from err


def _format(data: bytes) -> _Format:
    found = next((how for begins, how in _READ.items() if data.startswith(begins)), None)
    if found is _WEBP and data[8:12] != b"WEBP":
        found = None
    if found is not None:
        return found
    what = next((f"it is {name}" for at, magic, name in _OTHERS if data[at:].startswith(magic)), None)
    if what is None:
        what = f"it begins with {data[:4].hex()}" if data else "it is empty"
    raise PictureFormatError(f"not a JPEG, PNG, WebP, BMP or PPM picture: {what}; convert it first")


def _load(parts: Parts, pixels: bytes | None = None) -> Image.Image:
    """Return the decoded picture."""
    with _library():
        # The plug-ins themselves: Image.open guesses, and obeys and warns by limits that are global.
        picture = _SOURCES[parts.kind](io.BytesIO(parts.pixels if pixels is None else pixels))
        if picture.size != (parts.width, parts.height):
            raise PictureDamagedError(
                f"the picture is damaged: it says {parts.width}x{parts.height} and {picture.width}x{picture.height}"
            )
        if picture.mode not in _MODES:
            raise DepthError(f"the picture has samples of kind {picture.mode}, 8 bits are coded; convert it first")
        picture.load()
        return picture


def _check_last_scan(parts: Parts, picture: Image.Image) -> None:
    """Refuse a JPEG without an end marker if data are missing, too: the library fills in grey and says nothing.

    Raises:
        PictureDamagedError: what follows the last byte changes pixels.
    """
    with _library():
        samples = np.asarray(picture)
        for pixels in jpeg.tails(parts.pixels):
            if not np.array_equal(samples, np.asarray(_load(parts, pixels))):
                raise PictureDamagedError(
                    "the picture is damaged: the JPEG is truncated, data of its last scan are missing"
                )


def _laid_on(rgb: Image.Image, alpha: Image.Image, colour: tuple[int, int, int] | None) -> Image.Image:
    if alpha.getextrema() == (255, 255):
        return rgb
    if colour is None:
        raise TransparencyError("the picture has transparent pixels, which are not coded; flatten it onto a background")
    rgb = rgb.copy()
    rgb.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", rgb.size, colour), rgb).convert("RGB")


@contextmanager
def _library() -> Iterator[None]:
    """Whatever the library raises means that the picture is damaged: which exceptions it has, it does not promise.

    Raises:
        PictureDamagedError: with the library's words.
    """
    try:
        yield
    except PictureError:
        raise
    except Exception as err:
        raise PictureDamagedError(f"the picture is damaged: {str(err) or type(err).__name__}") from err
