"""Sets of pictures by what is known of them: nothing, a class each, or a mask each.

A folder tells by what it holds which kind it is. A kind brings the judges that are asked by default and the settings
at which other codecs are worth measuring. To add one, write its reader and put it into ``KINDS``.
"""

from __future__ import annotations

import csv
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from manypath.errors import ImageError, RequestError
from manypath_lab.evaluation.pictures import Picture, list_pictures, load_picture
from manypath_pictures.errors import PictureError
from manypath_pictures.reader import read_indexes

_T = TypeVar("_T")


class Case(NamedTuple):
    """One picture and what is true of it.

    Attributes:
        picture: the original.
        truth: as its kind of set has it: None, int32 [] for a class, uint8 [H, W] for a mask of classes.
    """

    picture: Picture
    truth: Any = None


Load = Callable[[], Case]
"""Reads one case; raises ImageError if it cannot be read."""


class Kind(NamedTuple):
    """What pictures of a set have in common.

    Attributes:
        name: short name.
        path: our path that is made for it.
        judges: names of the judges that are asked by default, the most telling first.
        fits: whether a folder is of this kind.
        read: a folder's cases, unread.
        qualities: settings of other codecs, where they are not the codec's own.
    """

    name: str
    path: str
    judges: tuple[str, ...]
    fits: Callable[[pathlib.Path], bool]
    read: Callable[[pathlib.Path], Sequence[Load]]
    qualities: Mapping[str, tuple[int, ...]]


class PictureSet(NamedTuple):
    """Pictures to measure on.

    Attributes:
        name: the folder's.
        kind: what is known of them.
        loads: one per picture, which reads it.
    """

    name: str
    kind: Kind
    loads: tuple[Load, ...]


def open_set(folder: str | pathlib.Path, limit: int | None = None) -> PictureSet:
    """Return the set that a folder holds.

    Args:
        folder: with a table ``labels.csv`` (columns ``file`` and ``label``), with ``images`` and ``masks`` (or these
            below ``val``), or with pictures.
        limit: keep only so many, drawn evenly over the list so that classes stay mixed.

    Raises:
        ImageError: the folder does not exist or holds none of these.
        RequestError: the limit keeps nothing.
    """
    if limit is not None and limit < 1:
        raise RequestError(f"--limit must be at least 1, got {limit}")
    root = pathlib.Path(folder)
    kind = next(kind for kind in KINDS if kind.fits(root))
    return PictureSet(root.resolve().name, kind, tuple(evenly(kind.read(root), limit)))


def evenly(items: Sequence[_T], limit: int | None) -> list[_T]:
    """Return at most ``limit`` items, evenly spaced over the sequence."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[number * len(items) // limit] for number in range(limit)]


def _plain(file: pathlib.Path) -> Case:
    return Case(load_picture(file))


def _read_plain(folder: pathlib.Path) -> list[Load]:
    return [functools.partial(_plain, file) for file in list_pictures(folder)]


def _labelled(file: pathlib.Path, label: int) -> Case:
    return Case(load_picture(file), np.asarray(label, dtype=np.int32))


def _read_labelled(folder: pathlib.Path) -> list[Load]:
    """Return the pictures that ``labels.csv`` names.

    Raises:
        ImageError: the table is not one, or is empty.
    """
    table = folder / "labels.csv"
    try:
        with table.open(newline="", encoding="utf-8") as handle:
            rows = [(row["file"], int(row["label"])) for row in csv.DictReader(handle)]
    except (OSError, KeyError, ValueError, TypeError) as err:
        raise ImageError(f"{table} must be a CSV file with the columns file and label (0, 1, ...): {err!r}") from err
    if not rows:
        raise ImageError(f"{table} names no picture")
    return [functools.partial(_labelled, folder / file, label) for file, label in rows]


def _masks_in(folder: pathlib.Path) -> pathlib.Path | None:
    """Return the folder that holds ``images`` and ``masks``: the folder itself or its validation split."""
    for place in (folder, folder / "val"):
        if (place / "images").is_dir() and (place / "masks").is_dir():
            return place
    return None


def _masked(file: pathlib.Path, mask_file: pathlib.Path) -> Case:
    picture = load_picture(file)
    try:
        mask = read_indexes(mask_file.read_bytes())
    except (PictureError, OSError) as err:
        raise ImageError(f"{file.name} has no readable mask {mask_file}: {err}") from err
    if mask.shape != picture.pixels.shape[:2]:
        raise ImageError(f"the mask of {file.name} is {mask.shape}, its picture {picture.pixels.shape[:2]}")
    return Case(picture, mask)


def _read_masked(folder: pathlib.Path) -> list[Load]:
    place = _masks_in(folder)
    assert place is not None  # for the type checker: the kind fits
    files = list_pictures(place / "images")
    return [functools.partial(_masked, file, place / "masks" / f"{file.stem}.png") for file in files]


LABELLED = Kind(
    "labelled",
    "classification",
    ("lite0", "psnr"),
    lambda folder: (folder / "labels.csv").is_file(),
    _read_labelled,
    # From a loss of some 8 points down to one of 1, on photos of 227x227.
    {
        "jpeg": (26, 38, 52, 66, 78, 86, 91, 95),
        "webp": (38, 52, 66, 76, 84, 90, 95),
        "avif": (38, 46, 55, 64, 72, 80, 88),
        "jxl": (40, 52, 62, 72, 80, 87, 92),
    },
)
MASKED = Kind(
    "masked",
    "segmentation",
    ("segmenter", "psnr"),
    lambda folder: _masks_in(folder) is not None,
    _read_masked,
    # The same losses, on street scenes of 480x360.
    {
        "jpeg": (12, 18, 26, 38, 52, 66, 78, 88, 95),
        "webp": (8, 15, 25, 38, 52, 66, 80, 90),
        "avif": (10, 16, 22, 30, 38, 46, 55, 66, 76, 86),
        "jxl": (8, 15, 22, 28, 40, 52, 66, 80, 90),
    },
)
PLAIN = Kind("plain", "mse", ("psnr", "ms-ssim", "perceptual"), lambda _: True, _read_plain, {})

KINDS = (LABELLED, MASKED, PLAIN)
"""The last one fits any folder."""
