"""The sizes that BMP and PPM files claim; they are handed to the library as they are, for they hold no metadata.

Source: the Netpbm specification of PBM, PGM and PPM; Microsoft's BITMAPCOREHEADER and BITMAPINFOHEADER.
"""

from __future__ import annotations

import re

from manypath_pictures.errors import DepthError, PictureDamagedError
from manypath_pictures.parts import Parts, number

_COMMENT = re.compile(rb"#[^\r\n]*")
_HEADER_BYTES = 4096  # where a PPM's three numbers are looked for, comments included
_DIGITS = 7  # of one of them


def dissect_bmp(data: bytes) -> Parts:
    """Return a BMP as it is; raises as ``bmp_size``."""
    return Parts("BMP", *bmp_size(data), data)


def dissect_ppm(data: bytes) -> Parts:
    """Return a PPM as it is; raises as ``ppm_size``."""
    return Parts("PPM", *ppm_size(data), data)


def bmp_size(data: bytes) -> tuple[int, int]:
    """Read a BMP's size.

    Raises:
        PictureDamagedError: the header is cut.
    """
    if number(data, 14, 4, "little") == 12:
        width, height = number(data, 18, 2, "little"), number(data, 20, 2, "little")
    else:
        width, height = number(data, 18, 4, "little"), number(data, 22, 4, "little")
    if height >= 2**31:  # from the top down
        height = 2**32 - height
    return width, height


def ppm_size(data: bytes) -> tuple[int, int]:
    """Read a PBM's, PGM's or PPM's size and largest value.

    Raises:
        PictureDamagedError: the header holds no such numbers.
        DepthError: a sample has more than 8 bits.
    """
    wanted = 2 if data[1:2] in (b"1", b"4") else 3
    words = _COMMENT.sub(b" ", data[2:_HEADER_BYTES]).split(maxsplit=wanted)[:wanted]
    if len(words) < wanted or not all(word.isdigit() and len(word) <= _DIGITS for word in words):
        raise PictureDamagedError("the picture is damaged: a PPM begins with its width, height and largest value")
    numbers = list(map(int, words))
    if wanted == 3 and numbers[2] > 255:
        raise DepthError(f"samples up to {numbers[2]} have more than 8 bits, 8 are coded; convert the picture first")
    return numbers[0], numbers[1]
