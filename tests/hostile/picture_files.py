"""Ways to break picture files: damage anywhere, and lies aimed at metadata, which must cost no pixel."""

from __future__ import annotations

import itertools
import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

from tests.hostile.mutations import delete, flip_bits, insert, overwrite, splice
from tests.pictures.files import chunk, saved, scene, segment, tiff, wide_gamut_profile, with_chunks, with_segments

DEFAULT_SEED = 20
_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
_EXIF = tiff(
    [
        (0x010F, 2, 40, b"\0\0\0\x60"),
        (0x0112, 3, 1, b"\0\6\0\0"),
        (0x011A, 5, 1, b"\0\0\0\x60"),
        (0x8769, 4, 1, b"\0\0\0\x50"),
        (0x8825, 4, 1, b"\0\0\0\x50"),
    ]
) + bytes(range(64))


class Seed(NamedTuple):
    """A sound file.

    Attributes:
        name: of what is in it.
        data: its bytes.
        metadata: where metadata stand that cannot change more than which way up the picture is.
    """

    name: str
    data: bytes
    metadata: Sequence[range]


class Mutant(NamedTuple):
    """A broken file.

    Attributes:
        data: its bytes.
        kind: what was done to it.
        seed: number of the file that it was.
        sound: its pixels were not touched: it must be read.
        whole: what is read of it must be the whole picture, or nothing.
    """

    data: bytes
    kind: str
    seed: int
    sound: bool = False
    whole: bool = False


def seeds() -> list[Seed]:
    """Return JPEG, PNG, WebP, BMP and PPM files with every kind of metadata."""
    picture, grey = Image.fromarray(scene(24, 16)), Image.fromarray(scene(24, 16)[..., 0])
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    told = (
        segment(0xE1, b"Exif\0\0" + _EXIF),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + _XMP),
        segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\1\xb0\0\0\7\0\0\0\x040100" + bytes(8)),
        segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\0\x10" + bytes(16)),
        segment(0xE5, b"vendor" * 5),
        segment(0xFE, b"a comment"),
    )
    files = {
        "JPEG": with_segments(saved(picture, "JPEG", quality=85), *told),
        "JPEG 4:4:4, profile": with_segments(
            saved(picture, "JPEG", subsampling="4:4:4", icc_profile=wide_gamut_profile()), *told
        ),
        "JPEG progressive": with_segments(saved(picture, "JPEG", progressive=True), *told),
        "JPEG restarts, optimised": saved(picture, "JPEG", restart_marker_blocks=1, optimize=True),
        "JPEG grey": with_segments(saved(grey, "JPEG"), *told),
        "JPEG CMYK": with_segments(saved(picture.convert("CMYK"), "JPEG"), *told),
        "PNG": with_chunks(
            saved(picture),
            chunk(b"gAMA", struct.pack(">I", 45455)),
            chunk(b"cHRM", struct.pack(">8I", *[31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000])),
            chunk(b"acTL", struct.pack(">II", 1, 0)),
            chunk(b"eXIf", _EXIF),
            chunk(b"pHYs", struct.pack(">IIB", 2835, 2835, 1)),
            chunk(b"tIME", bytes(7)),
            chunk(b"tEXt", b"Comment\0hello"),
            chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 8\n" + b"4d4d002a" * 9)),
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(_XMP)),
        ),
        "PNG profile": saved(picture, icc_profile=profile),
        "PNG palette": with_chunks(saved(picture.quantize(16), transparency=0), chunk(b"eXIf", _EXIF)),
        "PNG alpha": saved(Image.fromarray(np.dstack([scene(24, 16), scene(24, 16)[..., :1]]))),
        "WebP": saved(picture, "WEBP", exif=b"Exif\0\0" + _EXIF, xmp=_XMP),
        "WebP lossless, profile": saved(picture, "WEBP", lossless=True, icc_profile=profile, exif=_EXIF),
        "WebP alpha": saved(picture.convert("RGBA").rotate(5), "WEBP", exif=_EXIF, xmp=_XMP),
        "BMP": saved(picture, "BMP"),
        "BMP palette": saved(picture.quantize(16), "BMP"),
        "PPM": saved(picture, "PPM"),
        "PPM plain": b"P3 # a comment\n2 2 255\n" + b"1 2 3 4 5 6 7 8 9 10 11 12\n",
    }
    return [Seed(name, data, list(_metadata(data))) for name, data in files.items()]


def mutants(files: Sequence[Seed], start: int, count: int, seed: int = DEFAULT_SEED) -> Iterator[Mutant]:
    """Yield mutants number start .. start + count - 1; each follows from (seed, number) alone."""
    everything = [file.data for file in files]
    for number in range(start, start + count):
        rng = random.Random(f"{seed}:{number}")
        which = rng.randrange(len(files))
        file = files[which]
        kind = rng.choice(("metadata", "metadata", "structure", "end", "anywhere", "anywhere"))
        if kind == "metadata" and file.metadata:
            yield Mutant(_rewrite(rng, file), kind, which, sound=True, whole=True)
        elif kind == "structure":
            yield Mutant(_restructure(rng, file.data), kind, which)
        elif kind == "end":
            cut = rng.choice((rng.randint(1, 20), rng.randint(1, len(file.data))))
            plain = file.data.startswith(b"P3")  # a number without its last digit is a number
            yield Mutant(file.data[:-cut], kind, which, whole=not plain)
        else:
            damage = rng.choice((flip_bits, overwrite, insert, delete, splice))
            yield Mutant(damage(rng, file.data, everything), damage.__name__, which)


def _rewrite(rng: random.Random, file: Seed) -> bytes:
    """Change metadata in their place: noise, a few bytes, or a tag's type, count or value at its edge."""
    out = bytearray(file.data)
    for place in rng.choices(file.metadata, k=rng.randint(1, 3)):
        kind = rng.randrange(3)
        if kind == 0:
            out[place.start : place.stop] = rng.randbytes(len(place))
        elif kind == 1:
            for _ in range(rng.randint(1, 8)):
                out[rng.choice(place)] = rng.choice((0, 1, 2, 127, 128, 255, rng.randrange(256)))
        else:
            at = rng.choice(place)
            edge = struct.pack(">I", rng.choice((0, 1, 8, 9, 0x112, 2**16 - 1, 2**31, 2**32 - 1)))[: place.stop - at]
            out[at : at + len(edge)] = edge
    return bytes(out)


def _restructure(rng: random.Random, data: bytes) -> bytes:
    """Move, drop or double a part of the file, or let a length lie; checksums of PNG chunks are made good."""
    parts = _parts(data)
    at = rng.randrange(len(parts))
    kind = rng.randrange(5)
    if kind == 0:
        parts.insert(rng.randrange(len(parts) + 1), parts[at])
    elif kind == 1:
        del parts[at]
    elif kind == 2:
        other = rng.randrange(len(parts))
        parts[at], parts[other] = parts[other], parts[at]
    elif kind == 3:
        part = bytearray(parts[at])
        for _ in range(rng.randint(1, 4)):
            part[rng.randrange(min(len(part), 24))] = rng.randrange(256)
        parts[at] = bytes(part)
    else:
        parts[at] = parts[at] * rng.choice((2, 30, 150))
    if data.startswith(b"\x89PNG"):
        parts = [parts[0], *map(_with_good_checksum, parts[1:])]
    return b"".join(parts)


def _with_good_checksum(part: bytes) -> bytes:
    return part[:-4] + struct.pack(">I", zlib.crc32(part[4:-4])) if len(part) >= 12 else part


def _parts(data: bytes) -> list[bytes]:
    """Return the file cut into its header and its segments or chunks."""
    borders = [0, *(place.start for place in _places(data)), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(borders) if end > begin]


def _metadata(data: bytes) -> Iterator[range]:
    """Yield where bodies stand of segments and chunks that say nothing of colours."""
    for place in _places(data):
        head = data[place.start : place.start + 8]
        if data.startswith(b"\xff\xd8"):
            profile = data[place.start + 4 :].startswith((b"ICC", b"JFIF", b"Adobe"))
            if (0xE0 <= head[1] <= 0xEF or head[1] == 0xFE) and not profile:
                yield range(place.start + 4, place.stop)
        elif data.startswith(b"\x89PNG"):
            if head[4] & 0x20 and head[4:] not in (b"tRNS", b"iCCP", b"acTL") and len(place) > 12:
                yield range(place.start + 8, place.stop)
        elif head[:4] in (b"EXIF", b"XMP "):
            yield range(place.start + 8, place.stop)


def _places(data: bytes) -> Iterator[range]:
    """Yield where segments, chunks or, for files without any, runs of 16 bytes stand."""
    position = {b"\xff\xd8": 2, b"\x89P": 8, b"RI": 12}.get(data[:2], 16)
    while position + 8 <= len(data):
        if data.startswith(b"\xff\xd8"):
            length = 2 + int.from_bytes(data[position + 2 : position + 4])
            if data[position + 1] == 0xDA:
                length = len(data) - position
        elif data.startswith(b"\x89P"):
            length = 12 + int.from_bytes(data[position : position + 4])
        elif data.startswith(b"RI"):
            size = int.from_bytes(data[position + 4 : position + 8], "little")
            length = 8 + size + size % 2
        else:
            length = 16
        yield range(position, min(position + length, len(data)))
        position += length
