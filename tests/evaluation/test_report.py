import csv
import io
import itertools
import json
import pathlib

import pytest
from PIL import Image

from manypath_lab.evaluation import report
from manypath_lab.evaluation.bdrate import bd_table
from manypath_lab.evaluation.chart import spread
from manypath_lab.evaluation.curve import Curve, RatePoint
from manypath_lab.evaluation.plot import save_plots
from manypath_lab.evaluation.reference import load_reference, reference_for
from manypath_lab.evaluation.report import Report


def curve(name: str, scale: float, *, ours: bool = False, similarity: bool = True) -> Curve:
    rates = [0.1, 0.2, 0.4, 0.8, 1.6]
    points = (
        RatePoint(i + 1, scale * rate, 26 + 3 * i, (0.9 + 0.02 * i) if similarity else None, 2)
        for i, rate in enumerate(rates)
    )
    return Curve(name, f"the {name}", "lib 1.0", tuple(points), ours=ours)


def a_report(*, similarity: bool = True) -> Report:
    ours = curve("edge", 0.5, ours=True, similarity=similarity)
    jpeg = curve("jpeg", 1.0, similarity=similarity)
    references = reference_for("", "kodak")
    comparisons = tuple(bd_table([ours], [jpeg, *references]))
    return Report("photos", "00ff", 2, ("x.png is broken",), (ours, jpeg), references, comparisons, "pchip")


def test_the_csv_has_a_line_per_codec_and_quality_and_tells_quoted_from_measured() -> None:
    rows = list(csv.DictReader(io.StringIO(report.to_csv(a_report()))))
    ours = [row for row in rows if row["codec"] == "edge"]
    assert [float(row["bpp"]) for row in ours] == [0.05, 0.1, 0.2, 0.4, 0.8]
    assert {row["source"] for row in ours} == {"measured"}
    assert {row["source"] for row in rows if row["codec"] == "vtm"} == {"published"}
    assert {row["ms_ssim"] for row in rows if row["codec"] == "vtm"} == {""}


def test_the_json_holds_curves_and_comparisons() -> None:
    content = json.loads(report.to_json(a_report()))
    assert content["pictures"] == {
        "folder": "photos",
        "digest": "00ff",
        "measured": 2,
        "skipped": ["x.png is broken"],
    }
    against_jpeg = [one for one in content["bd_rate"] if one["anchor"] == "jpeg" and one["metric"] == "psnr"]
    assert against_jpeg[0]["percent"] == pytest.approx(-50.0)
    assert against_jpeg[0]["method"] == "pchip"


def test_the_markdown_names_rate_range_method_and_what_was_left_out() -> None:
    text = report.to_markdown(a_report())
    assert "| edge | jpeg | psnr | -50.0 % | 26.0 to 38.0 dB, 100% of both curves |  |" in text
    table = text[text.index("| codec | against") :].splitlines()[: 2 + len(a_report().comparisons)]
    assert {line.count("|") for line in table} == {7}
    assert "Bjontegaard delta rate (pchip" in text
    assert "VTM 22.0 (published)" in text
    assert "- x.png is broken" in text


def test_plots_are_written_as_png_and_svg_with_the_finding_as_title(tmp_path: pathlib.Path) -> None:
    files = save_plots(a_report(), tmp_path)
    assert [file.name for file in files] == ["rd-psnr.png", "rd-psnr.svg", "rd-ms-ssim.png", "rd-ms-ssim.svg"]
    with Image.open(files[0]) as image:
        assert image.size == (1696, 960)
    assert "the edge: 50 % fewer bits than the jpeg at equal PSNR" in files[1].read_text()


def test_a_metric_that_nothing_was_measured_in_has_no_plot(tmp_path: pathlib.Path) -> None:
    assert [file.stem for file in save_plots(a_report(similarity=False), tmp_path)] == ["rd-psnr", "rd-psnr"]


def test_a_run_without_a_model_of_ours_is_plotted_too(tmp_path: pathlib.Path) -> None:
    peers = (curve("jpeg", 1.0), curve("webp", 0.7))
    alone = Report("photos", "", 2, (), peers, (), (), "pchip")
    assert len(save_plots(alone, tmp_path)) == 4


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


def test_published_curves_are_drawn_only_for_the_pictures_they_belong_to() -> None:
    kodak = load_reference("kodak")
    assert [one.name for one in kodak.curves] == ["vtm", "vtm-compressai", "bpg", "tinylic"]
    assert reference_for(kodak.folder) == kodak.curves
    assert reference_for("another folder") == ()
    assert reference_for(kodak.folder, "none") == ()
    assert reference_for("another folder", "kodak") == kodak.curves
