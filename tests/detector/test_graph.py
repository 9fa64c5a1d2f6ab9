"""The exported detector: the original's boxes from 8-bit pictures of any size, in rows that a server may split."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from manypath.errors import CheckpointError
from manypath_lab.detector.boxes import OnnxDetector
from manypath_lab.detector.graph import LEAST_SCORE, MOST_BOXES
from manypath_lab.detector.weights import class_names
from tests.detector.conftest import Reference


@pytest.fixture(scope="module")
def session(graph: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("picture", ["img0", "img1"])
def test_the_graph_finds_the_original_pipelines_boxes(
    picture: str, reference: Reference, detector: OnnxDetector
) -> None:
    found = detector.find(reference[f"{picture}_rgb"]).above(0.3)
    np.testing.assert_array_equal(found.classes, reference[f"{picture}_det_classes"])
    np.testing.assert_allclose(found.scores, reference[f"{picture}_det_scores"], atol=1e-4)
    np.testing.assert_allclose(found.corners, reference[f"{picture}_boxes"], atol=1e-2)


def test_a_batch_gives_each_picture_what_it_gets_alone(
    reference: Reference, session: onnxruntime.InferenceSession
) -> None:
    pictures = np.stack([reference["img0_rgb"], reference["img1_rgb"]])
    together = session.run(None, {"image": pictures})
    for row in range(2):
        alone = session.run(None, {"image": pictures[row : row + 1]})
        for ours, theirs in zip(together, alone, strict=True):
            np.testing.assert_allclose(ours[row], theirs[0], atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (61, 130), (700, 40), (416, 416)])
def test_any_size_gives_rows_of_one_shape_filled_up_behind_the_boxes(
    size: tuple[int, int], session: onnxruntime.InferenceSession
) -> None:
    images = np.random.default_rng(1).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    boxes, scores, classes, count = session.run(None, {"image": images})
    assert [boxes.shape, scores.shape, classes.shape, count.shape] == [
        *((2, MOST_BOXES, 4), (2, MOST_BOXES), (2, MOST_BOXES), (2, 1)),
    ]
    assert [boxes.dtype, scores.dtype, classes.dtype, count.dtype] == [np.float32, np.float32, np.int32, np.int32]
    for row in range(2):
        filled = np.arange(MOST_BOXES) >= count[row, 0]
        assert (scores[row][~filled] > LEAST_SCORE).all()
        assert (np.diff(scores[row]) <= 0).all()
        assert not boxes[row][filled].any()
        assert not scores[row][filled].any()
        assert (classes[row][filled] == -1).all()
        assert (classes[row][~filled] >= 0).all()
    assert boxes.min() >= 0
    assert boxes[..., 0::2].max() <= size[1] + 1e-3
    assert boxes[..., 1::2].max() <= size[0] + 1e-3


def test_boxes_are_in_pixels_of_the_picture_as_it_came(reference: Reference, detector: OnnxDetector) -> None:
    picture = reference["img0_rgb"]
    once = detector.find(picture).above(0.5)
    twice = detector.find(picture.repeat(2, axis=0).repeat(2, axis=1)).above(0.3)
    assert len(once.scores) > 3
    for corners in once.corners:
        assert np.abs(twice.corners / 2 - corners).max(1).min() < 5


def test_a_tall_picture_is_padded_and_not_squeezed(reference: Reference, detector: OnnxDetector) -> None:
    """Its right part is cut off: what stands at the left is found where it stood, at the same scale."""
    whole = detector.find(reference["img0_rgb"]).above(0.5)
    left = whole.where(whole.corners[:, 2] < 250)
    found = detector.find(np.ascontiguousarray(reference["img0_rgb"][:, :300])).above(0.3)
    assert len(left.scores) > 0
    for corners in left.corners:
        assert np.abs(found.corners - corners).max(1).min() < 5


def test_boxes_of_one_class_do_not_overlap_beyond_the_limit(reference: Reference, detector: OnnxDetector) -> None:
    from manypath_lab.detector.agreement import overlaps

    found = detector.find(reference["img0_rgb"])
    worth = overlaps(found, found)
    same = found.classes[:, None] == found.classes[None]
    np.fill_diagonal(same, val=False)
    assert worth[same].max() <= 0.5 + 1e-3


def test_the_file_carries_the_names_for_whoever_has_no_lab(session: onnxruntime.InferenceSession) -> None:
    notes = session.get_modelmeta().custom_metadata_map
    assert json.loads(notes["classes"]) == list(class_names())


def test_a_file_that_is_no_detector_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        OnnxDetector(tmp_path / "absent.onnx")
    with pytest.raises(CheckpointError, match="does not load"):
        OnnxDetector(b"no graph")
