"""Taking a PNG apart: header, palette, transparency and pixels are kept, everything else is read and left out.

Source: the PNG specification (third edition), section 11 (chunks).
"""

from __future__ import annotations

import struct
import zlib

from manypath_pictures.errors import AnimationError, DepthError, PictureDamagedError, PictureLimitError
from manypath_pictures.parts import MOST_PARTS, Parts, number

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_PROFILE_BYTES = 4 * 2**20  # printers' profiles take up to 3 MB; a chunk could inflate to a thousand times its size

_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
_XMP = b"XML:com.adobe.xmp\0"
_RAW_EXIF = b"Raw profile type exif\0"


def stored_size(data: bytes) -> tuple[int, int]:
    """Return width and height as the header says them.

    Raises:
        PictureDamagedError: there is no header.
        DepthError: it has 16 bits a sample.
    """
    if data[12:16] != b"IHDR":
        raise PictureDamagedError("the picture is damaged: a PNG begins with its header")
    return _read_header(data[16 : 16 + number(data, 8, 4)])


def dissect(data: bytes) -> Parts:
    """Take a PNG apart.

    A file that ends within its last chunk keeps what there is of it: whether the pixels are all there is for the
    library to say. Checksums of chunks that are left out are not looked at.

    Raises:
        PictureDamagedError: there is no header, or no pixel.
        DepthError: it has 16 bits a sample.
        AnimationError: it is an APNG of several frames.
        PictureLimitError: it has too many chunks.
    """
    kept = [SIGNATURE]
    told: dict[bytes, bytes] = {}
    position, size = len(SIGNATURE), (0, 0)
    for _ in range(MOST_PARTS):
        if position + 8 > len(data):
            break
        length, name = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length]
        whole = data[position : position + 12 + length]
        position += 12 + length
        if name == b"IEND":
            break
        if name == b"IHDR" and len(kept) == 1:
            size = _read_header(body)
        elif name == b"acTL" and b"IDAT" not in told and number(body, 0, 4) > 1:
            raise AnimationError(
                f"a picture has one frame, got {number(body, 0, 4)}; extract the frames and code them one by one"
            )
        if name in _KEPT:
            kept.append(whole if len(whole) == 12 + length else _chunk(name, body))
            told[name] = b""
        elif name in (b"iTXt", b"tEXt", b"zTXt"):
            told.setdefault(body.partition(b"\0")[0] + b"\0", body)
        else:
            told.setdefault(name, body)
    else:
        raise PictureLimitError(f"a PNG has at most {MOST_PARTS} chunks here; save it anew, or strip its metadata")
    if size == (0, 0) or b"IDAT" not in told:
        raise PictureDamagedError("the picture is damaged: the PNG ends before its first pixel")
    kept.append(_chunk(b"IEND", b""))
    exif = told.get(b"eXIf", b"") or _raw_exif(told.get(_RAW_EXIF, b""))
    return Parts("PNG", *size, b"".join(kept), exif, _xmp(told.get(_XMP, b"")), _profile(told.get(b"iCCP", b"")))


def _read_header(body: bytes) -> tuple[int, int]:
    if len(body) != 13:
        raise PictureDamagedError(f"the picture is damaged: a PNG's header has 13 bytes, got {len(body)}")
    if body[8] > 8:
        raise DepthError(f"the picture has {body[8]} bits a sample, 8 are coded; convert it to 8 bits first")
    return number(body, 0, 4), number(body, 4, 4)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _inflated(data: bytes) -> bytes:
    """Return what compressed metadata hold, or nothing where they are damaged or large."""
    try:
        inflated = zlib.decompressobj().decompress(data, MOST_PROFILE_BYTES + 1)
    except zlib.error:
        return b""
    return inflated if len(inflated) <= MOST_PROFILE_BYTES else b""


def _profile(body: bytes) -> bytes:
    return _inflated(body.partition(b"\0")[2][1:])


def _xmp(body: bytes) -> bytes:
    """Return the text of an iTXt chunk: keyword, flag, method, language, translated keyword, text."""
    flags, _, rest = body[len(_XMP) + 2 :].partition(b"\0")[2].partition(b"\0")
    del flags
    return _inflated(rest) if body[len(_XMP) : len(_XMP) + 1] == b"\1" else rest


def _raw_exif(body: bytes) -> bytes:
    """Return the EXIF of a text chunk, as ImageMagick wrote it before PNG had a chunk for it: lines of hexadecimals."""
    text = body[len(_RAW_EXIF) :]
    text = _inflated(text[1:]) if text.startswith(b"\0") else text
    try:
        return bytes.fromhex("".join(text.decode("ascii").split()[2:])).removeprefix(b"Exif\0\0")
    except ValueError:
        return b""
