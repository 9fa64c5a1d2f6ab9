"""The detector as a judge of the harness: full agreement with itself, sums that are worth what the pictures are."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manypath_cli.main import main
from manypath_lab.detector.agreement import count, f1
from manypath_lab.detector.boxes import Boxes, OnnxDetector
from manypath_lab.evaluation.judges.boxes import MEASURES, box_record
from manypath_lab.evaluation.judges.registry import make_judges
from manypath_lab.evaluation.pictures import Picture, pixel_digest
from manypath_lab.evaluation.sets import Case
from tests.detector.conftest import Reference
from tests.detector.test_agreement import boxes


def figures(record: np.ndarray) -> dict[str, float]:
    return {measure.name: float(measure.finish(record[measure.columns])) for measure in MEASURES}


@pytest.fixture(scope="module")
def cases(reference: Reference) -> list[Case]:
    pictures = [reference[name] for name in ("img0_rgb", "img1_rgb")]
    return [Case(Picture(str(n), pixels, pixel_digest(pixels))) for n, pixels in enumerate(pictures)]


def test_originals_agree_with_themselves_and_blurred_pictures_less(cases: list[Case], detector: OnnxDetector) -> None:
    (judge,) = make_judges(["detector"])
    same = judge.examine(cases, [case.picture.pixels for case in cases])
    assert figures(sum(same)) == {"f1": 100.0, "f1-small": 100.0, "ap50": 100.0, "ap": 100.0}
    small = [Image.fromarray(case.picture.pixels).resize((110, 110)).resize((416, 416)) for case in cases]
    blurred = [np.asarray(image) for image in small]
    records = judge.examine(cases, blurred)
    worse = figures(sum(records))
    assert 0 < worse["ap"] < worse["ap50"] < 100
    pairs = zip(cases, blurred, strict=True)
    counts = [count(detector.find(image), detector.find(case.picture.pixels)) for case, image in pairs]
    assert worse["f1"] == pytest.approx(100 * float(f1(np.asarray(counts, float).sum(0))))


def test_a_record_ranks_boxes_by_their_score_and_small_ones_have_figures_of_their_own() -> None:
    target = boxes((0, 0, 100, 100, 0.9, 0), (200, 0, 220, 20, 0.5, 1))
    predicted = boxes((200, 0, 220, 20, 0.8, 1), (0, 0, 100, 52, 0.35, 0), (300, 0, 310, 10, 0.1, 0))
    told = figures(box_record(predicted, target))
    assert told["f1"] == told["f1-small"] == told["ap50"] == 100.0
    # the half box counts at the lowest overlap alone; then the other is half of what is wanted, found first
    assert told["ap"] == pytest.approx(100 * (1.0 + 9 * 51 / 101) / 10)
    worse = figures(box_record(predicted.where(np.array([False, True, True])), target))
    assert worse["f1"] == pytest.approx(200 / 3)
    assert worse["f1-small"] == 0.0
    assert worse["ap50"] == pytest.approx(100 * 51 / 101)


def test_a_picture_without_boxes_loses_nothing_unless_some_are_made_up() -> None:
    nothing = boxes()
    assert figures(box_record(nothing, nothing))["f1"] == 100.0
    assert figures(box_record(boxes((0, 0, 9, 9, 0.9, 0)), nothing))["f1"] == 0.0
    assert isinstance(nothing, Boxes)


def test_the_comparison_reads_bits_at_equal_agreement(cases: list[Case], tmp_path: Path) -> None:
    """Baselines alone, on two photos and their mirrors: WebP's bits over JPEG's at 10 and 20 points lost."""
    folder = tmp_path / "people"
    folder.mkdir()
    for case in cases:
        Image.fromarray(case.picture.pixels).save(folder / f"{case.picture.name}.png")
        Image.fromarray(case.picture.pixels[:, ::-1]).save(folder / f"{case.picture.name}m.png")
    asked = ["--pictures", str(folder), "--model", "none", "--baseline", "jpeg", "--baseline", "webp", "--against"]
    asked += ["jpeg", "--judge", "detector", "--draws", "50", "--output", str(tmp_path / "out"), "--no-cache"]
    assert main(["lab", "eval", "compare", *asked]) == 0
    told = json.loads((tmp_path / "out" / "people.json").read_text())
    by_name = {verdict["measure"]: verdict for verdict in told["verdicts"]}
    assert set(by_name) == {"f1", "f1-small", "ap50", "ap"}
    assert by_name["f1"]["original"] == 100.0
    ratios = by_name["f1"]["ratios"]
    assert [(ratio["line"], ratio["anchor"], ratio["target"]) for ratio in ratios] == [
        ("webp", "jpeg", 10.0),
        ("webp", "jpeg", 20.0),
    ]
