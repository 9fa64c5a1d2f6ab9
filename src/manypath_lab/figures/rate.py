"""``figure rate``: how much of the analysis takes the high-quality path, and what that costs in bits."""

from __future__ import annotations

import csv
import io
import pathlib
import statistics
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from manypath.multipath.routing import main_share
from manypath.quality import LEVELS
from manypath_lab.figures.sheet import BODY, INK, MARGIN, QUIET, SMALL, TOP, WIDTH, Sheet, Spot, beside, write_json

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from manypath.codec import Codec
    from manypath_lab.evaluation.pictures import Pixels

QUALITIES = tuple(float(level) for level in range(1, LEVELS + 1))
_LINE, _FAINT = "#D55E00", "#b8b8b8"
_CHART = 3.9  # inches high
_LEFT = 0.55  # inches for an axis' numbers and name


class RatePoint(NamedTuple):
    """One picture at one quality.

    Attributes:
        picture: its name.
        quality: 1 to 8.
        rho_enc: share of tokens on the analysis' high-quality path, 0..1.
        bitstream_bytes: header included.
        bpp: bits per pixel.
    """

    picture: str
    quality: float
    rho_enc: float
    bitstream_bytes: int
    bpp: float


class RateData(NamedTuple):
    """What the figure shows.

    Attributes:
        folder: name of the folder of pictures.
        model: name of the model.
        digest: of the model, hexadecimal.
        points: all pictures at all qualities, picture by picture, qualities rising.
    """

    folder: str
    model: str
    digest: str
    points: list[RatePoint]

    @property
    def pictures(self) -> dict[str, list[RatePoint]]:
        """Each picture's points."""
        points: dict[str, list[RatePoint]] = {}
        for point in self.points:
            points.setdefault(point.picture, []).append(point)
        return points

    @property
    def mean(self) -> list[tuple[float, float]]:
        """The mean over pictures: (rho_enc, bpp), rho_enc rising."""
        shares = sorted({point.rho_enc for point in self.points})
        return [(rho, statistics.fmean(p.bpp for p in self.points if p.rho_enc == rho)) for rho in shares]


def rho_enc(quality: float) -> float:
    """Return the share of tokens on the analysis' high-quality path, in 0..1."""
    return float(main_share(torch.tensor(float(quality), dtype=torch.float64)))


def compute(
    codec: Codec,
    pictures: Sequence[tuple[str, Callable[[], Pixels]]],
    folder: str,
    *,
    qualities: Sequence[float] = QUALITIES,
    advance: Callable[[], object] = lambda: None,
) -> RateData:
    """Encode every picture at every quality.

    Args:
        codec: the model.
        pictures: each a name and what reads it.
        folder: their folder's name.
        qualities: 1 to 8.
        advance: called after each stream.

    Raises:
        RequestError: a picture or a quality cannot be.
    """
    points = []
    for name, read in pictures:
        image = read()
        for quality in sorted(set(qualities)):
            count = len(codec.encode(image, quality=quality))
            bpp = 8.0 * count / (image.shape[0] * image.shape[1])
            points.append(RatePoint(name, quality, rho_enc(quality), count, bpp))
            advance()
    return RateData(folder, codec.name, codec.model_digest, points)


def draw(data: RateData) -> Sheet:
    """Return the figure: the rule on the left, what it costs on the right."""
    count = len(data.pictures)
    parts = (f"{count} picture{'s' if count > 1 else ''} of {data.folder}", f"model {data.model}")
    sheet = Sheet(
        TOP + 0.5 + _CHART + 0.85, "Quality decides how much takes the high-quality path", "  ·  ".join(parts)
    )
    width = (WIDTH - 2 * MARGIN - 2 * _LEFT - 0.35) / 2
    left = Spot(MARGIN + _LEFT, TOP + 0.5, width)
    right = left._replace(left=left.left + width + 0.35 + _LEFT)
    for spot, text in ((left, "the rule: share ρ of tokens on that path"), (right, "the cost: bits per pixel over ρ")):
        sheet.text(spot.left - _LEFT, TOP + 0.15, text, size=BODY, weight="bold", va="center")
    _draw_rule(sheet.chart(left, _CHART), sorted({point.quality for point in data.points}))
    _draw_cost(sheet.chart(right, _CHART), data)
    return sheet


def _draw_rule(axes: Axes, qualities: Sequence[float]) -> None:
    fine = np.linspace(1.0, LEVELS, 141)
    axes.plot(fine, [rho_enc(quality) for quality in fine], color=_LINE, linewidth=2.8)
    axes.plot(qualities, [rho_enc(quality) for quality in qualities], "o", color=_LINE, markersize=7)
    for quality in qualities:
        # To the upper left of the rising curve; the first one would stand on the axis there.
        shift, side = ((0, 9), "center") if quality == qualities[0] else ((-4, 7), "right")
        place = (quality, rho_enc(quality))
        axes.annotate(f"{place[1]:.2f}", place, shift, textcoords="offset points", ha=side, fontsize=SMALL, color=INK)
    axes.set_xlim(0.4, LEVELS + 0.25)
    axes.set_ylim(-0.03, 1.08)
    axes.set_xticks(range(1, LEVELS + 1))
    axes.set_xlabel("quality", fontsize=BODY, color=INK)


def _draw_cost(axes: Axes, data: RateData) -> None:
    for points in data.pictures.values():
        axes.plot([point.rho_enc for point in points], [point.bpp for point in points], color=_FAINT, linewidth=1.0)
    mean = data.mean
    axes.plot(*zip(*mean, strict=True), color=_LINE, linewidth=2.8, marker="o", markersize=7)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(0.0, max(point.bpp for point in data.points) * 1.08)
    axes.set_xlabel("ρ, share of tokens on the high-quality path", fontsize=BODY, color=INK)
    handles = [axes.plot([], [], color=_LINE, linewidth=2.8, marker="o", label="mean")[0]]
    if len(data.pictures) > 1:
        handles += [axes.plot([], [], color=_FAINT, linewidth=1.4, label="each picture")[0]]
    axes.legend(handles=handles, loc="upper left", frameon=False, fontsize=SMALL + 1, labelcolor=QUIET)


def facts(data: RateData) -> dict[str, Any]:
    """Return the figures behind the figure; the pictures' own are in the CSV."""
    return {
        "figure": "rate",
        "folder": data.folder,
        "pictures": len(data.pictures),
        "model": data.model,
        "model_digest": data.digest,
        "rho_enc": {f"{point.quality:g}": point.rho_enc for point in data.points},
        "mean_bpp": [{"rho_enc": rho, "bpp": bpp} for rho, bpp in data.mean],
    }


def write(data: RateData, file: pathlib.Path) -> list[pathlib.Path]:
    """Write PNG and data; return the files."""
    draw(data).save(file)
    write_json(file, facts(data))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(RatePoint._fields)
    for point in data.points:
        share = f"{point.rho_enc:.6f}"
        writer.writerow([point.picture, f"{point.quality:g}", share, point.bitstream_bytes, f"{point.bpp:.6f}"])
    beside(file, ".csv").write_text(table.getvalue(), encoding="utf-8")
    return [file, file.with_suffix(".json"), file.with_suffix(".csv")]
