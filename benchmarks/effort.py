"""What encoder effort gains and costs: ``python -m benchmarks.effort --pictures DIR``.

For each effort: the bits for the same PSNR beside effort 0 (BD-rate over the qualities, real bytes, the path "mse"),
and how long an encode takes. The efforts take turns on each picture and quality, so that a busy machine slows all of
them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

import bjontegaard
import torch
from tqdm import tqdm

from benchmarks.picture import photo_like
from manypath.codec import Codec, Rate
from manypath.image import Image
from manypath.paths import DecodePath
from manypath_lab.evaluation.judges.fidelity import psnr
from manypath_pictures.reader import read_picture


class Encoded(NamedTuple):
    """One picture at one quality: bits per pixel, PSNR in decibels, and the encode's milliseconds."""

    bpp: float
    decibels: float
    milliseconds: float


class Row(NamedTuple):
    """One effort over all pictures.

    Attributes:
        effort: which.
        bd_rate: percent of bits at equal PSNR, beside effort 0.
        bits: percent of bits at the same quality, the mean over qualities.
        decibels: of PSNR more at the same quality, the mean over qualities.
        milliseconds: median of an encode.
    """

    effort: int
    bd_rate: float
    bits: float
    decibels: float
    milliseconds: float


def encoded(codec: Codec, image: Image, quality: float, effort: int) -> Encoded:
    """Encode and decode one picture."""
    begun = time.perf_counter()
    stream = codec.encode(image, Rate(quality=quality, effort=effort))
    took = time.perf_counter() - begun
    again = codec.decode(stream, path=DecodePath.MSE)
    return Encoded(8 * len(stream) / (image.shape[0] * image.shape[1]), psnr(image, again), 1000 * took)


def measure(codec: Codec, images: list[Image], qualities: list[float]) -> list[Row]:
    """Return a row for each effort that the codec has."""
    efforts = range(codec.most_effort + 1)
    for effort in efforts:  # the first call measures the model
        for quality in qualities:
            codec.encode(images[0][:64, :64], Rate(quality=quality, effort=effort))
    runs = [
        [[encoded(codec, image, quality, effort) for effort in efforts] for image in images]
        for quality in tqdm(qualities, disable=None)
    ]
    curves = [
        [tuple(fmean(values) for values in zip(*(own[effort] for own in run), strict=True)) for run in runs]
        for effort in efforts
    ]
    base = curves[0]
    rows = []
    for effort, curve in zip(efforts, curves, strict=True):
        percent = bjontegaard.bd_rate(
            *([point[column] for point in points] for points in (base, curve) for column in (0, 1)),
            method="pchip",
            require_matching_points=False,
            min_overlap=0.0,
        )
        bits = fmean(100 * (own[0] / old[0] - 1) for own, old in zip(curve, base, strict=True))
        decibels = fmean(own[1] - old[1] for own, old in zip(curve, base, strict=True))
        took = median(own[effort].milliseconds for run in runs for own in run)
        rows.append(Row(effort, float(percent), bits, decibels, took))
    return rows


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="folder of PNG pictures (default: three made ones)")
    parser.add_argument("--model", default="edge", help="(default: %(default)s)")
    parser.add_argument("--dtype", default="auto", help="of the transforms (default: %(default)s)")
    parser.add_argument("--qualities", default="1,2,3,4,5,6,7,8", metavar="Q,Q", help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    codec = Codec.load(args.model, dtype=args.dtype)
    if args.pictures:
        images = [read_picture(file.read_bytes()) for file in sorted(args.pictures.rglob("*.png"))]
    else:
        images = [photo_like(512, 768, seed) for seed in range(3)]
    rows = measure(codec, images, [float(text) for text in args.qualities.split(",")])
    print(f"{codec.name} {codec.model_digest}, {len(images)} pictures, {args.threads} thread(s)\n")
    print("| effort | BD-rate, PSNR | bits at a quality | PSNR at a quality | encode, ms | times effort 0 |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.effort} | {row.bd_rate:+.2f} % | {row.bits:+.1f} % | {row.decibels:+.2f} dB "
            f"| {row.milliseconds:.0f} | {row.milliseconds / rows[0].milliseconds:.1f} |"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
