"""What the demo prints: tables, and what Prometheus would scrape."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from manypath_api.v1 import codec_pb2 as pb
from manypath_cli.demo_camera import CLASSIFICATION, DETECTION, PATHS, SEGMENTATION, Report
from manypath_cli.demo_pictures import JPEG, ORIGINAL, Panel
from manypath_lab.detector.agreement import count
from manypath_lab.detector.boxes import Boxes

_SHOWN_METRICS = (
    "grpc_server_handled_total",
    "manypath_codec_bitstream_bytes_sum",
    "manypath_codec_rate_bpp_sum",
    "manypath_queue_depth",
)
_SHOWN_BOXES = 12
_COLUMN = 36  # characters of a column of labels


def print_shot(report: Report, shown: Sequence[Panel]) -> None:
    """Print what became of one photo."""
    facts = report.facts
    print(f"\n{report.shot.name}: {facts.width} x {facts.height}, {len(report.shot.file):,} bytes as it came")
    print(f"  one bitstream, quality {facts.quality:g}, model {facts.model_digest} on {report.device}")
    header = f"  {'':<34}{'':<36}"
    if SEGMENTATION in report.models:
        header += f"{'mask as the original':<22}"
    if DETECTION in report.models:
        header += f"{'boxes, of which as the original':<33}"
    print((header + (report.models.get(CLASSIFICATION, ""))).rstrip())
    reference = shown[0].look.mask
    for panel in shown:
        line = f"  {panel.title:<34}{panel.facts:<36}"
        if reference is not None and panel.look.mask is not None:
            line += f"{f'{np.mean(panel.look.mask == reference):.1%}':<22}"
        if panel.look.boxes is not None:
            same = count(_boxes(panel.look.boxes), _boxes(shown[0].look.boxes or ())).both
            line += f"{f'{len(panel.look.boxes)}, {same}':<33}"
        if panel.look.labels:
            name, score = panel.look.labels[0]
            line += f"{score:6.1%} {name}"
        print(line.rstrip())
    _print_labels(report, shown)
    _print_classes(report, shown)
    _print_boxes(report, shown)


def _boxes(found: Sequence[pb.Box]) -> Boxes:
    corners = np.array([(box.left, box.top, box.right, box.bottom) for box in found], np.float32).reshape(-1, 4)
    scores, classes = [box.score for box in found], [box.index for box in found]
    return Boxes(corners, np.array(scores, np.float32), np.array(classes, np.int32))


def _print_labels(report: Report, shown: Sequence[Panel]) -> None:
    if CLASSIFICATION not in report.models:
        return
    wanted = [_column(ORIGINAL, shown), _column(CLASSIFICATION, shown), _column(JPEG, shown)]
    columns = [panel for panel in wanted if panel is not None]
    print(f"  top {len(columns[0].look.labels)} of {report.models[CLASSIFICATION]}")
    print("    " + "".join(f"{_cut(panel.title):<{_COLUMN}}" for panel in columns).rstrip())
    for row in zip(*(panel.look.labels for panel in columns), strict=True):
        print("    " + "".join(f"{f'{score:6.1%} {_cut(name)}':<{_COLUMN}}" for name, score in row).rstrip())


def _print_classes(report: Report, shown: Sequence[Panel]) -> None:
    panel = _column(SEGMENTATION, shown)
    if panel is None or SEGMENTATION not in report.models:
        return
    classes = sorted((one for one in panel.look.classes if one.share >= 0.005), key=lambda one: -one.share)
    print(f"  {report.models[SEGMENTATION]}, on the path {panel.title}")
    print("    " + ", ".join(f"{one.name or one.index} {one.share:.1%}" for one in classes))


def _print_boxes(report: Report, shown: Sequence[Panel]) -> None:
    panel = _column(DETECTION, shown)
    if panel is None or panel.look.boxes is None:
        return
    print(f"  {report.models[DETECTION]}, on the path {panel.title}")
    named = [f"{box.name or box.index} {box.score:.2f}" for box in panel.look.boxes[:_SHOWN_BOXES]]
    print("    " + (", ".join(named) or "nothing found"))


def _column(name: str, shown: Sequence[Panel]) -> Panel | None:
    return next((panel for panel in shown if panel.title.startswith(name)), None)


def print_times(reports: Sequence[Report]) -> None:
    """Print where the time went, one column a photo."""
    print(f"\n{'Time in ms, medians of warm calls':<45}" + "".join(f"{report.shot.name:>12}" for report in reports))
    stages = dict.fromkeys(stage for report in reports for stage in report.times.stages)
    for service in dict.fromkeys(service for service, _ in stages):
        for stage in (stage for stage in stages if stage[0] == service):
            _print_row(f"  {service:<9}{stage[1].replace('_', ' ')}", [r.times.stages.get(stage) for r in reports])
    _print_row("  end to end, answers back", [report.times.answers for report in reports])
    _print_row(f"  end to end, {len(PATHS)} pictures and answers back", [report.times.everything for report in reports])
    _print_row("  the very first call (each task on each path)", [report.times.first for report in reports])


def _print_row(name: str, seconds: Sequence[float | None]) -> None:
    print(f"{name:<45}" + "".join(f"{'-' if one is None else f'{1000 * one:.1f}':>12}" for one in seconds))


def print_rest(files: Sequence[Path], metrics_urls: Mapping[str, str]) -> None:
    """Print where the pictures are, and what can be scraped."""
    print("\nWritten")
    for path in files:
        print(f"  {path}")
    print("\nMetrics for Prometheus, while the services run; scraped once:")
    for service, url in metrics_urls.items():
        print(f"  {service:<12}{url}")
        for line in _scrape(url):
            print(f"              {line}")


def _cut(name: str) -> str:
    room = _COLUMN - 9
    return name if len(name) <= room else name[: room - 1] + "…"


def _scrape(url: str) -> list[str]:
    """Return a few of the values that Prometheus would read."""
    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  (our own service, by http)
        page = response.read().decode()
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return [_sample(sample.name, sample.labels, sample.value) for sample in samples if sample.name in _SHOWN_METRICS]


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    shown = " ".join(labels[key] for key in ("grpc_method", "path") if key in labels)
    return f"{name}{shown and ' ' + shown} = {value:g}"
