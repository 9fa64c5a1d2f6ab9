import argparse
import csv
import pathlib

import numpy as np
import pytest
from PIL import Image

from manypath_lab.evaluation.codecs.pillow import Jpeg
from manypath_lab.evaluation.commands import add_parser
from manypath_lab.evaluation.drawn.errors import errors
from manypath_lab.evaluation.drawn.pictures import SIDE, DrawnPicture, drawn_pictures
from manypath_lab.evaluation.drawn.rivals import best_within
from manypath_lab.evaluation.pictures import Picture, pixel_digest
from tests.evaluation.conftest import synthetic_picture


def flat(level: int) -> DrawnPicture:
    return DrawnPicture("flat", np.full((64, 64, 3), level, dtype=np.uint8), flat=True)


def test_a_blotch_is_no_grid() -> None:
    drawn = flat(100)
    image = drawn.pixels.copy()
    image[:32, :32] += 8  # an eighth of a square's period is inside: means change, nothing repeats
    psnr, blotches, grid = errors(drawn, image)
    assert psnr == pytest.approx(10 * np.log10(255**2 / 16))
    assert blotches == pytest.approx(4.0)
    assert grid == pytest.approx(0.0)


def test_a_grid_is_no_blotch() -> None:
    drawn = flat(100)
    image = drawn.pixels.copy()
    image[::8] += 7  # one row in eight, of zero mean once the mean over the square is taken away
    image = (image - 7 / 8).astype(np.float64)  # type: ignore[assignment]
    _, blotches, grid = errors(drawn, image)
    assert blotches == pytest.approx(0.0)
    assert grid == pytest.approx(np.sqrt(np.mean([(7 - 7 / 8) ** 2, *[(7 / 8) ** 2] * 7])))


def test_only_the_box_of_a_timestamp_is_measured() -> None:
    pixels = synthetic_picture(120, 320)
    stamped, _ = drawn_pictures([Picture("a.png", pixels, pixel_digest(pixels))])[-2:]
    outside = stamped.pixels.copy()
    inside = outside.copy()
    outside[:20] ^= 255
    inside[stamped.region] ^= 255
    assert errors(stamped, outside).psnr == float("inf")
    assert errors(stamped, inside).psnr < 10
    changed = np.argwhere((stamped.pixels != pixels).any(-1))
    rows, columns = stamped.region
    for part, places in ((rows, changed[:, 0]), (columns, changed[:, 1])):
        assert part.start <= places.min()
        assert places.max() < part.stop


def test_a_rival_has_the_best_quality_that_fits_and_says_where_none_does() -> None:
    pixels, jpeg = synthetic_picture(96, 128), Jpeg()
    sizes = [len(jpeg.encode(pixels, quality)) for quality in range(1, 101)]
    for allowed in (sizes[0], 2000, 5000):
        rival = best_within(jpeg, pixels, allowed)
        assert rival.fits
        assert rival.bytes == max(size for size in sizes if size <= allowed)
    smallest = best_within(jpeg, pixels, sizes[0] - 1)
    assert not smallest.fits
    assert smallest.bytes == sizes[0]


def test_the_command_writes_table_and_sheets(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    parser = argparse.ArgumentParser(prog="manypath")
    add_parser(parser.add_subparsers())
    output = tmp_path / "out"
    arguments = ["--output", str(output), "--model", "tiny-random", "--qualities", "2", "--baseline", "jpeg"]
    parsed = parser.parse_args(["eval", "drawn", *arguments, "--pictures", str(folder), "--limit", "1"])
    assert parsed.func(parsed) == 0
    rows = list(csv.DictReader((output / "drawn.csv").read_text().splitlines()))
    pictures = {row["picture"] for row in rows}
    assert len(pictures) == 11
    assert len(rows) == 11 * 2
    for row in rows:
        own = next(one for one in rows if one["picture"] == row["picture"])
        assert (int(row["bytes"]) <= int(own["bytes"])) == bool(int(row["fits"]))
    assert "## Quality 2" in (output / "drawn.md").read_text()
    with Image.open(output / "drawn-2.png") as sheet:
        assert sheet.width > 3 * SIDE
