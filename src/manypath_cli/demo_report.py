"""What the demo shows: a table, pictures side by side, and what Prometheus would scrape."""

from __future__ import annotations

import io
import math
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from manypath.errors import ManypathError
from manypath_cli.pictures import read_picture

if TYPE_CHECKING:
    from manypath_api.v1 import codec_pb2 as pb

Image = npt.NDArray[np.uint8]
Labels = list[tuple[str, float]]  # name and probability, best first

_SHOWN_METRICS = ("grpc_server_handled_total", "codec_bitstream_bytes_sum", "codec_rate_bpp_sum", "codec_queue_depth")
_GAP, _CAPTION = 12, 44  # pixels
_COLUMN = 36  # characters of a column of labels


class DemoError(ManypathError):
    """A service refused the demo's picture, or did not answer."""


class Report(NamedTuple):
    """What the camera learnt. Seconds are medians of warm calls, except ``first_seconds``."""

    facts: pb.BitstreamFacts
    bitstream: bytes
    file_bytes: int
    reconstruction: Image
    route: pb.Route
    classifier: str
    labels: Labels
    first_seconds: float
    labels_seconds: float
    picture_seconds: float
    encoder_stages: dict[str, float]
    decoder_stages: dict[str, float]
    device: str


class Jpeg(NamedTuple):
    """The photo as the best JPEG (4:2:0, optimised) that takes no more bytes than our bitstream.

    Attributes:
        image: decoded, uint8 [H, W, 3].
        size: of the file, bytes.
        quality: Pillow's, 1..95.
    """

    image: Image
    size: int
    quality: int


def read(file: bytes) -> Image:
    """Return the photo as the encoder will see it, uint8 [H, W, 3].

    Raises:
        ImageError: it is none.
    """
    return read_picture(file)


def decode_picture(file: bytes) -> Image:
    """Return a picture file of our own making, uint8 [H, W, 3]."""
    return np.asarray(PillowImage.open(io.BytesIO(file)).convert("RGB"))


def psnr(one: Image, other: Image) -> float:
    """Return the peak signal-to-noise ratio in dB over all samples."""
    error = float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def beside_jpeg(image: Image, most: int) -> Jpeg | None:
    """Return the best JPEG of at most that many bytes; None where even the worst takes more."""
    best: tuple[int, bytes] | None = None
    low, high = 1, 95
    while low <= high:
        quality = (low + high) // 2
        file = io.BytesIO()
        PillowImage.fromarray(image).save(file, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")
        if len(file.getvalue()) <= most:
            best, low = (quality, file.getvalue()), quality + 1
        else:
            high = quality - 1
    if best is None:
        return None
    return Jpeg(decode_picture(best[1]), len(best[1]), best[0])


def write_pictures(folder: Path, image: Image, report: Report, jpeg: Jpeg | None) -> list[Path]:
    """Write the bitstream, the reconstruction, and all pictures side by side; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    panels = [
        (image, "original", f"{report.file_bytes:,} bytes as it came"),
        (report.reconstruction, "manypath", _facts(image, report.reconstruction, len(report.bitstream))),
    ]
    if jpeg:
        panels.append((jpeg.image, f"JPEG, quality {jpeg.quality}", _facts(image, jpeg.image, jpeg.size)))
    stream, picture, together = folder / "photo.mpa", folder / "reconstruction.png", folder / "side-by-side.png"
    stream.write_bytes(report.bitstream)
    PillowImage.fromarray(report.reconstruction).save(picture)
    _side_by_side(panels).save(together)
    return [stream, picture, together]


def _facts(image: Image, other: Image, size: int) -> str:
    bpp = 8 * size / (image.shape[0] * image.shape[1])
    return f"{size:,} bytes, {bpp:.3f} bpp, {psnr(image, other):.2f} dB"


def _side_by_side(panels: list[tuple[Image, str, str]]) -> PillowImage.Image:
    height, width = panels[0][0].shape[:2]
    across = len(panels) * width + (len(panels) + 1) * _GAP
    canvas = PillowImage.new("RGB", (across, height + _CAPTION + 2 * _GAP), "white")
    draw = ImageDraw.Draw(canvas)
    title, facts = ImageFont.load_default(18), ImageFont.load_default(14)
    for number, (image, name, text) in enumerate(panels):
        left = _GAP + number * (width + _GAP)
        draw.text((left, _GAP // 2), name, "black", font=title)
        draw.text((left, _GAP // 2 + 22), text, "#444444", font=facts)
        canvas.paste(PillowImage.fromarray(image), (left, _GAP + _CAPTION))
    return canvas


def print_report(
    image: Image,
    report: Report,
    jpeg: Jpeg | None,
    *,
    labels: Mapping[str, Labels],
    paths: Sequence[Path],
    metrics_urls: Mapping[str, str],
) -> None:
    """Print the tables and where the rest is."""
    facts = report.facts
    print(f"\nPicture    {facts.width} x {facts.height}, {report.file_bytes:,} bytes as it came")
    print(f"Manypath   {_facts(image, report.reconstruction, facts.bytes)} (quality {facts.quality:g})")
    if jpeg:
        print(f"JPEG       {_facts(image, jpeg.image, jpeg.size)} (quality {jpeg.quality})")
    print(f"Model      {facts.model_digest} on {report.device}")
    _print_times(report)
    _print_labels(report, labels)
    print("\nWritten")
    for path in paths:
        print(f"  {path}")
    print("\nMetrics for Prometheus, while the services run; scraped once:")
    for service, url in metrics_urls.items():
        print(f"  {service:<9}{url}")
        for line in _scrape(url):
            print(f"           {line}")


def _print_times(report: Report) -> None:
    print("\nTime (median of warm calls)                 ms")
    # the uplink's seconds contain the decoder's and the worker's, which follow
    worker = report.decoder_stages.get("worker", 0.0)
    decoding = {stage: spent for stage, spent in report.decoder_stages.items() if stage != "worker"}
    transport = report.encoder_stages.get("uplink", 0.0) - sum(decoding.values()) - worker
    encoding = {stage: spent for stage, spent in report.encoder_stages.items() if stage != "uplink"}
    for service, stages in (("encoder", encoding), ("decoder", decoding)):
        for stage, seconds in stages.items():
            print(f"  {service:<9}{stage.replace('_', ' '):<26}{1000 * seconds:>9.1f}")
    print(f"  {'worker':<9}{report.classifier:<26}{1000 * worker:>9.1f}")
    print(f"  {'uplink':<9}{'gRPC, encoder to decoder':<26}{1000 * transport:>9.1f}")
    print(f"  end to end, labels back            {1000 * report.labels_seconds:>9.1f}")
    print(f"  end to end, labels and picture back{1000 * report.picture_seconds:>9.1f}")
    print(f"  the very first call                {1000 * report.first_seconds:>9.1f}")


def _print_labels(report: Report, labels: Mapping[str, Labels]) -> None:
    path = "the main path: this model has no classification side" if report.route.fallback else "the task's own path"
    print(f"\nTop {len(report.labels)} of {report.classifier}; the reconstruction took {path}")
    columns = [name for name in ("original", "reconstruction", "JPEG") if name in labels]
    print("  " + "".join(f"{name:<{_COLUMN}}" for name in columns).rstrip())
    for row in zip(*(labels[name] for name in columns), strict=True):
        print("  " + "".join(f"{f'{score:6.1%} {_cut(name)}':<{_COLUMN}}" for name, score in row).rstrip())


def _cut(name: str) -> str:
    room = _COLUMN - 9
    return name if len(name) <= room else name[: room - 1] + "…"


def _scrape(url: str) -> list[str]:
    """Return a few of the values that Prometheus would read."""
    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  (our own service, by http)
        page = response.read().decode()
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return [
        f"{sample.name}{sample.labels.get('grpc_method', '') and ' ' + sample.labels['grpc_method']} = {sample.value:g}"
        for sample in samples
        if sample.name in _SHOWN_METRICS
    ]
