"""The detection task over the wire: boxes in the picture's pixels, by whatever detector stands behind the worker."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from manypath.codec import Codec
from manypath_api.v1 import codec_pb2 as pb
from manypath_lab.detector.boxes import OnnxDetector
from manypath_lab.detector.export import export_detector
from tests.detector.conftest import REFERENCE
from tests.services.serving import SECONDS, Running, RunningWorker, refusal
from tests.worker.models import boxes_graph, rows_graph, write_model

SIDES_MODEL = "tiny-random-sides"
DETECT = pb.TaskRequest(task=pb.TASK_DETECTION)


@pytest.fixture(scope="module")
def worker(loop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "boxes", boxes_graph(), labels=["all", "square", "strip"], task="detection")
    write_model(folder / "renamed", boxes_graph(("det_boxes", "det_scores", "det_classes", "num_dets")), task="other")
    write_model(folder / "rows", rows_graph(), task="other")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MANYPATH_CACHE", str(tmp_path_factory.mktemp("cache")))
        export_detector(folder)
    worker = RunningWorker(loop, folder)
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def client(loop, worker):
    workers = {task: f"{worker.target}/{model}" for task, model in {"detection": "boxes", "things": "boxes"}.items()}
    running = Running("decoder", loop, model=SIDES_MODEL, workers=workers, detector_side=50)
    with running.client() as client:
        yield client
    running.close()


@pytest.fixture(scope="module")
def bitstream():
    """A light picture of 100x64."""
    return Codec.load(SIDES_MODEL).encode(np.full((64, 100, 3), 200, np.uint8), quality=8)


def detect(client, bitstream, **wishes):
    request = pb.AnalyzeRequest(bitstream=bitstream, tasks=[pb.TaskRequest(task=pb.TASK_DETECTION, **wishes)])
    (result,) = client.Analyze(request, timeout=SECONDS).results
    return result


def rounded(detection: pb.Detection) -> list[tuple[float, ...]]:
    return [tuple(round(value, 3) for value in (b.left, b.top, b.right, b.bottom)) for b in detection.boxes]


def test_boxes_come_in_pixels_of_the_picture_named_sorted_and_within_it(client, bitstream):
    """The detector saw 50x32 pixels, so that its squares are twice as large here."""
    result = detect(client, bitstream)
    assert (result.task, result.task_name, result.model) == (pb.TASK_DETECTION, "detection", "boxes")
    assert result.route.asked == pb.PATH_DETECTION
    boxes = result.detection.boxes
    assert [box.name for box in boxes if box.name != "all"] == ["square", "strip"]
    assert [box.score for box in boxes] == sorted((box.score for box in boxes), reverse=True)
    found = dict(zip([box.name for box in boxes], rounded(result.detection), strict=True))
    assert found["square"] == (4, 8, 24, 28)
    assert found["strip"] == (0, 0, 18, 64)
    assert found.get("all", (0, 0, 100, 64)) == (0, 0, 100, 64)
    assert result.detection.overlay == b""


def test_a_request_chooses_score_classes_and_number(client, bitstream):
    assert len(detect(client, bitstream, min_score=0.0).detection.boxes) == 4
    assert [box.name for box in detect(client, bitstream, min_score=0.8).detection.boxes][-1:] == ["square"]
    squares = detect(client, bitstream, min_score=0.0, classes=["square"]).detection.boxes
    assert [(box.index, round(box.score, 2)) for box in squares] == [(1, 0.9), (1, 0.25)]
    assert [box.index for box in detect(client, bitstream, classes=["2"]).detection.boxes] == [2]
    assert len(detect(client, bitstream, min_score=0.0, top_k=1).detection.boxes) == 1


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"min_score": 1.5}, "min_score must be in [0, 1], got 1.5"),
        ({"min_score": float("nan")}, "min_score must be in [0, 1], got nan"),
        ({"classes": ["tram"]}, "no class 'tram'; its classes are all, square, strip"),
        ({"classes": ["x" * 201]}, "at most 200 characters"),
    ],
)
def test_what_no_detector_can_be_asked_is_refused(client, bitstream, wishes, said):
    task = pb.TaskRequest(task=pb.TASK_DETECTION, **wishes)
    error = refusal(client.Analyze, pb.AnalyzeRequest(bitstream=bitstream, tasks=[task]))
    assert error.code().name == "INVALID_ARGUMENT"
    assert said in error.details()


def test_an_overlay_shows_the_boxes_and_leaves_the_rest(client, bitstream):
    found = detect(client, bitstream, classes=["square"], overlay=True).detection
    with Image.open(io.BytesIO(found.overlay)) as opened:
        overlay = np.asarray(opened).astype(int)
    plain = Codec.load(SIDES_MODEL).decode(bitstream, path="detection").astype(int)
    changed = (overlay != plain).any(2)
    assert overlay.shape == (64, 100, 3)
    assert changed[8, 4:24].mean() > 0.9
    assert not changed[40:, 50:].any()


def test_a_users_own_task_with_a_detector_behind_it_gives_boxes(client, bitstream):
    request = pb.AnalyzeRequest(bitstream=bitstream, tasks=[pb.TaskRequest(task_name="things")])
    (result,) = client.Analyze(request, timeout=SECONDS).results
    assert result.WhichOneof("answer") == "detection"
    assert len(result.detection.boxes) >= 2


RENAMED = {"boxes": "det_boxes", "scores": "det_scores", "classes": "det_classes", "count": "num_dets"}


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        (("renamed", RENAMED), [(2, 4, 12, 14), (0, 0, 9, 64)]),
        # of a size of its own, 6 wide and 8 high, which the picture was squeezed into
        (("rows", {"rows": "output0"}), [(16.667, 16, 50, 48), (0, 0, 100, 64)]),
    ],
)
def test_a_foreign_detectors_tensors_are_found_by_the_names_in_the_settings(loop, worker, bitstream, tensors, expected):
    model, names = tensors
    workers = {"detection": f"{worker.target}/{model}"}
    running = Running("decoder", loop, model=SIDES_MODEL, workers=workers, detector_tensors=names)
    with running.client() as client:
        found = detect(client, bitstream).detection
    running.close()
    assert {box.name for box in found.boxes} == {""}
    assert [corners for corners in rounded(found) if corners in expected] == expected


def test_a_model_without_boxes_is_an_error_that_says_which_setting_helps(loop, worker, bitstream):
    running = Running("decoder", loop, model=SIDES_MODEL, workers={"detection": f"{worker.target}/renamed"})
    with running.client() as client:
        error = refusal(client.Analyze, pb.AnalyzeRequest(bitstream=bitstream, tasks=[DETECT]))
    running.close()
    assert error.code().name == "FAILED_PRECONDITION"
    assert "MANYPATH_DECODER_DETECTOR_TENSORS" in error.details()


def test_the_shipped_detector_finds_the_same_through_all_services(loop, worker):
    """A real photo, the shipped codec at its highest quality, the shipped detector behind a worker."""
    with np.load(REFERENCE) as file:
        picture = file["img0_rgb"]
    codec = Codec.load("edge")
    bitstream = codec.encode(picture, quality=8)
    seen = codec.decode(bitstream, path="detection")
    expected = OnnxDetector(worker.repository / "nanodet-g" / "model.onnx").find(seen).above(0.3)
    running = Running("decoder", loop, model="edge", workers={"detection": f"{worker.target}/nanodet-g"})
    with running.client() as client:
        found = detect(client, bitstream).detection
    running.close()
    assert len(found.boxes) >= 5
    assert {box.name for box in found.boxes} == {"person"}
    np.testing.assert_allclose(rounded(found), expected.corners, atol=1e-2)
