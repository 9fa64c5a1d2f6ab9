"""Curves published by others, quoted beside our own measurement; drawn thin, never mixed up with it."""

from __future__ import annotations

import json
from importlib import resources
from typing import NamedTuple

from manypath_lab.evaluation.curve import Curve, RatePoint


class ReferenceSet(NamedTuple):
    """Published curves on one set of pictures.

    Attributes:
        name: ``kodak``.
        folder: Digest of the pictures they are valid for, as :func:`pictures.folder_digest` gives it.
        curves: The points; ``version`` names their source.
    """

    name: str
    folder: str
    curves: tuple[Curve, ...]


REFERENCE_SETS = ("kodak",)


def load_reference(name: str) -> ReferenceSet:
    """Read a reference set that ships with the package; ``name`` is one of ``REFERENCE_SETS``."""
    file = resources.files("manypath_lab.evaluation") / "reference_data" / f"{name}.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    curves = []
    for entry in content["curves"]:
        similarities = entry.get("ms_ssim", [None] * len(entry["bpp"]))
        points = tuple(
            RatePoint(float(number), bpp, psnr_db, ms_ssim, content["pictures"])
            for number, (bpp, psnr_db, ms_ssim) in enumerate(
                zip(entry["bpp"], entry["psnr_db"], similarities, strict=True), start=1
            )
        )
        curves.append(Curve(entry["name"], entry["label"], entry["source"], points, reference=True))
    return ReferenceSet(name, content["folder"], tuple(curves))


def reference_for(folder: str, wanted: str = "auto") -> tuple[Curve, ...]:
    """Return the published curves that fit a folder.

    Args:
        folder: Digest of the pictures measured.
        wanted: ``auto`` takes the set whose pictures these are, ``none`` takes none, a name takes that set
            whatever the pictures.
    """
    if wanted == "none":
        return ()
    if wanted != "auto":
        return load_reference(wanted).curves
    for name in REFERENCE_SETS:
        found = load_reference(name)
        if found.folder == folder:
            return found.curves
    return ()


def fits(folder: str, wanted: str) -> bool:
    """Return whether what :func:`reference_for` returned is of the pictures measured."""
    return wanted in {"auto", "none"} or load_reference(wanted).folder == folder
