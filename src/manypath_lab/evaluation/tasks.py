"""What a machine is asked: pictures with their truth, and the frozen networks that answer on them."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from manypath.errors import ImageError
from manypath_lab.evaluation.pictures import Picture, Pixels, load_picture

_T = TypeVar("_T")

Record = npt.NDArray[np.int32]
"""What is kept of one answer: a vector of whole numbers, of the judge's own layout."""


class Case(NamedTuple):
    """One picture and what is true of it.

    Attributes:
        picture: the original.
        truth: int32 [] for a class, uint8 [H, W] for a mask of classes.
    """

    picture: Picture
    truth: npt.NDArray[np.integer[Any]]


class Judge(Protocol):
    """A frozen network that answers on reconstructions."""

    @property
    def name(self) -> str:
        """Short name."""

    @property
    def label(self) -> str:
        """Name for people."""

    @property
    def version(self) -> str:
        """Everything that decides an answer: weights, preparation of the picture, layout of the record."""

    def question(self, case: Case) -> str:
        """Return what of the case, beside the picture, decides the record; part of the key of cached records."""

    def examine(self, cases: Sequence[Case], images: Sequence[Pixels]) -> list[Record]:
        """Return what the network says of each image, a reconstruction of the case beside it."""


def load_labelled(pictures: pathlib.Path, labels: pathlib.Path, limit: int | None = None) -> list[Case]:
    """Read pictures whose class stands in a CSV file with the columns ``file`` and ``label``.

    Args:
        pictures: the folder that ``file`` is relative to, or its folder ``images``.
        labels: the CSV file.
        limit: keep only so many, drawn evenly over the list so that classes stay mixed.

    Raises:
        ImageError: the table is not one, or names a picture that cannot be read.
    """
    try:
        with labels.open(newline="", encoding="utf-8") as handle:
            rows = [(row["file"], int(row["label"])) for row in csv.DictReader(handle)]
    except (OSError, KeyError, ValueError, TypeError) as err:
        raise ImageError(f"{labels} must be a CSV file with the columns file and label (0, 1, ...): {err!r}") from err
    if not rows:
        raise ImageError(f"{labels} names no picture")
    cases = []
    for file, label in evenly(rows, limit):
        found = pictures / file
        if not found.exists():
            found = pictures / pathlib.PurePosixPath(file).name  # the folder of the pictures themselves was given
        cases.append(Case(load_picture(found), np.asarray(label, dtype=np.int32)))
    return cases


def load_masked(folder: pathlib.Path, split: str = "val", limit: int | None = None) -> list[Case]:
    """Read ``folder/split/images`` with the masks of the same name in ``folder/split/masks`` (PNG of class indices).

    Raises:
        ImageError: a folder or mask is missing, or a mask has another size than its picture.
    """
    images, masks = folder / split / "images", folder / split / "masks"
    if not images.is_dir() or not masks.is_dir():
        raise ImageError(f"{folder} must hold {split}/images and {split}/masks")
    cases = []
    for file in evenly(sorted(images.iterdir()), limit):
        picture = load_picture(file)
        try:
            with Image.open(masks / f"{file.stem}.png") as opened:
                mask = np.array(opened, dtype=np.uint8)
        except OSError as err:
            raise ImageError(f"{file.name} has no readable mask in {masks}: {err}") from err
        if mask.shape != picture.pixels.shape[:2]:
            raise ImageError(f"the mask of {file.name} is {mask.shape}, its picture {picture.pixels.shape[:2]}")
        cases.append(Case(picture, mask))
    if not cases:
        raise ImageError(f"no picture in {images}")
    return cases


def evenly(items: Sequence[_T], limit: int | None) -> list[_T]:
    """Return at most ``limit`` items, evenly spaced over the sequence."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[number * len(items) // limit] for number in range(max(1, limit))]
