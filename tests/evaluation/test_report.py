"""What a run says, in every form that it is written in."""

import csv
import io
import itertools
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from manypath.codec import Codec
from manypath.errors import RequestError
from manypath_lab.evaluation import report
from manypath_lab.evaluation.chart import spread
from manypath_lab.evaluation.codecs.codec import BaselineSource, Line
from manypath_lab.evaluation.codecs.ours import OurSource
from manypath_lab.evaluation.codecs.pillow import Jpeg
from manypath_lab.evaluation.comparison import Comparison, compare
from manypath_lab.evaluation.equal_accuracy import Ratio
from manypath_lab.evaluation.judges.fidelity import PsnrJudge, SimilarityJudge
from manypath_lab.evaluation.judges.judge import Judge
from manypath_lab.evaluation.plots import save_plots
from manypath_lab.evaluation.published import published, published_sets
from manypath_lab.evaluation.run import Run, Track, run
from manypath_lab.evaluation.sets import open_set
from tests.evaluation.test_run import BrightnessJudge

(KODAK,) = [content["folder"] for content in published_sets() if content["curves"][0]["name"] == "vtm"]


def track(name: str, scale: float, judges: tuple[Judge, ...], path: str = "") -> Track:
    """Return a line on two pictures: each doubling of the rate is 3 dB and 0.02 of similarity."""
    rates = np.asarray([0.1, 0.2, 0.4, 0.8, 1.6])
    values = {"psnr": 26 + 3 * np.arange(5.0), "ms-ssim": 0.9 + 0.02 * np.arange(5)}
    records = tuple(np.stack([values[judge.name], np.ones(5)], -1)[None].repeat(2, 0) for judge in judges)
    line = Line(name, f"the {name}", "lib 1.0", path)
    return Track(line, (1.0, 2.0, 3.0, 4.0, 5.0), np.stack([scale * rates] * 2), records)


def a_run(*tracks: Track, digest: str = KODAK, judges: tuple[Judge, ...]) -> Run:
    originals = tuple(np.asarray([[100.0 if judge.name == "psnr" else 1.0, 1.0]] * 2) for judge in judges)
    return Run(("a.png", "b.png"), digest, judges, originals, tracks, ("x.png is broken",))


JUDGES: tuple[Judge, ...] = (PsnrJudge(), SimilarityJudge())


def a_comparison(judges: tuple[Judge, ...] = JUDGES) -> Comparison:
    ours = track("edge", 0.5, judges, "perceptual")
    return compare("photos", a_run(ours, track("jpeg", 1.0, judges), judges=judges))


def test_the_csv_has_a_line_per_measure_codec_and_quality_and_tells_quoted_from_measured() -> None:
    table = list(csv.DictReader(io.StringIO(report.to_csv(a_comparison()))))
    ours = [row for row in table if row["codec"] == "edge" and row["measure"] == "psnr"]
    assert [float(row["bpp"]) for row in ours] == [0.05, 0.1, 0.2, 0.4, 0.8]
    assert [float(row["value"]) for row in ours] == [26.0, 29.0, 32.0, 35.0, 38.0]
    assert {row["source"] for row in ours} == {"measured"}
    assert {row["source"] for row in table if row["codec"] == "vtm"} == {"published"}
    assert {row["measure"] for row in table if row["codec"] == "vtm"} == {"psnr"}


def test_the_json_holds_curves_and_comparisons() -> None:
    content = json.loads(report.to_json(a_comparison()))
    assert content["pictures"] == {"folder": "photos", "digest": KODAK, "measured": 2, "skipped": ["x.png is broken"]}
    fidelity, structure = content["verdicts"]
    assert [one["percent"] for one in fidelity["bd_rates"] if one["anchor"] == "jpeg"] == [pytest.approx(-50.0)]
    assert [one["percent"] for one in structure["bd_rates"] if one["anchor"] == "jpeg"] == [pytest.approx(-50.0)]
    assert {one["curve"] for one in fidelity["bd_rates"]} == {"edge"}


def test_the_markdown_names_rate_range_and_what_was_left_out() -> None:
    text = report.to_markdown(a_comparison())
    assert "| edge | jpeg | -50.0 % | 26.0 to 38.0 dB, 100% of both curves |  |" in text
    assert "Bjontegaard delta rate (PCHIP" in text
    assert "VTM 22.0 (published)" in text
    assert "- x.png is broken" in text
    tables = [line for line in text.splitlines() if line.startswith("| edge | ")]
    assert {line.count("|") for line in tables} == {6}


def test_an_anchor_can_be_chosen_and_must_be_there() -> None:
    judges = JUDGES[:1]
    lines = [track(name, 1.0, judges, path) for name, path in (("edge", "perceptual"), ("jpeg", ""), ("webp", ""))]
    found = a_run(*lines, judges=judges)
    (verdict,) = compare("photos", found, anchors=["webp"]).verdicts
    assert [(one.curve, one.anchor) for one in verdict.bd_rates] == [("edge", "webp")]
    with pytest.raises(RequestError, match=r"edge, jpeg, webp, vtm.*got avif; a baseline must be listed"):
        compare("photos", found, anchors=["avif"])


def test_baselines_alone_are_compared_with_each_other() -> None:
    judges = JUDGES[:1]
    found = a_run(track("jpeg", 1.0, judges), track("webp", 0.5, judges), digest="other", judges=judges)
    (verdict,) = compare("photos", found).verdicts
    assert [(one.curve, one.anchor) for one in verdict.bd_rates] == [("jpeg", "webp"), ("webp", "jpeg")]
    assert [one.percent for one in verdict.bd_rates] == pytest.approx([100.0, -50.0])


def test_published_curves_are_quoted_only_for_the_pictures_they_belong_to() -> None:
    assert [curve.line.name for curve in published(KODAK, "psnr")] == ["vtm", "vtm-compressai", "bpg", "tinylic"]
    assert "tinylic" in [curve.line.name for curve in published(KODAK, "ms-ssim")]
    assert published("another folder", "psnr") == []
    assert published(KODAK, "top1") == []


def test_a_run_on_labels_says_points_lost_rates_there_and_what_a_side_gains(
    photos: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    source = OurSource(Codec.load("tiny-random-sides"), [("perceptual", 1.0), ("mse", 1.0)], qualities=[1.0, 8.0])
    found = run(open_set(photos).loads, [source, BaselineSource(Jpeg(), (20, 50))], [BrightnessJudge()])
    comparison = compare("photos", found, drops=(1.0, 2.0), draws=20, path="classification")
    files = [*report.save(comparison, tmp_path), *save_plots(comparison, tmp_path)]
    assert {file.name for file in files} == {
        *("photos.csv", "photos.json", "photos.md"),
        *(f"photos-brightness-{measure}.{kind}" for measure in ("top1", "agreement") for kind in ("png", "svg")),
    }
    assert len(list(csv.DictReader(files[0].read_text().splitlines()))) == 2 * 3 * 2  # measures, lines, settings
    top1, agreement = json.loads(files[1].read_text())["verdicts"]
    assert top1["original"] == pytest.approx(75.0)
    assert [point["lost"] for point in top1["curves"][2]["points"]] == pytest.approx([0.0, 0.0])
    assert [(one["name"], one["lost"]) for one in top1["equal_accuracy"]][-1] == ("jpeg", 2.0)
    assert {(one["line"], one["anchor"]) for one in top1["ratios"]} == {
        ("tiny-random-sides-perceptual", "jpeg"),
        ("tiny-random-sides-mse", "jpeg"),
    }
    assert [one["line"] for one in agreement["gains_over_main_path"]] == ["tiny-random-sides-mse"] * 2
    assert "bpp at 2 lost" in files[2].read_text()


def test_plots_are_written_as_png_and_svg_with_the_finding_as_title(tmp_path: pathlib.Path) -> None:
    files = save_plots(a_comparison(), tmp_path)
    assert [file.name for file in files] == [
        *("photos-psnr.png", "photos-psnr.svg", "photos-ms-ssim.png", "photos-ms-ssim.svg")
    ]
    with Image.open(files[0]) as image:
        assert image.size == (1696, 960)
    assert "the edge: 50 % fewer bits than the jpeg at equal PSNR" in files[1].read_text()


@pytest.mark.parametrize(
    ("ratios", "title"),
    [
        ([("avif", 2.0, 0.6, "="), ("jpeg", 2.0, 0.4, "=")], "60% of AVIF's bits, 2 points lost"),
        ([("avif", 2.0, 1.1, "="), ("jpeg", 2.0, 0.7, "="), ("avif", 5.0, 0.9, "=")], "70% of JPEG's bits, 2 points"),
        ([("avif", 2.0, 0.7, ">="), ("avif", 1.0, 0.8, "<=")], "at most 80% of AVIF's bits, 1 point lost"),
        ([("avif", 2.0, 0.7, ">="), ("jpeg", 1.0, None, "=")], "Rate against top-1"),
    ],
)
def test_a_chart_claims_only_what_was_found(
    tmp_path: pathlib.Path, photos: pathlib.Path, ratios: list[tuple[str, float, float | None, str]], title: str
) -> None:
    source = OurSource(Codec.load("tiny-random-sides"), [("classification", 1.0)], qualities=[1.0, 8.0])
    found = run(open_set(photos).loads, [source, BaselineSource(Jpeg(), (20, 50))], [BrightnessJudge()])
    jpeg = found.tracks[1]
    found = found._replace(tracks=(*found.tracks, jpeg._replace(line=jpeg.line._replace(name="avif", label="AVIF"))))
    comparison = compare("photos", found, draws=20, path="classification")
    verdict, ours = comparison.verdicts[0], found.tracks[0].line.name
    assert verdict.equal is not None
    told = tuple(Ratio(ours, anchor, target, value, 0.0, 1.0, bound) for anchor, target, value, bound in ratios)
    verdict = verdict._replace(equal=verdict.equal._replace(ratios=told))
    files = save_plots(comparison._replace(verdicts=(verdict,)), tmp_path)
    (chart,) = [file for file in files if file.suffix == ".svg"]
    assert title in chart.read_text()


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([], []),
        ([0.1, 0.9], [0.1, 0.9]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.1, 0.5, 0.52, 0.9], [0.1, 0.46, 0.56, 0.9]),
    ],
)
def test_labels_are_moved_apart_no_more_than_they_must(positions: list[float], expected: list[float]) -> None:
    assert spread(positions, 0.1) == pytest.approx(expected)


def test_labels_keep_their_order_and_their_distance() -> None:
    placed = spread([0.1, 0.11, 0.12, 0.2, 0.21, 0.5], 0.05)
    assert all(high - low >= 0.05 - 1e-9 for low, high in itertools.pairwise(placed))
