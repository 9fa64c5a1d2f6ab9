"""Taking a JPEG apart: frame, scans and colour transform are kept, application segments are read and left out.

Source: ITU-T T.81, annex B (markers); JFIF 1.02; the ICC specification, annex B.4 (profiles in APP2 segments).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import NamedTuple

from manypath_pictures.errors import (
    DepthError,
    PictureDamagedError,
    PictureFormatError,
    PictureLimitError,
)
from manypath_pictures.parts import Parts, number

MOST_SCANS = 100
"""Scans of one JPEG: each is a pass over the whole picture. Progressive files have about 10, the longest known 64."""

_MOST_SEGMENTS = 4096  # of up to 64 KiB each
_TAIL_BYTES = 2200
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_END = b"\xff\xd9"
_BARE = frozenset({0x01, _SOI, *range(0xD0, 0xD8)})  # markers without a segment
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_CODED = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})  # sequential and progressive, Huffman or arithmetic
_PROGRESSIVE = frozenset({0xC2, 0xCA})
_METADATA = frozenset({*range(0xE0, 0xF0), *range(0xF0, 0xFE), 0xFE})
_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_MARKER_IN_SCAN = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)  # restart markers belong to the scan
_JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"  # version 1.01, square pixels, no thumbnail
_PROFILE = b"ICC_PROFILE\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"


class _Frame(NamedTuple):
    marker: int
    width: int
    height: int
    components: tuple[int, ...]


class _Header(NamedTuple):
    """What comes before the first scan.

    Attributes:
        kept: segments for the library.
        metadata: what was read of the others.
        frame: sizes and components.
        end: where the first scan begins.
    """

    kept: bytes
    metadata: _Metadata
    frame: _Frame
    end: int


def stored_size(data: bytes) -> tuple[int, int]:
    """Return width and height as the frame header says them.

    Raises:
        PictureError: as ``dissect``, for what comes before the first scan.
    """
    frame = _read_header(data).frame
    return frame.width, frame.height


def dissect(data: bytes) -> Parts:
    """Take a JPEG apart; of several pictures in one file (MPO), the first.

    A file without an end marker gets one, and ``ended`` is False: whether all pixels are there is then to be found
    out (``tails``).

    Raises:
        PictureDamagedError: it ends before its first scan, or a segment does not fit.
        PictureFormatError: it is of a lossless or hierarchical kind.
        DepthError: it has more than 8 bits a sample.
        PictureLimitError: it has too many segments or scans.
    """
    kept, metadata, frame, start = _read_header(data)
    scans, ended = _scans(data, start, frame)
    return Parts(
        "JPEG",
        frame.width,
        frame.height,
        kept + scans,
        metadata.exif,
        metadata.xmp,
        metadata.profile(),
        ended,
    )


def _read_header(data: bytes) -> _Header:
    kept, metadata = [b"\xff\xd8"], _Metadata()
    frame: _Frame | None = None
    position = 2
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER.search(data, position)
        if found is None or found[1][0] == _EOI:
            raise PictureDamagedError("the picture is damaged: the JPEG ends before its first scan")
        marker, position = found[1][0], found.end()
        if marker in _BARE:
            continue
        if marker == _SOS:
            break
        body = data[position + 2 : position + number(data, position, 2)]
        _check_segment(data, position, marker)
        position += 2 + len(body)
        if marker in _METADATA:
            kept.append(metadata.take(marker, body))
            continue
        if marker in _FRAMES:
            frame = _read_frame(marker, body)
        kept.append(data[position - 4 - len(body) : position])
    else:
        raise PictureLimitError(f"a JPEG has at most {_MOST_SEGMENTS} segments here; strip its metadata first")
    if frame is None:
        raise PictureDamagedError("the picture is damaged: the JPEG has no frame header before its first scan")
    return _Header(b"".join(kept), metadata, frame, found.start())


def tails(pixels: bytes) -> Iterator[bytes]:
    """Yield the file with other bytes before its end marker.

    Where its last scan is whole, none of them changes a pixel: they lie behind the last block. Where data are missing,
    they are decoded in their place.
    """
    whole = pixels.removesuffix(_END)
    scan = whole.rindex(b"\xff\xda")
    last = max(range(8), key=lambda restart: whole.rfind(bytes((0xFF, 0xD0 + restart)), scan))
    there = whole.rfind(bytes((0xFF, 0xD0 + last)), scan) >= 0
    restart = bytes((0xFF, 0xD0 + (last + 1) % 8 if there else 0xD0))  # what may be missing from there on
    # The library fills in zeros, so ones come first: then noise without 0xff, more than the blocks of one unit
    # take (10 blocks of 64 coefficients of at most 27 bits), so that the last one is reached.
    noise = random.Random(0).randbytes(2 * _TAIL_BYTES).replace(b"\xff", b"\x2a")
    for tail in (b"\xff\x00" + noise[:_TAIL_BYTES], b"\xaa" + noise[_TAIL_BYTES:]):
        yield whole + tail + restart + tail + _END


class _Metadata:
    """What application segments say, as far as it matters for pixels."""

    def __init__(self) -> None:
        self.exif = b""
        self.xmp = b""
        self._profile: dict[int, bytes] = {}

    def take(self, marker: int, body: bytes) -> bytes:
        """Read a segment, and return what is kept of it: only what tells the library the colour transform."""
        if marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14:
            return _JFIF
        if marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            return b"\xff\xee\x00\x0e" + body[:12]
        if marker == 0xE1 and body.startswith(b"Exif\0") and not self.exif:
            self.exif = body[6:]
        elif marker == 0xE1 and body.startswith(_XMP) and not self.xmp:
            self.xmp = body[len(_XMP) :]
        elif marker == 0xE2 and body.startswith(_PROFILE) and len(body) > len(_PROFILE) + 2:
            self._profile.setdefault(body[len(_PROFILE)], body[len(_PROFILE) + 2 :])
        return b""

    def profile(self) -> bytes:
        return b"".join(self._profile[which] for which in sorted(self._profile))


def _check_segment(data: bytes, position: int, marker: int) -> None:
    length = number(data, position, 2)
    if length < 2 or position + length > len(data):
        raise PictureDamagedError(
            f"the picture is damaged: JPEG segment ff{marker:02x} at byte {position - 2} "
            f"says that it has {length} bytes, {len(data) - position} are there"
        )


def _read_frame(marker: int, body: bytes) -> _Frame:
    if marker not in _CODED:
        raise PictureFormatError(
            f"JPEG of kind ff{marker:02x} (lossless or hierarchical) is not read; convert it first"
        )
    precision, height, width = number(body, 0, 1), number(body, 1, 2), number(body, 3, 2)
    if precision != 8:
        raise DepthError(f"the picture has {precision} bits a sample, 8 are coded; convert it to 8 bits first")
    components = tuple(body[6 : 6 + 3 * number(body, 5, 1) : 3])
    return _Frame(marker, width, height, components)


def _scans(data: bytes, start: int, frame: _Frame) -> tuple[bytes, bool]:
    """Return everything from the first scan to an end marker, and whether that was in the file.

    Raises:
        PictureDamagedError: there is no end marker, and a component or a refinement has not come.
    """
    planes = _Planes(frame)
    position, scans = start, 0
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER_IN_SCAN.search(data, position)
        if found is None or found[1][0] == _SOI:  # the end of the file, or of the picture before another one
            end = len(data) if found is None else found.start()
            if not planes.complete:
                raise PictureDamagedError(f"the picture is damaged: the JPEG ends after {scans} scans, more must come")
            return data[start:end].rstrip(b"\xff") + _END, False
        marker, position = found[1][0], found.end()
        if marker == _EOI:
            return data[start : found.start()] + _END, True
        if marker == _SOS:
            scans += 1
            if scans > MOST_SCANS:
                raise PictureLimitError(
                    f"a JPEG has at most {MOST_SCANS} scans here, this one has more; save it anew with fewer"
                )
        if marker >= 0xC0 and position + 2 <= len(data):
            length = number(data, position, 2)
            if marker == _SOS:
                planes.take(data[position + 2 : position + length])
            position += length
    raise PictureLimitError(f"a JPEG has at most {_MOST_SEGMENTS} segments here; save it anew")


class _Planes:
    """Which coefficients of which component have come in full; only a file without an end needs to know."""

    def __init__(self, frame: _Frame) -> None:
        self._frame = frame
        self._bits: dict[tuple[int, int], int] = {}  # (component, coefficient) -> lowest bit plane that came

    def take(self, header: bytes) -> None:
        count = header[0] if header else 0
        if len(header) < 4 + 2 * count:
            return
        first, last, planes = header[1 + 2 * count : 4 + 2 * count]
        if self._frame.marker not in _PROGRESSIVE:
            first, last, planes = 0, 63, 0
        for component in header[1 : 1 + 2 * count : 2]:
            for coefficient in range(first, min(last, 63) + 1):
                self._bits[component, coefficient] = planes & 15

    @property
    def complete(self) -> bool:
        return all(self._bits.get((one, which)) == 0 for one in self._frame.components for which in range(64))
