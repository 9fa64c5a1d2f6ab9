"""The figures of a run as CSV, as a table for a page of Markdown, and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from manypath_lab.evaluation.bdrate import BdRate, Method
from manypath_lab.evaluation.curve import Curve

METRICS_NOTE = (
    "Real bytes, headers included. PSNR and MS-SSIM on 8-bit RGB, per picture, then averaged; so is the perceptual "
    "distance where it is given: of EfficientNet-Lite0's features, 0 is equal."
)


class Report(NamedTuple):
    """Everything that a run found.

    Attributes:
        folder_name: Name of the folder of pictures.
        folder: Digest of the pictures.
        pictures: How many were measured.
        skipped: One message per picture that was left out.
        curves: Measured curves.
        references: Published curves, quoted.
        comparisons: Bjontegaard delta rates.
        method: How they were interpolated.
        remarks: What a reader must know to trust a figure, or not to.
    """

    folder_name: str
    folder: str
    pictures: int
    skipped: tuple[str, ...]
    curves: tuple[Curve, ...]
    references: tuple[Curve, ...]
    comparisons: tuple[BdRate, ...]
    method: Method
    remarks: tuple[str, ...] = ()

    @property
    def all_curves(self) -> tuple[Curve, ...]:
        """Measured curves first, then quoted ones."""
        return self.curves + self.references


def to_csv(report: Report) -> str:
    """Return one line per codec and quality."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["codec", "quality", "bpp", "psnr_db", "ms_ssim", "perceptual", "pictures", "source", "version"])
    for curve in report.all_curves:
        source = "published" if curve.reference else "measured"
        for point in curve.points:
            similarity = "" if point.ms_ssim is None else f"{point.ms_ssim:.6f}"
            distance = "" if point.perceptual is None else f"{point.perceptual:.6f}"
            figures = [f"{point.quality:g}", f"{point.bpp:.6f}", f"{point.psnr_db:.4f}", similarity, distance]
            writer.writerow([curve.name, *figures, point.pictures, source, curve.version])
    return buffer.getvalue()


def to_json(report: Report) -> str:
    """Return the whole report as one JSON document."""
    content: dict[str, Any] = {
        "pictures": {
            "folder": report.folder_name,
            "digest": report.folder,
            "measured": report.pictures,
            "skipped": list(report.skipped),
        },
        "metrics": METRICS_NOTE,
        "curves": [
            {
                "name": curve.name,
                "label": curve.label,
                "version": curve.version,
                "source": "published" if curve.reference else "measured",
                "points": [point._asdict() for point in curve.points],
            }
            for curve in report.all_curves
        ],
        "remarks": list(report.remarks),
        "bd_rate": [comparison._asdict() for comparison in report.comparisons],
    }
    return json.dumps(content, indent=2) + "\n"


def to_markdown(report: Report) -> str:
    """Return points and delta rates as two Markdown tables."""
    pictures = f"{report.pictures} pictures of `{report.folder_name}`"
    lines = [
        f"# Rate and distortion on {pictures}",
        "",
        METRICS_NOTE,
        "",
        "| codec | bpp / PSNR dB / MS-SSIM / perceptual distance, one setting after another | version |",
        "|---|---|---|",
    ]
    for curve in report.all_curves:
        quoted = " (published)" if curve.reference else ""
        lines.append(f"| {curve.label}{quoted} | {_points(curve)} | {curve.version} |")
    lines += ["", *_comparison_lines(report.comparisons, report.method)]
    if report.remarks:
        lines += ["", *(f"- {remark}" for remark in report.remarks)]
    if report.skipped:
        lines += ["", f"{len(report.skipped)} left out:", *(f"- {message}" for message in report.skipped)]
    return "\n".join(lines) + "\n"


def bd_lines(comparisons: Sequence[BdRate]) -> list[str]:
    """Return the delta rates as plain lines for a terminal."""
    return [
        f"{one.curve} vs {one.anchor}, {one.metric}: {_percent(one)}  ({_range(one)}) {one.note}".rstrip()
        for one in comparisons
    ]


def _comparison_lines(comparisons: Sequence[BdRate], method: Method) -> list[str]:
    if not comparisons:
        return ["No delta rates: nothing to compare."]
    heading = (
        f"Bjontegaard delta rate ({method} over log-rate; negative: fewer bits at equal quality; only the "
        "quality range that both curves cover; MS-SSIM on the scale -10 log10(1 - value), the perceptual distance on "
        "-10 log10(distance))."
    )
    rows = [
        f"| {one.curve} | {one.anchor} | {one.metric} | {_percent(one)} | {_range(one)} | {one.note} |"
        for one in comparisons
    ]
    head = [
        "| codec | against | metric | BD-rate | range of quality | note |",
        "|---|---|---|---|---|---|",
    ]
    return [heading, "", *head, *rows]


def _percent(comparison: BdRate) -> str:
    return "n/a" if comparison.percent is None else f"{comparison.percent:+.1f} %"


def _range(comparison: BdRate) -> str:
    if comparison.percent is None:
        return "no range"
    return f"{comparison.low_db:.1f} to {comparison.high_db:.1f} dB, {comparison.overlap:.0%} of both curves"


def _points(curve: Curve) -> str:
    return ", ".join(
        f"{point.bpp:.3f}/{point.psnr_db:.2f}"
        + ("" if point.ms_ssim is None else f"/{point.ms_ssim:.4f}")
        + ("" if point.perceptual is None else f"/{point.perceptual:.3f}")
        for point in curve.points
    )
