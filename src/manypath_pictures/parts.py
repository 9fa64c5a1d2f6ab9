"""What a picture file is cut into: the bytes that make pixels, and the metadata that must never cost one."""

from __future__ import annotations

from typing import NamedTuple

from manypath_pictures.errors import PictureDamagedError

MOST_PARTS = 2**17
"""Segments or chunks of one file: a loop over more of them would be work that no picture needs."""


class Parts(NamedTuple):
    """A picture file, taken apart without decoding it.

    Attributes:
        kind: "JPEG", "PNG", "WEBP", "BMP" or "PPM".
        width: in pixels, as stored: before it is turned upright.
        height: in pixels.
        pixels: a file of the same kind that holds nothing but what the pixels need.
        exif: what an EXIF block holds, from its TIFF header on; empty if there is none.
        xmp: an XMP packet; empty if there is none.
        profile: an ICC profile; empty if there is none.
        ended: whether the file's own end was there; ``pixels`` always has one.
    """

    kind: str
    width: int
    height: int
    pixels: bytes
    exif: bytes = b""
    xmp: bytes = b""
    profile: bytes = b""
    ended: bool = True


def number(data: bytes, offset: int, size: int, byteorder: str = "big") -> int:
    """Return an unsigned integer of ``size`` bytes.

    Raises:
        PictureDamagedError: the data end before it does.
    """
    if offset + size > len(data):
        raise PictureDamagedError(f"the picture is damaged: it ends after {len(data)} bytes, in the middle of a header")
    return int.from_bytes(data[offset : offset + size], "little" if byteorder == "little" else "big")
