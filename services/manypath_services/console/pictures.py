"""Picture files from browsers, and pictures for them: sizes are checked before anything is decoded."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageOps

from manypath_services.console.problems import ProblemError

Pixels = npt.NDArray[np.uint8]

FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_ORIENTATION = 0x0112  # EXIF
_MAX_SIDE = 16384  # pixels; the bitstream's limit

PillowImage.MAX_IMAGE_PIXELS = None  # Pillow only warns at its limit; ours is an error, and comes first


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

    A browser turns a picture by its EXIF and converts its colours by its profile; the codec does the first alone. Where
    that matters the browser gets the pixels that the encoder saw.

    Raises:
        ProblemError: it is no JPEG, PNG or WebP, is damaged or too large.
    """
    try:
        with PillowImage.open(io.BytesIO(file), formats=tuple(FORMATS)) as opened:
            width, height = opened.size
            if width * height > max_pixels or max(width, height) > _MAX_SIDE:
                raise ProblemError(
                    f"The picture has {width} × {height} pixels, which is too many.",
                    cure=f"Send one of at most {max_pixels:,} pixels, no side longer than {_MAX_SIDE:,}.",
                    status=413,
                )
            opened.load()
            profile = "icc_profile" in opened.info
            turned = opened.getexif().get(_ORIENTATION, 1) != 1
            upright = ImageOps.exif_transpose(opened) if turned else opened
            pixels = np.array(upright.convert("RGB"))
            media_type = FORMATS[str(opened.format)] if opened.format in FORMATS else FORMATS["JPEG"]
    except ProblemError:
        raise
    except Exception as err:  # whatever Pillow raises, the file is at fault
        raise ProblemError(
            "This file is not a picture that can be read.",
            cure="Send a JPEG, PNG or WebP of 8 bits a sample.",
            detail=str(err)[:200],
            status=415,
        ) from err
    if profile or turned:
        return Upload(pixels, png_file(pixels), FORMATS["PNG"])
    return Upload(pixels, file, media_type)


def png_file(samples: Pixels) -> bytes:
    """Return uint8 [H, W, 3] or [H, W] as a PNG file."""
    file = io.BytesIO()
    PillowImage.fromarray(samples).save(file, "PNG", compress_level=1)  # a fifth of the default's time
    return file.getvalue()


def read_png(file: bytes) -> Pixels:
    """Return uint8 [H, W, 3] of a file that one of our services wrote."""
    with PillowImage.open(io.BytesIO(file), formats=("PNG",)) as opened:
        return np.asarray(opened.convert("RGB"))


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
    with PillowImage.open(io.BytesIO(mask), formats=("PNG",)) as opened:
        layer = PillowImage.fromarray(np.asarray(opened.convert("L")), "P")
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
