"""The pictures of a folder, each with a digest of its pixels."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from manypath.errors import ImageError
from manypath_pictures.errors import PictureError
from manypath_pictures.reader import SUFFIXES, read_picture

Pixels = npt.NDArray[np.uint8]


class Picture(NamedTuple):
    """One test picture.

    Attributes:
        name: File name without its folder.
        pixels: uint8 [H, W, 3], RGB.
        digest: SHA-256 over shape and pixels, hexadecimal; independent of how the file stores them.
    """

    name: str
    pixels: Pixels
    digest: str


def pixel_digest(pixels: Pixels) -> str:
    """Return the SHA-256 of a picture's shape and pixels, as 64 hexadecimal digits."""
    shape = "x".join(str(side) for side in pixels.shape).encode()
    return hashlib.sha256(shape + b"\0" + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def folder_digest(digests: Sequence[str]) -> str:
    """Return one digest for a set of pictures, whatever their names and order."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def list_pictures(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the picture files directly inside ``folder``, sorted by name; sub-folders are not searched.

    Raises:
        ImageError: The folder does not exist or holds no picture.
    """
    if not folder.is_dir():
        raise ImageError(f"pictures must be a folder, got {str(folder)!r}, which is none; check the path")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        kinds = " ".join(sorted(SUFFIXES))
        raise ImageError(f"no pictures in {str(folder)!r}; files ending in one of {kinds} are accepted")
    return files


def load_picture(file: pathlib.Path) -> Picture:
    """Read one picture file as sRGB, turned upright as its EXIF orientation says.

    Raises:
        ImageError: The file cannot be read as a picture, or has transparent pixels.
    """
    try:
        pixels = read_picture(file.read_bytes())
    except (PictureError, OSError) as err:
        raise ImageError(f"{file.name} cannot be read as a picture: {err}") from err
    return Picture(file.name, pixels, pixel_digest(pixels))
