"""Reads what ``manypath lab eval compare`` wrote, as curves of one value over bits per pixel."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from manypath.errors import RequestError
from manypath_lab.evaluation.judges.fidelity import ms_ssim_db


class Measure(NamedTuple):
    """What can be drawn.

    Attributes:
        key: short name.
        title: what a person calls it.
        unit: of the axis, and which way is better.
    """

    key: str
    title: str
    unit: str


MEASURES = (
    Measure("psnr", "Fidelity", "PSNR, dB; up is better"),
    Measure("perceptual", "Perception", "distance of deep features; down is better"),
    Measure("ms-ssim", "Structure", "MS-SSIM, dB; up is better"),
    Measure("top1", "Classification", "top-1{by}, %; up is better"),
    Measure("miou", "Segmentation", "mIoU{by}, %; up is better"),
    Measure("f1", "Detection", "boxes as on the original{by}, F1, %; up is better"),
)
_BY_KEY = {measure.key: measure for measure in MEASURES}
_ACCURACIES = frozenset({"top1", "miou", "f1"})


class Line(NamedTuple):
    """One codec, or one of our paths.

    Attributes:
        name: short name.
        label: for people.
        path: ours, or empty for a baseline.
        points: (bits per pixel, value), rates rising.
    """

    name: str
    label: str
    path: str
    points: tuple[tuple[float, float], ...]


class Panel(NamedTuple):
    """One measure on one set of pictures.

    Attributes:
        measure: what is drawn.
        unit: of the axis.
        pictures: how many, 0 where it is not written down.
        folder: their folder's name.
        lines: ours first.
        original: the value on the originals, or None.
    """

    measure: Measure
    unit: str
    pictures: int
    folder: str
    lines: tuple[Line, ...]
    original: float | None = None

    def joined(self, other: Panel) -> Panel:
        """Return both panels' lines if they are of the same pictures, else the other panel."""
        if (self.folder, self.unit) != (other.folder, other.unit):
            return other
        lines = {line.name: line for line in (*self.lines, *other.lines)}
        return other._replace(
            lines=_ours_first(lines.values()),
            pictures=max(self.pictures, other.pictures),
            original=self.original if other.original is None else other.original,
        )


def read(runs: Sequence[pathlib.Path]) -> list[Panel]:
    """Return what the folders hold, in the order of ``MEASURES``.

    Folders that measured the same pictures add to one another. Where several sets were judged by one measure, the last
    counts, but for PSNR of sets with a task of their own, which gives way to that of plain pictures. MS-SSIM stands in
    for the perceptual distance where that was not measured; of several networks the first is drawn.

    Raises:
        RequestError: a folder holds nothing that ``eval compare`` wrote, or a file is damaged.
    """
    panels: dict[str, Panel] = {}
    fidelity: list[Panel] = []
    for run in runs:
        sets = [of_set for file in sorted(run.glob("*.json")) if (of_set := _read_file(file))]
        if not sets:
            raise RequestError(f"{run} holds no measurement; give a folder that `manypath lab eval compare` wrote")
        for of_set in sets:
            task = any(panel.measure.key in _ACCURACIES for panel in of_set)
            for panel in of_set:
                key = panel.measure.key
                if task and key not in _ACCURACIES:
                    fidelity.append(panel)
                else:
                    panels[key] = panels[key].joined(panel) if key in panels else panel
    for panel in fidelity:
        panels.setdefault(panel.measure.key, panel)
    if "perceptual" in panels:
        panels.pop("ms-ssim", None)
    return [panels[measure.key] for measure in MEASURES if measure.key in panels]


def _read_file(file: pathlib.Path) -> list[Panel]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or "verdicts" not in content:
            return []
        return list(_panels(content))
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise RequestError(
            f"{file} is not what `manypath lab eval compare` writes: {type(err).__name__} {err}"
        ) from err


def _panels(content: dict[str, Any]) -> Iterator[Panel]:
    """Yield a panel per measure; published curves stay in eval's own charts."""
    seen = set()
    for verdict in content["verdicts"]:
        key = verdict["measure"]
        if key not in _BY_KEY or key in seen:
            continue
        seen.add(key)
        lines = []
        for curve in verdict["curves"]:
            points = [(point["bpp"], point["value"]) for point in curve["points"]]
            if key == "ms-ssim":
                points = [(bpp, ms_ssim_db(value)) for bpp, value in points]
            if len(points) > 1 and not curve["published"]:
                lines.append(Line(curve["name"], curve["label"], curve["path"], tuple(sorted(points))))
        if lines:
            unit = _BY_KEY[key].unit.format(by=f" of {verdict['judge']}")
            original = verdict["original"] if key in _ACCURACIES else None
            pictures = content["pictures"]
            ordered = _ours_first(lines)
            yield Panel(_BY_KEY[key], unit, pictures["measured"], pictures["folder"], ordered, original)


def _ours_first(lines: Iterable[Line]) -> tuple[Line, ...]:
    return tuple(sorted(lines, key=lambda line: not line.path))
