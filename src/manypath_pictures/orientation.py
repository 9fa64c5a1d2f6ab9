"""Which way up a picture is, from EXIF or XMP: read alone, by a reader that cannot fail.

Source: EXIF 2.32, section 4.6.4 A (tag 0x0112); TIFF 6.0, section 2 (a directory's entries).
"""

from __future__ import annotations

import re
import struct

from PIL import Image

UPRIGHT = 1

_TAG = 0x0112
_SHORT = 3
_MOST_ENTRIES = 1000  # of the first directory; cameras write some 20
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_IN_XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])\b")
_MOST_XMP_BYTES = 2**20


def orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Return 1 to 8 as EXIF numbers orientations; 1, upright, where nothing usable is said.

    Args:
        exif: from the TIFF header on.
        xmp: a packet that is asked where EXIF has no such tag.
    """
    found = _in_exif(exif.removeprefix(b"Exif\0\0"))
    if found is None:
        match = _IN_XMP.search(xmp[:_MOST_XMP_BYTES])
        found = int(match[1]) if match else UPRIGHT
    return found if found in _TURNS else UPRIGHT


def turned(picture: Image.Image, way: int) -> Image.Image:
    """Return a picture turned upright."""
    return picture if way == UPRIGHT else picture.transpose(_TURNS[way])


def _in_exif(exif: bytes) -> int | None:
    """Return the tag's value, or None where there is no such tag."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    try:
        if order is None or struct.unpack_from(f"{order}H", exif, 2)[0] != 42:
            return None
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(min(entries, _MOST_ENTRIES)):
            tag, kind = struct.unpack_from(f"{order}HH", exif, start + 2 + 12 * entry)
            if tag == _TAG:
                value: int = struct.unpack_from(
                    f"{order}{'H' if kind == _SHORT else 'I'}", exif, start + 10 + 12 * entry
                )[0]
                return value
    except struct.error:  # it ends before it said so
        pass
    return None
