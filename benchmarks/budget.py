"""How much work meeting a byte budget takes: ``python -m benchmarks.budget --pictures DIR``.

For each picture and budget: how often the analysis ran and how often the latents were coded, what share of the budget
the stream uses, and how long it took beside one encode at the quality that was found.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.command import command
from benchmarks.picture import photo_like
from manypath.bitstream import inspect
from manypath.budget import GOOD_SHARE
from manypath.codec import Codec, Rate, StageTimings
from manypath.errors import BudgetError
from manypath.image import Image as Image8
from manypath_pictures.reader import read_picture


class Row(NamedTuple):
    """One picture and one budget.

    Attributes:
        bpp: that was asked for.
        analyses: passes of the analysis.
        codings: passes of entropy parameters and coding.
        used: bytes of the stream over bytes of the budget.
        quality: that was found.
        ratio: time over that of one encode at that quality.
    """

    bpp: float
    analyses: int
    codings: int
    used: float
    quality: float
    ratio: float


class CountingTimings(StageTimings):
    """Counts how often each stage was timed as well."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[str, int] = {}

    def add(self, stage: str, seconds: float) -> None:
        """Add seconds to a stage, and one call."""
        super().add(stage, seconds)
        self.calls[stage] = self.calls.get(stage, 0) + 1


def measure(codec: Codec, image: Image8, bpp: float) -> Row | None:
    """Return what one budget took; None if the lowest quality needs more."""
    timings = CountingTimings()
    begin = time.perf_counter()
    try:
        stream = codec.encode(image, Rate(bpp=bpp), timings=timings)
    except BudgetError:
        return None
    took = time.perf_counter() - begin
    facts = inspect(stream)
    begin = time.perf_counter()
    codec.encode(image, quality=facts.quality)
    one = time.perf_counter() - begin
    analyses, codings = (timings.calls[stage] // facts.strips for stage in ("analysis", "entropy_parameters"))
    used = len(stream) / int(bpp * image.shape[0] * image.shape[1] / 8)
    return Row(bpp, analyses, codings, used, facts.quality, took / one)


def main() -> int:
    """Print one line a budget, and whether each was kept."""
    parser = command("budget", __doc__)
    parser.add_argument(
        "--pictures", type=Path, help="folder of PNG pictures of at most 4 Mpx (default: three made ones)"
    )
    parser.add_argument("--bpp", default="0.1,0.25,0.5,1.0", metavar="B,B", help="budgets (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    codec = Codec.load(args.model)
    if args.pictures:
        images = [read_picture(file.read_bytes()) for file in sorted(args.pictures.rglob("*.png"))]
    else:
        images = [photo_like(512, 768, seed) for seed in range(3)]
    codec.encode(images[0])  # the first call is slower
    print("budget    pictures  analyses     codings      time / one encode   of the budget used")
    print("                    mean  worst  mean  worst  mean    worst       lowest   mean")
    sound = True
    for bpp in tqdm([float(text) for text in args.bpp.split(",")], disable=None):
        rows = [row for row in (measure(codec, image, bpp) for image in images) if row is not None]
        if not rows:
            print(f"{bpp:<6g}bpp below the lowest quality of every picture")
            continue
        inside = [row.used for row in rows if row.quality < 8.0] or [1.0]
        sound &= max(row.used for row in rows) <= 1.0 and min(inside) >= GOOD_SHARE
        columns = [[getattr(row, field) for row in rows] for field in ("analyses", "codings", "ratio")]
        (analyses, codings, ratio) = [(float(np.mean(column)), max(column)) for column in columns]
        print(
            f"{bpp:<6g}bpp {len(rows):<9} {analyses[0]:<5.2f} {analyses[1]:<6} {codings[0]:<5.2f} {codings[1]:<6} "
            f"{ratio[0]:<7.2f} {ratio[1]:<11.2f} {100 * min(inside):.1f} %   {100 * float(np.mean(inside)):.1f} %"
        )
    print(
        f"{'PASS' if sound else 'MISSED'}: never above a budget, above {100 * GOOD_SHARE:.0f} % of it below quality 8"
    )
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
