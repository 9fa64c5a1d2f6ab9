"""Chooses test pictures by what the detector finds in them: a set for detection out of sets made for other things."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from manypath_lab.detector.boxes import OnnxDetector
from manypath_lab.evaluation.pictures import list_pictures, load_picture

STREET = (
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "bus",
    "train",
    "truck",
    "traffic light",
    "stop sign",
)
"""Classes of what cameras in streets are bought for."""
SURE = 0.5
"""Least score of a box that makes a picture one of the set; agreement is judged from 0.3 on."""


class Choice(NamedTuple):
    """A picture that was chosen.

    Attributes:
        file: its name in the new set.
        source: folder that it came from, by name.
        digest: of its pixels, SHA-256.
        boxes: of the chosen classes, at ``SURE`` or more.
    """

    file: str
    source: str
    digest: str
    boxes: int


def choose(
    folders: Sequence[Path],
    output: Path,
    detector: OnnxDetector,
    *,
    names: Sequence[str],
    classes: Sequence[str] = STREET,
    score: float = SURE,
) -> list[Choice]:
    """Copy the pictures that show one of some classes into a folder, with choice.csv.

    Args:
        folders: of pictures, or with a folder ``images`` of them.
        output: must not exist.
        detector: whose boxes decide.
        names: of its classes, by index.
        classes: of which a picture must show one.
        score: that its box must have.

    Returns:
        What was chosen, by name; the same pictures give the same choice, whatever they are called.

    Raises:
        ImageError: a folder holds no pictures, or one that cannot be read.
        ValueError: the detector has no such class.
        FileExistsError: ``output`` is there.
    """
    unknown = [name for name in classes if name not in names]
    if unknown:
        raise ValueError(f"classes must be some of {', '.join(names)}; got {', '.join(unknown)}")
    wanted = {names.index(name) for name in classes}
    output.mkdir(parents=True)
    chosen: dict[str, Choice] = {}
    for folder in folders:
        inner = folder / "images"
        for file in list_pictures(inner if inner.is_dir() else folder):
            picture = load_picture(file)
            found = detector.find(picture.pixels)
            boxes = sum(
                int(index) in wanted and float(value) >= score
                for index, value in zip(found.classes, found.scores, strict=True)
            )
            if boxes and picture.digest not in chosen:
                name = f"{folder.name}-{file.name}"
                shutil.copyfile(file, output / name)
                chosen[picture.digest] = Choice(name, folder.name, picture.digest, boxes)
    rows = sorted(chosen.values())
    with (output / "choice.csv").open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerow(Choice._fields)
        writer.writerows(rows)
    return rows
