"""Reads what ``manypath eval`` wrote, as curves of one value over bits per pixel."""

from __future__ import annotations

import csv
import json
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from manypath.errors import RequestError
from manypath.paths import DecodePath
from manypath_lab.evaluation.metrics import ms_ssim_db


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
)
_BY_KEY = {measure.key: measure for measure in MEASURES}
_RD_KEYS = {"psnr": "psnr_db", "perceptual": "perceptual", "ms-ssim": "ms_ssim"}  # of the points in rd.json


class Line(NamedTuple):
    """One codec, or one of our paths.

    Attributes:
        name: short name.
        label: for people.
        path: ours, or empty for a peer.
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

    Folders that measured the same pictures add to one another; of others the last one counts. MS-SSIM stands in for the
    perceptual distance where that was not measured.

    Raises:
        RequestError: a folder holds nothing that ``eval`` wrote, or a file is damaged.
    """
    panels: dict[str, Panel] = {}
    for run in runs:
        found = [panel for file in sorted(run.glob("*.*")) for panel in _read_file(file)]
        if not found:
            raise RequestError(f"{run} holds no measurement; give a folder that `manypath eval` wrote")
        for panel in found:
            key = panel.measure.key
            panels[key] = panels[key].joined(panel) if key in panels else panel
    if "perceptual" in panels:
        panels.pop("ms-ssim", None)
    return [panels[measure.key] for measure in MEASURES if measure.key in panels]


def _read_file(file: pathlib.Path) -> list[Panel]:
    try:
        if file.name == "cross.csv":
            return list(_from_cross(file))
        content = json.loads(file.read_text(encoding="utf-8")) if file.suffix == ".json" else None
        if not isinstance(content, dict) or "pictures" not in content:
            return []
        return list(_from_tasks(content) if "verdicts" in content else _from_rd(content))
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise RequestError(f"{file} is not what `manypath eval` writes: {type(err).__name__} {err}") from err


def _from_rd(content: dict[str, Any]) -> Iterator[Panel]:
    """Yield the panels of ``rd.json``; published curves stay in eval's own charts."""
    pictures = content["pictures"]
    measured = [curve for curve in content.get("curves", []) if curve.get("source") != "published"]
    for key, name in _RD_KEYS.items():
        lines = []
        for curve in measured:
            points = [(point["bpp"], point[name]) for point in curve["points"] if point.get(name) is not None]
            if key == "ms-ssim":
                points = [(bpp, ms_ssim_db(value)) for bpp, value in points]
            lines.append(_line(curve["name"], curve["label"], _path_of(curve["label"]), points))
        yield from _panel(key, _BY_KEY[key].unit, pictures, lines)


def _from_tasks(content: dict[str, Any]) -> Iterator[Panel]:
    """Yield the panels of ``cls.json`` and ``seg.json``: of each score that of the first network."""
    seen = set()
    for verdict in content["verdicts"]:
        key = verdict["score"]
        if key not in _BY_KEY or key in seen:
            continue
        seen.add(key)
        lines = []
        for curve in verdict["curves"]:
            points = [(point["bpp"], point["percent"]) for point in curve["points"]]
            lines.append(_line(curve["name"], curve["label"], curve["path"], points))
        unit = _BY_KEY[key].unit.format(by=f" of {verdict['network']}")
        yield from _panel(key, unit, content["pictures"], lines, verdict["original_percent"])


def _from_cross(file: pathlib.Path) -> Iterator[Panel]:
    """Yield the perceptual distance of each path out of ``cross.csv``, which has no peers."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    folders = dict.fromkeys(row["pictures"] for row in rows if row["metric"] == "perceptual")
    for folder in folders:
        table = {
            (row["metric"], row["path"], row["quality"]): float(row["value"])
            for row in rows
            if row["pictures"] == folder
        }
        points: dict[str, list[tuple[float, float]]] = {}
        for (metric, path, quality), value in table.items():
            if metric == "perceptual":
                points.setdefault(path, []).append((table["bpp", path, quality], value))
        found = [_line(path, f"Manypath {path}", path, own) for path, own in points.items()]
        yield from _panel("perceptual", _BY_KEY["perceptual"].unit, {"measured": 0, "folder": folder}, found)


def _line(name: str, label: str, path: str, points: Sequence[tuple[float, float]]) -> Line:
    return Line(name, label, path, tuple(sorted(points)))


def _panel(
    key: str, unit: str, pictures: dict[str, Any], lines: Sequence[Line], original: float | None = None
) -> Iterator[Panel]:
    """Yield the panel if there is a curve to draw."""
    drawn = [line for line in lines if len(line.points) > 1]
    if drawn:
        yield Panel(_BY_KEY[key], unit, pictures["measured"], pictures["folder"], _ours_first(drawn), original)


def _ours_first(lines: Iterable[Line]) -> tuple[Line, ...]:
    return tuple(sorted(lines, key=lambda line: not line.path))


def _path_of(label: str) -> str:
    """Return which of our paths a label of ``eval rd`` names: it begins with our name, and ends with a side's."""
    words = label.split()
    if words[:1] != ["Manypath"]:
        return ""
    return words[-1] if words[-1] in {path.value for path in DecodePath} else DecodePath.PERCEPTUAL.value
