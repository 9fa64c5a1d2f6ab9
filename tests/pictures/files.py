"""Picture files as cameras, phones and programs write them, and as nobody should."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Samples = npt.NDArray[np.uint8]


def scene(width: int = 48, height: int = 32, seed: int = 5) -> Samples:
    """Return a shaded picture with some grain and sharp corners, uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    shades = np.stack([200 * across, 180 * down, 120 + 100 * across * down], axis=-1)
    shades[height // 3 : height // 2, width // 4 : width // 2] = (230, 40, 20)
    return np.clip(shades + rng.normal(0, 4, shades.shape), 0, 255).astype(np.uint8)


def saved(picture: Image.Image | Samples, kind: str = "PNG", **options: Any) -> bytes:
    """Return a picture as a file of that kind."""
    out = io.BytesIO()
    (Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture).save(out, kind, **options)
    return out.getvalue()


def opened(data: bytes) -> Samples:
    """Return a sound file's samples as RGB, by the library alone."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def tiff(entries: list[tuple[int, int, int, bytes]], order: str = ">") -> bytes:
    """Return an EXIF block with these entries (tag, type, count, four bytes) in its first directory."""
    head = (b"MM" if order == ">" else b"II") + struct.pack(f"{order}HIH", 42, 8, len(entries))
    body = b"".join(struct.pack(f"{order}HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return head + body + bytes(4)


def orientation_entry(value: int, order: str = ">") -> tuple[int, int, int, bytes]:
    return (0x0112, 3, 1, struct.pack(f"{order}HH", value, 0))


def segment(marker: int, body: bytes) -> bytes:
    """Return a JPEG segment."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """Return a JPEG with segments behind its start."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def many_scans(progressive: bytes, count: int) -> bytes:
    """Return a progressive JPEG with so many scans more, each a pass over the whole picture for a few bytes."""
    first = progressive.index(b"\xff\xda")
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00\x00"
    return progressive[:first] + scan * count + progressive[first:]


def chunk(name: bytes, body: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """Return a PNG with chunks behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def png_that_claims(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes whose header promises a large picture."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def webp_that_claims(width: int, height: int) -> bytes:
    """Return a lossless WebP of 38 bytes of one colour that claims a size."""
    bits = (width - 1) | (height - 1) << 14
    frame = b"\x2f" + struct.pack("<I", bits) + b"\x88\x88\x08" + bytes(10)
    body = b"WEBPVP8L" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _profile(space: bytes, bodies: dict[bytes, bytes]) -> bytes:
    """Return an ICC profile of a display with these tags."""
    start = 128 + 4 + 12 * len(bodies)
    table, data = struct.pack(">I", len(bodies)), b""
    for name, body in bodies.items():
        table += name + struct.pack(">II", start + len(data), len(body))
        data += body
    head = struct.pack(">I4sI4s4s4s", start + len(data), b"\0\0\0\0", 0x02400000, b"mntr", space, b"XYZ ")
    head = head.ljust(36, b"\0") + b"acsp"
    head = head.ljust(68, b"\0") + _fixed(0.9642) + _fixed(1.0) + _fixed(0.8249)
    return head.ljust(128, b"\0") + table + data


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256)) + b"\0\0"


def wide_gamut_profile() -> bytes:
    """Return an ICC profile of primaries as wide as Display P3's, with a gamma of 2.2."""
    return _profile(
        b"RGB ",
        {
            # Display P3's primaries, adapted to D50, and the profile connection space's white
            b"rXYZ": _xyz(0.5151, 0.2412, -0.0011),
            b"gXYZ": _xyz(0.2920, 0.6922, 0.0419),
            b"bXYZ": _xyz(0.1571, 0.0666, 0.7841),
            b"wtpt": _xyz(0.9642, 1.0, 0.8249),
            **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma(2.2)),
        },
    )


def grey_profile(gamma: float) -> bytes:
    """Return an ICC profile of greys."""
    return _profile(b"GRAY", {b"wtpt": _xyz(0.9642, 1.0, 0.8249), b"kTRC": _gamma(gamma)})
