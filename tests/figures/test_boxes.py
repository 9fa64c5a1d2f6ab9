"""The figure of boxes: what it draws is what the detector finds, at no more bytes."""

import numpy as np
import pytest
from PIL import Image

from manypath_lab.detector.boxes import OnnxDetector
from manypath_lab.detector.export import build_graph
from manypath_lab.detector.weights import load_detector
from manypath_lab.evaluation.codecs.registry import make_baselines
from manypath_lab.figures.subject import best_within
from tests.detector.conftest import REFERENCE


@pytest.fixture
def people() -> np.ndarray:
    with np.load(REFERENCE) as file:
        return np.ascontiguousarray(file["img0_rgb"][200:, 96:])


def test_boxes_of_original_path_and_baseline_stand_beside_each_other(figure, people, tmp_path):
    Image.fromarray(people).save(tmp_path / "people.png")
    made = figure("boxes", "--picture", tmp_path / "people.png", "--quality", 8, "--path", "perceptual")
    assert made.size[0] == 1920
    original, ours, jpeg = made.facts["columns"]
    assert (original["name"], ours["name"]) == ("original", "perceptual")
    assert jpeg["name"].startswith("JPEG, quality")
    assert jpeg["bytes"] <= ours["bytes"] == made.facts["bitstream_bytes"]
    assert original["f1"] == 1.0
    detector = OnnxDetector(build_graph(load_detector()).SerializeToString())
    found = detector.find(people).above(0.3)
    assert [box["class"] for box in original["boxes"]] == ["person"] * len(found.scores)
    np.testing.assert_allclose([box["corners"] for box in original["boxes"]], found.corners, atol=1e-3)
    assert np.array_equal(made.maps()["original"], people)


def test_a_baseline_gets_as_many_bytes_as_we_took_and_no_more(people):
    (jpeg,) = make_baselines(["jpeg"])
    data, quality = best_within(jpeg, people, 6000)
    assert len(data) <= 6000 < len(jpeg.encode(people, quality + 1))
    assert best_within(jpeg, people, 100) is None
