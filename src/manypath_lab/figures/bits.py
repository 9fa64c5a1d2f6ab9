"""``figure bits``: where the bits of a stream go, at several qualities on one scale."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from manypath.geometry import LATENT_PIXELS
from manypath_lab.figures.columns import GAP, HEADING, column, column_width, draw_heading, draw_picture, in_bytes
from manypath_lab.figures.sheet import INK, TOP, WIDTH, Map, Sheet, Spot, height_of, write_json, write_maps
from manypath_lab.figures.subject import Subject, encode

if TYPE_CHECKING:
    from manypath.codec import Codec
    from manypath_lab.evaluation.pictures import Pixels

QUALITIES = (1.0, 2.0, 4.0, 6.0, 8.0)
_COLOURS = "viridis"
_IN_A_ROW = 3
_BAR = 0.8  # inches below the maps
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class BitsData(NamedTuple):
    """What the figure shows.

    Attributes:
        subjects: the picture at each quality, lowest first.
        maps: bits per latent position, float32 [ceil(H/16), ceil(W/16)], in the same order.
    """

    subjects: list[Subject]
    maps: list[Map]


def compute(codec: Codec, image: Pixels, name: str, *, qualities: Sequence[float] = QUALITIES) -> BitsData:
    """Encode a picture at each quality and count.

    Raises:
        RequestError: the picture or a quality cannot be.
    """
    subjects = [encode(codec, image, name, quality) for quality in sorted(set(qualities))]
    return BitsData(subjects, [codec.bit_map(subject.stream) for subject in subjects])


def bits_per_pixel(bits: Map) -> Map:
    """Return bits per latent position as bits per pixel of the square that it stands for."""
    return bits / LATENT_PIXELS**2


def draw(data: BitsData) -> Sheet:
    """Return the figure: the original, then a map a quality."""
    first = data.subjects[0]
    count = min(_IN_A_ROW, len(data.maps) + 1)
    width = column_width(count)
    line = HEADING + height_of(first.image, width) + GAP
    rows = -(-(len(data.maps) + 1) // count)
    bottom = TOP + rows * line
    height, wide = first.image.shape[:2]
    why = "chequered: every second square is predicted from its neighbours"
    parts = (f"{first.name}, {wide}×{height}", f"model {first.model}", why)
    sheet = Sheet(bottom + _BAR, "Where the bits go", "  ·  ".join(parts))
    low, high = common_scale(data.maps)
    norm = LogNorm(low, high, clip=True)
    spot = column(0, count, TOP)
    draw_heading(sheet, spot, "original", "24 bpp")
    draw_picture(sheet, spot.down(HEADING), first.image)
    for number, (subject, bits) in enumerate(zip(data.subjects, data.maps, strict=True), start=1):
        spot = column(number % count, count, TOP + number // count * line)
        figures = f"{subject.bpp:.3f} bpp   {in_bytes(len(subject.stream))}"
        draw_heading(sheet, spot, f"quality {subject.quality:g}", figures, INK)
        axes = sheet.axes(spot.down(HEADING), height_of(first.image, width))
        axes.imshow(bits_per_pixel(bits), cmap=_COLOURS, norm=norm, interpolation="nearest", aspect="auto")
        # A position's square may reach beyond the picture; show as much as the picture has.
        axes.set_xlim(-0.5, wide / LATENT_PIXELS - 0.5)
        axes.set_ylim(height / LATENT_PIXELS - 0.5, -0.5)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
    ticks = FixedLocator([tick for tick in _TICKS if low <= tick <= high])
    words = ("bits per pixel", "of each square of 16×16 pixels, one scale for all")
    axes = sheet.colour_bar(
        *(Spot(WIDTH / 2 - 3.0, bottom + 0.1, 4.2), ScalarMappable(norm, _COLOURS), words),
        ticks=ticks,
        format=FuncFormatter(lambda tick, _: f"{tick:g}"),
    )
    axes.xaxis.set_minor_locator(NullLocator())
    return sheet


def common_scale(maps: Sequence[Map]) -> tuple[float, float]:
    """Return the ends of one scale for all maps, their 1st and their 99.5th percentile, bits per pixel."""
    everything = np.concatenate([bits_per_pixel(bits).ravel() for bits in maps])
    low, high = np.percentile(everything, (1.0, 99.5))
    return max(float(low), 1e-4), max(float(high), 2e-4)


def facts(data: BitsData) -> dict[str, Any]:
    """Return the figures behind the figure; the maps themselves are in the NPZ."""
    rows = [
        {
            "quality": subject.quality,
            "bitstream_bytes": len(subject.stream),
            "bpp": subject.bpp,
            "map_bytes": float(bits.sum(dtype=np.float64)) / 8.0,
        }
        for subject, bits in zip(data.subjects, data.maps, strict=True)
    ]
    shared = {
        key: value
        for key, value in data.subjects[0].facts().items()
        if key not in ("quality", "bitstream_bytes", "bpp")
    }
    return {"figure": "bits", **shared, "scale_bits_per_pixel": common_scale(data.maps), "qualities": rows}


def write(data: BitsData, file: pathlib.Path) -> list[pathlib.Path]:
    """Write PNG and data (bits per latent position); return the files."""
    draw(data).save(file)
    write_json(file, facts(data))
    write_maps(file, {f"quality_{s.quality:g}": bits for s, bits in zip(data.subjects, data.maps, strict=True)})
    return [file, file.with_suffix(".json"), file.with_suffix(".npz")]
