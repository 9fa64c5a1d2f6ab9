"""Picture files from browsers, and pictures for them: sizes are checked before anything is decoded."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from manypath_pictures.errors import PictureError, PictureLimitError
from manypath_pictures.orientation import UPRIGHT, orientation
from manypath_pictures.reader import MAX_SIDE, dissect, read_indexes, read_picture
from manypath_pictures.writer import FAST, write_png
from manypath_services.console.problems import ProblemError

Pixels = npt.NDArray[np.uint8]

FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
"""What a browser shows, with its media type."""


class Upload(NamedTuple):
    """A picture that came in.

    Attributes:
        pixels: uint8 [H, W, 3], upright, as the encoder reads it.
        shown: a file of exactly these pixels for the browser.
        media_type: of ``shown``.
    """

    pixels: Pixels
    shown: bytes
    media_type: str


def read_upload(file: bytes, max_pixels: int) -> Upload:
    """Decode a file.

    A browser that is given the file itself may turn it and convert its colours a little otherwise than we do: where it
    would have to, it gets the pixels that the encoder saw.

    Raises:
        ProblemError: it is no picture that the encoder reads, is damaged or too large.
    """
    try:
        parts = dissect(file, max_pixels)
        pixels = read_picture(file, max_pixels=max_pixels)
    except PictureLimitError as err:
        raise ProblemError(
            "This picture is too large.",
            cure=f"Send one of at most {max_pixels:,} pixels, no side longer than {MAX_SIDE:,}.",
            detail=str(err)[:200],
            status=413,
        ) from err
    except PictureError as err:
        raise ProblemError(
            "This file is not a picture that can be read.",
            cure="Send a JPEG, PNG, WebP, BMP or PPM of 8 bits a sample.",
            detail=str(err)[:200],
            status=415,
        ) from err
    as_it_is = not parts.profile and parts.ended and orientation(parts.exif, parts.xmp) == UPRIGHT
    if as_it_is and parts.kind in FORMATS:
        return Upload(pixels, file, FORMATS[parts.kind])
    return Upload(pixels, png_file(pixels), FORMATS["PNG"])


def png_file(samples: Pixels) -> bytes:
    """Return uint8 [H, W, 3] or [H, W] as a PNG file."""
    return write_png(samples, level=FAST)


def read_png(file: bytes) -> Pixels:
    """Return uint8 [H, W, 3] of a file that one of our services wrote."""
    return read_picture(file)


def psnr(pixels: Pixels, other: Pixels) -> float:
    """Return the peak signal-to-noise ratio in dB, over all samples; infinite where they are the same.

    Raises:
        ValueError: the shapes differ.
    """
    if pixels.shape != other.shape:
        raise ValueError(f"pictures of {pixels.shape} and {other.shape} cannot be compared")
    difference = pixels.astype(np.float32) - other
    error = float(np.mean(np.square(difference), dtype=np.float64))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def mask_layer(mask: bytes, colours: dict[int, int]) -> bytes:
    """Return a segmenter's mask as a PNG that lets the picture through.

    Args:
        mask: PNG, 8-bit grey: a sample is the index of a class.
        colours: of the classes, 0xRRGGBB; a class that is not among them stays clear.
    """
    layer = PillowImage.fromarray(read_indexes(mask), "P")
    palette, opacity = bytearray(768), bytearray(256)
    for index, colour in colours.items():
        palette[3 * index : 3 * index + 3] = colour.to_bytes(3)
        opacity[index] = 150 if colour else 0  # black is what has no class
    layer.putpalette(bytes(palette))
    file = io.BytesIO()
    layer.save(file, "PNG", transparency=bytes(opacity))
    return file.getvalue()


def heat_layer(samples: npt.NDArray[np.float32]) -> bytes:
    """Return a map of 0..1, [h, w], as a PNG of a colour whose opacity is the value."""
    stops = np.array([(13, 18, 64), (84, 39, 143), (190, 55, 92), (248, 140, 60), (252, 236, 150)], np.float32)
    clear = np.clip(samples, 0, 1)
    colours = np.stack(
        [np.interp(clear, np.linspace(0, 1, len(stops)), stops[:, channel]) for channel in range(3)], axis=-1
    )
    opacity = np.full((*samples.shape, 1), 210.0)
    file = io.BytesIO()
    PillowImage.fromarray(np.rint(np.concatenate([colours, opacity], -1)).astype(np.uint8), "RGBA").save(file, "PNG")
    return file.getvalue()
