"""Taking a WebP apart: the picture and its alpha are kept, everything else is read and left out.

Source: the WebP container specification; RFC 6386, section 9.1 (a VP8 frame's header); RFC 9649, section 3 (VP8L).
"""

from __future__ import annotations

import struct

from manypath_pictures.errors import AnimationError, PictureDamagedError
from manypath_pictures.parts import MOST_PARTS, Parts, number

_ALPHA, _ANIMATION = 0x10, 0x02  # flags of VP8X
_MOST_LEADING = 64  # chunks before the frame
_MASK = 0x3FFF  # 14 bits: a side of a frame


def stored_size(data: bytes) -> tuple[int, int]:
    """Return width and height of the frame, or of an animation.

    Raises:
        PictureDamagedError: there is no frame, or its header lies.
    """
    position = 12
    for _ in range(_MOST_LEADING):
        name, length = data[position : position + 4], number(data, position + 4, 4, "little")
        if name in (b"VP8 ", b"VP8L"):
            return _size(name, data[position + 8 : position + 18])
        if name == b"VP8X" and number(data, position + 8, 1) & _ANIMATION:  # frames are inside of other chunks
            width, height = (number(data, position + at, 3, "little") + 1 for at in (12, 15))
            return width, height
        position += 8 + length + length % 2
    raise PictureDamagedError(f"the picture is damaged: the WebP holds no frame in its first {_MOST_LEADING} chunks")


def dissect(data: bytes) -> Parts:
    """Take a WebP apart.

    Raises:
        PictureDamagedError: there is no frame, or its header lies.
        AnimationError: it has several frames.
    """
    chunks: dict[bytes, bytes] = {}
    frames, position = 0, 12
    for _ in range(MOST_PARTS):  # behind so many there is no picture left, only metadata
        if position + 8 > len(data):
            break
        name, length = struct.unpack_from("<4sI", data, position)
        frames += name == b"ANMF"
        chunks.setdefault(name, data[position + 8 : position + 8 + length])
        position += 8 + length + length % 2
    extended = chunks.get(b"VP8X", b"")
    if len(extended) >= 10 and extended[0] & _ANIMATION:
        raise AnimationError(f"a picture has one frame, got {frames}; extract the frames and code them one by one")
    name = next((name for name in chunks if name in {b"VP8 ", b"VP8L"}), None)  # the first one, whose size is checked
    if name is None:
        raise PictureDamagedError("the picture is damaged: the WebP holds no frame")
    size = _size(name, chunks[name])
    kept: list[tuple[bytes, bytes]] = [(name, chunks[name])]
    if name == b"VP8 " and b"ALPH" in chunks:
        canvas = b"".join((side - 1).to_bytes(3, "little") for side in size)
        kept = [(b"VP8X", bytes((_ALPHA, 0, 0, 0)) + canvas), (b"ALPH", chunks[b"ALPH"]), *kept]
    body = b"WEBP" + b"".join(map(_chunk, kept))
    pixels = b"RIFF" + struct.pack("<I", len(body)) + body
    exif = chunks.get(b"EXIF", b"").removeprefix(b"Exif\0\0")
    return Parts("WEBP", *size, pixels, exif, chunks.get(b"XMP ", b""), chunks.get(b"ICCP", b""))


def _size(name: bytes, frame: bytes) -> tuple[int, int]:
    """Return width and height of a frame."""
    if name == b"VP8L":
        bits = number(frame, 1, 4, "little")
        width, height = (bits & _MASK) + 1, (bits >> 14 & _MASK) + 1
    else:
        width, height = number(frame, 6, 2, "little") & _MASK, number(frame, 8, 2, "little") & _MASK
    if not width or not height:
        raise PictureDamagedError(f"the picture is damaged: a WebP's sides are 1 pixel or more, got {width}x{height}")
    return width, height


def _chunk(named: tuple[bytes, bytes]) -> bytes:
    name, body = named
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
