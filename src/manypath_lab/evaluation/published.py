"""Curves published by others, quoted beside our own measurement of the same pictures and never mixed up with it."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from manypath_lab.evaluation.codecs.codec import Line
from manypath_lab.evaluation.curve import Curve, Point

_KEYS = {"psnr": "psnr_db", "ms-ssim": "ms_ssim"}  # of the measures, in the files


def published(digest: str, measure: str) -> list[Curve]:
    """Return the published curves of a measure.

    Args:
        digest: of the pictures measured, as ``pictures.folder_digest`` gives it; of others nothing is quoted.
        measure: its name.
    """
    key = _KEYS.get(measure, "")
    return [
        Curve(
            Line(entry["name"], entry["label"], entry["source"]),
            tuple(
                Point(float(number), bpp, value)
                for number, (bpp, value) in enumerate(zip(entry["bpp"], entry[key], strict=True), start=1)
            ),
            published=True,
        )
        for content in published_sets()
        if content["folder"] == digest
        for entry in content["curves"]
        if key in entry
    ]


def published_sets() -> list[dict[str, Any]]:
    """Return what others measured, by set of pictures: ``folder`` is its digest, ``curves`` are their points."""
    folder = resources.files("manypath_lab.evaluation") / "published_data"
    return [json.loads(file.read_text(encoding="utf-8")) for file in folder.iterdir() if file.name.endswith(".json")]
